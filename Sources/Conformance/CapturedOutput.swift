// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// A file without a name that a plugin writes to.
final class CapturedOutput {
    let descriptor: FileDescriptor

    init() throws(ConformanceError) {
        let folder = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        var template = "\(folder.isEmpty ? "/tmp" : folder)/elkeid-conformance.XXXXXX".utf8CString
        let raw = unsafe template.withUnsafeMutableBufferPointer { buffer -> CInt in
            guard let base = buffer.baseAddress else { return -1 }
            let raw = unsafe mkstemp(base)
            if raw >= 0 { unsafe _ = unlink(base) }
            return raw
        }
        guard raw >= 0 else { throw .system("no temporary file in \(folder): \(Errno.current); set TMPDIR") }
        descriptor = FileDescriptor(owning: raw)
    }

    /// In bytes.
    var size: Int {
        var status = stat()
        return unsafe fstat(descriptor.rawValue, &status) == 0 ? Int(status.st_size) : 0
    }

    func lastLines(_ count: Int) -> [String] {
        // The offset is shared with the plugin, so it is not moved.
        let wanted = min(size, 8192)
        let start = off_t(size - wanted)
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
            filled = unsafe max(0, pread(descriptor.rawValue, buffer.baseAddress, wanted, start))
        }
        return bytes.split(separator: 0x0a).suffix(count).map { String(decoding: $0, as: UTF8.self) }
    }
}
