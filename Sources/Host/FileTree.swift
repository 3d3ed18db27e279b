// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// The host's files, below a folder that stands for "/": the host itself with an empty root, a recorded tree in tests.
///
/// What cannot be read is absent, never an error: no fact about a host is worth an agent that does not run.
public struct FileTree: Sendable {
    /// Longest part of a file that is looked at where nothing else is said, in bytes.
    static let defaultLimit = 64 << 10

    public let root: String

    /// - Parameter root: without a "/" at its end; empty for this host.
    public init(root: String = "") { self.root = root }

    /// The first `limit` bytes of a file; nil when it cannot be read.
    func bytes(_ path: String, limit: Int = FileTree.defaultLimit) -> [UInt8]? {
        do throws(Errno) {
            let file = try FileDescriptor.open(root + path, .read)
            var contents: [UInt8] = []
            while contents.count < limit {
                let before = contents.count
                try file.readChunk(appendingTo: &contents, capacity: min(16_384, limit - before))
                if contents.count == before { break }
            }
            return contents
        } catch {
            return nil
        }
    }

    /// The lines of a file; none when it cannot be read.
    func lines(_ path: String, limit: Int = FileTree.defaultLimit) -> [ArraySlice<UInt8>] {
        bytes(path, limit: limit)?.split(separator: 0x0a, omittingEmptySubsequences: false) ?? []
    }

    /// A small file as one trimmed string, NULs removed (device tree); "" when it cannot be read.
    func text(_ path: String) -> String {
        (bytes(path, limit: 4096) ?? []).filter { $0 != 0 }[...].trimmed.text
    }

    func exists(_ path: String) -> Bool { unsafe access(root + path, F_OK) == 0 }

    /// How many entries a folder has, counted up to `limit`; 0 when it cannot be read.
    func entryCount(_ path: String, limit: Int) -> Int {
        var status = stat()
        // Since Linux 6.2 the size of /proc/<pid>/fd is the count, which a walk would take a system call per 32 KiB for.
        if root.isEmpty, unsafe stat(path, &status) == 0, status.st_size > 0 { return Int(status.st_size) }
        guard let directory = unsafe opendir(root + path) else { return 0 }
        defer { unsafe closedir(directory) }
        var count = 0
        while count < limit, let entry = unsafe readdir(directory) {
            // "." and "..", the only ones in /proc that begin with a dot.
            if unsafe entry.pointee.d_name.0 != 0x2e { count += 1 }
        }
        return count
    }
}
