// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

// Reading and writing regular files at offsets.
extension FileDescriptor {
    /// pread(2) until `count` bytes are there or the file ends.
    public func read(at offset: Int, count: Int) throws(Errno) -> [UInt8] {
        var failure: Errno?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count, let base = buffer.baseAddress {
                let (start, place) = unsafe (base + filled, off_t(offset + filled))
                switch retrying({ unsafe pread(rawValue, start, count - filled, place) }) {
                case .success(0): return
                case .success(let part): filled += part
                case .failure(let error):
                    failure = error
                    return
                }
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// pwrite(2) until all is written. After an error any part of it may be.
    public func write(_ bytes: RawSpan, at offset: Int) throws(Errno) {
        var written = 0
        while written < bytes.byteCount {
            let rest = bytes.extracting(droppingFirst: written)
            let part = unsafe rest.withUnsafeBytes { buffer in
                retrying { unsafe pwrite(rawValue, buffer.baseAddress, buffer.count, off_t(offset + written)) }
            }
            written += try part.get()
        }
    }

    /// ftruncate(2).
    public func truncate(to size: Int) throws(Errno) {
        _ = try retrying { ftruncate(rawValue, off_t(size)) }.get()
    }

    /// fdatasync(2): the bytes, and what is needed to find them again, survive a power cut.
    public func syncData() throws(Errno) { _ = try retrying { fdatasync(rawValue) }.get() }

    /// Bytes of the file, from fstat(2).
    public func size() throws(Errno) -> Int {
        var status = stat()
        _ = try retrying { unsafe fstat(rawValue, &status) }.get()
        return Int(status.st_size)
    }

    /// flock(2), exclusive and without waiting; false when another has the lock.
    public func tryLock() throws(Errno) -> Bool {
        if flock(rawValue, LOCK_EX | LOCK_NB) == 0 { return true }
        guard errno == EWOULDBLOCK else { throw Errno.current }
        return false
    }
}
