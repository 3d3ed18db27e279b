// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Plugins
import Syscalls
import TLS

/// A program whose content was hashed, and which file that was.
struct ProgramFile {
    let verified: VerifiedProgram
    let sha256: String

    /// Makes it executable for its owner alone, as the original agent does, and hashes it. Nil when there is no regular
    /// file there (a link is none).
    init?(_ path: String) throws(StoreFailure) {
        let raw = unsafe open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard raw >= 0 else {
            if [ENOENT, ENOTDIR, ELOOP].contains(errno) { return nil }
            throw StoreFailure("\(path): \(Errno.current)")
        }
        let file = FileDescriptor(owning: raw)
        var status = stat()
        guard unsafe fstat(raw, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        if status.st_mode & 0o7777 != 0o700 && fchmod(raw, 0o700) != 0 {
            throw StoreFailure("\(path) cannot be made executable: \(Errno.current)")
        }
        guard let before = FileIdentity(path) else { return nil }
        let digest = SHA256Digest()
        while true {
            var chunk: [UInt8] = []
            do throws(Errno) {
                try file.readChunk(appendingTo: &chunk, capacity: 256 << 10)
            } catch {
                throw StoreFailure("\(path): \(error)")
            }
            if chunk.isEmpty { break }
            unsafe digest.update(chunk.span.bytes)
        }
        guard FileIdentity(path) == before, UInt64(status.st_ino) == before.inode else {
            throw StoreFailure("\(path) was changed while it was checked")
        }
        sha256 = digest.finish()
        verified = VerifiedProgram(file: before)
    }
}
