// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP2

/// Answers the server's PINGs before swift-nio-http2 sees them. Version 1.46 takes 200 control frames in 30 s for an
/// attack and closes the connection, and grpc-swift has no setting for that; but a grpc-go server that measures the
/// bandwidth sends a PING with each burst of data, 200 of them within a second at full speed.
final class PingResponder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let headerSize = 9
    private static let pingSize = headerSize + 8
    private static let pingType: UInt8 = 6
    private static let acknowledged: UInt8 = 1

    /// What has come and was not passed on: empty, or the start of a frame.
    private var held = ByteBuffer()
    /// How many bytes of the current frame are still to be passed on.
    private var passing = 0
    private var flushes = false

    /// Stands between TLS and HTTP/2 of a new connection.
    @Sendable
    static func install(in channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(PingResponder(), position: .before(pipeline.handler(type: NIOHTTP2Handler.self)))
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var input = unwrapInboundIn(data)
        held.writeBuffer(&input)
        var passed = context.channel.allocator.buffer(capacity: held.readableBytes)
        while held.readableBytes > 0 {
            if passing > 0, var part = held.readSlice(length: min(passing, held.readableBytes)) {
                passing -= passed.writeBuffer(&part)
            } else if !takeFrame(context) {
                break
            }
        }
        held.discardReadBytes()
        if passed.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(passed)) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if flushes { context.flush() }
        flushes = false
        context.fireChannelReadComplete()
    }

    /// Looks at the frame that starts here; false if too little of it has come.
    private func takeFrame(_ context: ChannelHandlerContext) -> Bool {
        let start = held.readerIndex
        guard let word = held.getInteger(at: start, as: UInt32.self), held.readableBytes >= Self.headerSize else {
            return false
        }
        let flags = held.getInteger(at: start + 4, as: UInt8.self) ?? 0
        let size = Self.headerSize + Int(word >> 8)
        guard UInt8(truncatingIfNeeded: word) == Self.pingType, size == Self.pingSize, flags & Self.acknowledged == 0
        else {
            passing = size
            return true
        }
        guard var answer = held.readSlice(length: size) else { return false }
        answer.setInteger(flags | Self.acknowledged, at: answer.readerIndex + 4)
        context.write(wrapOutboundOut(answer), promise: nil)
        flushes = true
        return true
    }
}
