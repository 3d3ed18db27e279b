// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A fixed block of memory that is filled and read again and again, and never shared.
@safe
public final class ScratchBuffer {
    private let base: UnsafeMutableRawPointer
    public let capacity: Int
    /// Bytes that the last `fill` wrote.
    public private(set) var count = 0

    public init(capacity: Int) {
        precondition(capacity > 0, "a scratch buffer holds something")
        unsafe base = .allocate(byteCount: capacity, alignment: 64)
        self.capacity = capacity
    }

    deinit { unsafe base.deallocate() }

    /// Lets `body` write from the beginning, over what was there.
    public func fill<R, E: Error>(_ body: (inout OutputRawSpan) throws(E) -> R) throws(E) -> R {
        let buffer = unsafe UnsafeMutableRawBufferPointer(start: base, count: capacity)
        var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
        let result = try body(&output)
        count = unsafe output.finalize(for: buffer)
        return result
    }

    /// What the last `fill` wrote.
    public func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        try body(unsafe RawSpan(_unsafeStart: base, byteCount: count))
    }

    /// Appends what the last `fill` wrote to an array.
    public func append(to array: inout [UInt8]) {
        unsafe array.append(contentsOf: UnsafeRawBufferPointer(start: base, count: count))
    }
}

extension BufferChain {
    /// `takeFrame` with a buffer for what has to be gathered: for the one call that each frame costs, which must not go
    /// through generic code of another module.
    public mutating func lendFrame(header: RawSpan, length: Int, scratch: ScratchBuffer, _ body: (RawSpan) -> Void) {
        scratch.fill { takeFrame(header: header, length: length, scratch: &$0, body) }
    }
}
