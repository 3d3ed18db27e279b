// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Hashes executables as the original collector does, each file once as long as it does not change.
struct ExecutableHash {
    private struct FileIdentity: Hashable {
        var device: UInt
        var inode: UInt
        var size: Int
        var modified: Int
        var modifiedNanoseconds: Int
    }

    private var known: [FileIdentity: UInt64] = [:]
    /// The size in 8 bytes, little-endian, then the beginning of the file.
    private var content = [UInt8](repeating: 0, count: sizeSize + headSize)

    private static let sizeSize = 8
    private static let headSize = 32 << 10
    /// As many files as the original remembers; then it starts anew.
    private static let maximumKnown = 2048

    /// The hash of an open regular file, or nil when it is none or cannot be read.
    mutating func hash(of descriptor: CInt) -> UInt64? {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        let identity = FileIdentity(
            device: UInt(status.st_dev),
            inode: UInt(status.st_ino),
            size: Int(status.st_size),
            modified: Int(status.st_mtim.tv_sec),
            modifiedNanoseconds: Int(status.st_mtim.tv_nsec)
        )
        if let hash = known[identity] { return hash }
        for index in 0..<Self.sizeSize {
            content[index] = UInt8(truncatingIfNeeded: identity.size >> (8 * index))
        }
        let count = unsafe content.withUnsafeMutableBytes { (buffer) in
            unsafe readAll(descriptor, into: UnsafeMutableRawBufferPointer(rebasing: buffer[Self.sizeSize...]))
        }
        guard let count else { return nil }
        let hash = xxh64(content.span.extracting(0..<(Self.sizeSize + count)))
        if known.count >= Self.maximumKnown { known.removeAll(keepingCapacity: true) }
        known[identity] = hash
        return hash
    }
}

/// Reads until the buffer is full or the file ends.
/// - Returns: the number of bytes, or nil when reading failed.
func readAll(_ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer) -> Int? {
    guard let start = buffer.baseAddress else { return 0 }
    var filled = 0
    while filled < buffer.count {
        let count = unsafe read(descriptor, start + filled, buffer.count - filled)
        if count == 0 { break }
        if count < 0 {
            if errno == EINTR { continue }
            return nil
        }
        filled += count
    }
    return filled
}
