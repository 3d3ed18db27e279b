// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Buffers
public import Compression
public import HTTP2

/// Makes gRPC messages of chains: the five bytes of prefix and the body behind them, shared or compressed.
///
/// Without compression a message is ready at once and nothing of the body is copied. With compression it is made in
/// steps of at most 64 KiB of input, so that the loop can do other things in between.
public final class MessageAssembler {
    public let coding: ContentCoding
    private let arena: Arena
    private let compressor: Compressor?
    /// The body under compression.
    private var input = BufferChain()
    private var output = BufferChain()

    /// - Parameter arena: where prefixes and compressed bytes go.
    public init(_ coding: ContentCoding, arena: Arena) {
        self.coding = coding
        self.arena = arena
        compressor = coding == .identity ? nil : Compressor(coding)
    }

    public var isBusy: Bool { !input.isEmpty }

    /// Starts a message. The result is nil when it takes steps: then call `step` until it gives the message.
    public func begin(_ body: consuming BufferChain) -> BufferChain? {
        precondition(!isBusy, "one message at a time")
        guard let compressor, !body.isEmpty else { return framed(body, flag: 0) }
        compressor.reset()
        input = body
        output = BufferChain()
        return nil
    }

    /// Queues a message without compression on `stream`: prefix and `head` are copied into one place, `body` is not.
    ///
    /// - Returns: its size on the stream, in bytes.
    public func send(_ head: RawSpan, _ body: borrowing BufferChain, on stream: HTTP2Stream) -> Int {
        let length = head.byteCount + body.count
        let prefix = Self.prefix(length, flag: 0)
        guard let slab = arena.slab(room: prefix.count + head.byteCount, beyondLimit: true) else { return 0 }
        stream.append(slab.append(unsafe prefix.span.bytes))
        stream.append(slab.append(head))
        stream.append(body)
        return prefix.count + length
    }

    /// Length-prefixed messages of gRPC over HTTP2: the compressed flag and four bytes, big-endian.
    private static func prefix(_ length: Int, flag: UInt8) -> InlineArray<5, UInt8> {
        let length = UInt32(length)
        return [
            flag, UInt8(truncatingIfNeeded: length >> 24), UInt8(truncatingIfNeeded: length >> 16),
            UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: length),
        ]
    }

    /// Compresses the next part. The message, when that was the last.
    public func step() throws(CompressionError) -> BufferChain? {
        guard let compressor, let segment = input.first else { return nil }
        let part = min(segment.count, Compressor.maximumStep)
        let isLast = part == input.count
        var consumed = 0
        var finished = false
        // The output of one step may not fit in one slab.
        while consumed < part || (isLast && !finished) {
            guard let slab = arena.slab(room: 4096, beyondLimit: true) else { return nil }
            let (result, written) = try slab.append { (span) throws(CompressionError) in
                try segment.slice(consumed..<part).withBytes { (bytes) throws(CompressionError) in
                    try compressor.step(bytes, isLast: isLast, into: &span)
                }
            }
            consumed += result.consumed
            finished = result.finished
            output.append(written)
        }
        input.removeFirst(part)
        guard finished else { return nil }
        let body = output
        output = BufferChain()
        return framed(body, flag: 1)
    }

    private func framed(_ body: borrowing BufferChain, flag: UInt8) -> BufferChain {
        let prefix = Self.prefix(body.count, flag: flag)
        var message = BufferChain()
        unsafe arena.append(prefix.span.bytes, to: &message)
        message.append(body)
        return message
    }
}
