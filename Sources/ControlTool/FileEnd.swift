// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// The end of a file that may be long, and what is added to it later.
struct FileEnd: ~Copyable {
    private let file: FileDescriptor
    /// Of the next byte to be read.
    private(set) var position: Int

    /// - Parameter limit: bytes before the end at which it begins.
    init(_ path: String, limit: Int) throws(Errno) {
        let opened = try FileDescriptor.open(path, .read)
        let size = try opened.size()
        file = opened
        position = max(0, size - limit)
    }

    /// What is there from the last position on, at most `limit` bytes.
    mutating func read(limit: Int) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        _ = lseek(file.rawValue, off_t(position), SEEK_SET)
        while bytes.count < limit {
            let before = bytes.count
            try file.readChunk(appendingTo: &bytes, capacity: 64 << 10)
            if bytes.count == before { break }
        }
        position += bytes.count
        return bytes
    }

    /// Has it become shorter than what was read?
    func isCut() throws(Errno) -> Bool { try file.size() < position }

    /// Is `path` another file by now?
    func isReplaced(at path: String) -> Bool {
        var own = stat()
        var other = stat()
        guard unsafe fstat(file.rawValue, &own) == 0, unsafe stat(path, &other) == 0 else { return false }
        return own.st_ino != other.st_ino || own.st_dev != other.st_dev
    }

    /// At most `limit` bytes of the end of a file; none when it cannot be read.
    static func of(_ path: String, limit: Int) -> [UInt8] {
        guard var end = try? FileEnd(path, limit: limit) else { return [] }
        return (try? end.read(limit: limit)) ?? []
    }
}
