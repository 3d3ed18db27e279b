// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// What a plugin writes to its standard error: a file beside it, which operators know.
struct StandardErrorFile {
    /// Bytes at which it is cut: more than anybody reads.
    static let limit = 1 << 20
    /// Bytes that are kept then.
    static let kept = 64 << 10
    /// What is told of it in the log and in the state.
    static let lines = 5
    static let lineBytes = 600

    let path: String

    /// In bytes; 0 when there is none.
    var size: Int {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    private func last(_ count: Int) -> [UInt8] {
        guard let file = try? FileDescriptor.open(path, .read) else { return [] }
        lseek(file.rawValue, off_t(max(0, size - count)), SEEK_SET)
        var bytes: [UInt8] = []
        try? file.readChunk(appendingTo: &bytes, capacity: count)
        return bytes
    }

    /// The last lines, joined by " | "; empty when there are none.
    var lastLines: String {
        let text = String(decoding: last(4096), as: UTF8.self)
        let lines = text.split { $0 == "\n" || $0 == "\r" || $0 == "\r\n" }.suffix(Self.lines)
        let joined = lines.joined(separator: " | ")
        guard joined.utf8.count > Self.lineBytes else { return joined }
        return "…" + String(decoding: joined.utf8.suffix(Self.lineBytes), as: UTF8.self)
    }
}
