// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Bytes that have arrived and are not used up. Does no input of its own.
struct InputBuffer {
    private var storage: [UInt8] = []
    /// `storage[start..<end]` have arrived and are not used up; what follows is room.
    private var start = 0
    private var end = 0

    /// Bytes asked from the pipe at a time: what a pipe holds by default.
    private static let readSize = 64 << 10

    var count: Int { end - start }

    var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get { storage.span.extracting(start..<end) }
    }

    mutating func removeFirst(_ count: Int) {
        start += count
    }

    /// Lets `read` fill free room behind what has arrived, which is made large enough for `expected` bytes in all; it
    /// returns how many bytes it stored, or a negative number.
    mutating func fill(expecting expected: Int, _ read: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
        if start == end {
            start = 0
            end = 0
        } else if start > 0 {
            storage.replaceSubrange(0..<(end - start), with: storage[start..<end])
            end -= start
            start = 0
        }
        let needed = max(end + Self.readSize, expected)
        if storage.count < needed {
            storage.append(contentsOf: repeatElement(0, count: needed - storage.count))
        }
        let free = end
        let count = unsafe storage.withUnsafeMutableBytes { (buffer) in
            unsafe read(UnsafeMutableRawBufferPointer(rebasing: buffer[free...]))
        }
        end += max(count, 0)
        return count
    }
}
