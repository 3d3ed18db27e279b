// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
public import Compression

/// Why the peer's messages cannot be read any further; the call must end.
public enum MessageError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The length announced, or reached by decompression, is over the limit.
    case tooLarge(bytes: Int, limit: Int)
    /// The compressed flag is neither 0 nor 1.
    case flag(UInt8)
    /// The flag says compressed, but no compression was announced.
    case notAnnounced
    case corrupt(CompressionError)
    /// The stream ended inside a message.
    case truncated(missing: Int)

    public var description: String {
        switch self {
        case .tooLarge(let bytes, let limit): "a message of at least \(bytes) bytes, the limit is \(limit)"
        case .flag(let value): "a message with compressed flag \(value), neither 0 nor 1: this is not gRPC"
        case .notAnnounced: "a compressed message on a stream that announced no compression"
        case .corrupt(let error): "a compressed message that cannot be read: \(error)"
        case .truncated(let missing): "the stream ended \(missing) bytes before the end of a message"
        }
    }
}

/// Cuts the byte stream of a call into messages: flag, length, body, decompressed in bounded steps.
public struct MessageDecoder {
    /// What Agent Center and its clients agree on; before and after decompression.
    public static let defaultLimit = 10 << 20
    /// Bytes in front of each message: the compressed flag and a big-endian length.
    static let prefixSize = 5

    public enum Step: Equatable {
        case message([UInt8])
        /// Nothing more can be said before more bytes are fed.
        case needsInput
        /// The budget is used up; call again in another turn.
        case working
    }

    private let limit: Int
    private var buffer: [UInt8] = []
    private var start = 0
    private var coding = ContentCoding.identity
    private var decompressor: Decompressor?
    private var output: ScratchBuffer?
    /// The message under decompression: what has been consumed of its body, and what came out.
    private var consumed: Int?
    private var plain: [UInt8] = []

    public init(limit: Int = MessageDecoder.defaultLimit) { self.limit = limit }

    /// Tells how the peer compresses, from its headers.
    public mutating func use(_ coding: ContentCoding) {
        guard coding != self.coding else { return }
        self.coding = coding
        decompressor = coding == .identity ? nil : Decompressor(coding)
        output = coding == .identity ? nil : ScratchBuffer(capacity: Decompressor.maximumStep)
    }

    /// Appends bytes of DATA frames. They are copied: messages to an agent are few and small.
    public mutating func feed(_ bytes: RawSpan) {
        if start > 0 && start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.count < 1 << 20)
            start = 0
        }
        unsafe bytes.withUnsafeBytes { unsafe buffer.append(contentsOf: $0) }
    }

    /// The next message, if it is complete. Decompresses at most about `budget` bytes before it answers `working`.
    public mutating func next(budget: Int = 1 << 20) throws(MessageError) -> Step {
        let available = buffer.count - start
        guard available >= Self.prefixSize else { return .needsInput }
        let flag = buffer[start]
        let length = buffer[(start + 1)..<(start + 5)].reduce(0) { $0 << 8 | Int($1) }
        guard flag <= 1 else { throw .flag(flag) }
        guard length <= limit else { throw .tooLarge(bytes: length, limit: limit) }
        if flag == 1 && decompressor == nil { throw .notAnnounced }
        guard available >= Self.prefixSize + length else { return .needsInput }
        let body = (start + Self.prefixSize)..<(start + Self.prefixSize + length)
        if flag == 0 {
            let message = Array(buffer[body])
            advance(to: body.upperBound)
            return .message(message)
        }
        guard try decompress(body, budget: budget) else { return .working }
        let message = plain
        plain = []
        consumed = nil
        advance(to: body.upperBound)
        return .message(message)
    }

    /// Call when the peer has ended its half.
    public func finish() throws(MessageError) {
        let available = buffer.count - start
        guard available > 0 else { return }
        guard available >= Self.prefixSize else { throw .truncated(missing: Self.prefixSize - available) }
        let length = buffer[(start + 1)..<(start + 5)].reduce(0) { $0 << 8 | Int($1) }
        // A complete message may wait for its turn to be decompressed.
        guard available < Self.prefixSize + length else { return }
        throw .truncated(missing: Self.prefixSize + length - available)
    }

    private mutating func advance(to end: Int) {
        start = end
        // What stays behind is at most the beginning of another message: move it to the front when that is cheap.
        if start >= 64 << 10 && buffer.count - start <= start {
            buffer.removeSubrange(..<start)
            start = 0
        }
    }

    /// True when the message is complete in `plain`.
    private mutating func decompress(_ body: Range<Int>, budget: Int) throws(MessageError) -> Bool {
        guard let decompressor, let output else { throw .notAnnounced }
        // A reference of its own, so that the span below does not keep all of self borrowed.
        let buffer = self.buffer
        var done = consumed ?? 0
        if consumed == nil { decompressor.reset() }
        var spent = 0
        while spent < budget {
            let input = unsafe buffer.span.bytes.extracting((body.lowerBound + done)..<body.upperBound)
            let result: StepResult
            do throws(CompressionError) {
                result = try output.fill { (span) throws(CompressionError) in
                    try decompressor.step(input, isLast: true, into: &span)
                }
            } catch {
                throw .corrupt(error)
            }
            done += result.consumed
            // Input that produces nothing still costs time: no step is free of charge.
            spent += max(output.count, 1024)
            let total = plain.count + output.count
            guard total <= limit else { throw .tooLarge(bytes: total, limit: limit) }
            output.append(to: &plain)
            if result.finished { return true }
        }
        consumed = done
        return false
    }
}
