// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A place in the input of one step.
@safe
struct InputCursor {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        unsafe self.bytes = unsafe bytes
    }

    var remaining: Int { unsafe bytes.count - offset }

    /// The next `count` bytes, in place; there must be as many.
    mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let taken = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
        offset += count
        return unsafe taken
    }
}

/// A place in the output of one step.
@safe
struct OutputCursor {
    private let bytes: UnsafeMutableRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeMutableRawBufferPointer) {
        unsafe self.bytes = unsafe bytes
    }

    var room: Int { unsafe bytes.count - offset }

    /// What has not been written yet.
    var rest: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[offset...])
    }

    /// Counts bytes that were written to `rest`.
    mutating func advance(by count: Int) {
        precondition(count <= room, "more bytes written than there was room for")
        offset += count
    }

    /// Copies bytes that fit.
    mutating func write(_ source: UnsafeRawBufferPointer) {
        unsafe rest.copyMemory(from: source)
        offset += source.count
    }
}

/// Memory of fixed size that is filled at its end and emptied at its start.
@safe
struct ByteStore: ~Copyable {
    private let bytes: UnsafeMutableRawBufferPointer
    private var start = 0
    private(set) var end = 0

    init(capacity: Int) {
        unsafe bytes = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit {
        unsafe bytes.deallocate()
    }

    /// How many bytes are held.
    var count: Int { end - start }
    var isEmpty: Bool { start == end }
    var capacity: Int { unsafe bytes.count }

    /// The bytes held; valid until the next change.
    var contents: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }

    /// The memory behind the bytes held.
    var rest: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[end...])
    }

    mutating func removeAll() {
        start = 0
        end = 0
    }

    /// Counts bytes that were written to `rest`.
    mutating func append(written count: Int) {
        precondition(count <= capacity - end, "more bytes written than there was room for")
        end += count
    }

    /// Takes input until `total` bytes are held or the input is used up.
    mutating func fill(to total: Int, from input: inout InputCursor) {
        let source = unsafe input.take(min(total - count, input.remaining))
        unsafe rest.copyMemory(from: source)
        append(written: source.count)
    }

    /// Moves bytes from the start to the output, as far as there is room.
    mutating func drain(into output: inout OutputCursor) {
        let moved = min(count, output.room)
        unsafe output.write(UnsafeRawBufferPointer(rebasing: bytes[start..<start + moved]))
        start += moved
        if isEmpty { removeAll() }
    }
}
