// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix

/// Hands the frames of one pipe to the batcher; reads no more while there is no demand.
final class PipeHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never

    /// A buffer that a long frame made larger than that is not kept.
    private static let keptCapacity = 1 << 20

    private let batcher: RecordBatcher
    /// The start of a frame whose end has not come yet. What is left of it when the pipe ends is dropped.
    private var partial = ByteBuffer()

    init(_ batcher: RecordBatcher) { self.batcher = batcher }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if partial.readableBytes > 0 { completePartial(from: &buffer) }
        buffer.readWithUnsafeReadableBytes { batcher.append($0) }
        if buffer.readableBytes > 0 {
            partial.writeBuffer(&buffer)
            reservePartial()
        }
    }

    func read(context: ChannelHandlerContext) {
        if batcher.hasDemand { context.read() } else { batcher.park(context) }
    }

    func channelInactive(context: ChannelHandlerContext) { batcher.pipeEnded() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail("reading a pipe: \(error)") }

    private func completePartial(from buffer: inout ByteBuffer) {
        take(upTo: FrameSplicer.prefixSize, from: &buffer)
        guard let size = reservePartial() else { return }
        take(upTo: size, from: &buffer)
        guard partial.readableBytes == size else { return }
        partial.readWithUnsafeReadableBytes { batcher.append($0) }
        if partial.capacity > Self.keptCapacity { partial = ByteBuffer() } else { partial.clear() }
    }

    private func take(upTo size: Int, from buffer: inout ByteBuffer) {
        let wanted = max(0, size - partial.readableBytes)
        guard var part = buffer.readSlice(length: min(wanted, buffer.readableBytes)) else { return }
        partial.writeBuffer(&part)
    }

    /// Makes room for the whole frame; returns its size with its prefix, once that is known.
    @discardableResult
    private func reservePartial() -> Int? {
        guard partial.readableBytes >= FrameSplicer.prefixSize else { return nil }
        let length = partial.withUnsafeReadableBytes { FrameSplicer.length(at: 0, of: $0) }
        let size = FrameSplicer.prefixSize + Int(length)
        partial.reserveCapacity(size)
        return size
    }
}

/// Reads an inherited pipe into the batcher until its end.
func openPipe(_ descriptor: CInt, into batcher: NIOLoopBound<RecordBatcher>) async {
    // swift-nio takes a descriptor that is not open for a mistake of the program.
    guard fcntl(descriptor, F_GETFD) >= 0 else { fail("descriptor \(descriptor) is not open") }
    growPipe(descriptor)
    do {
        _ = try await NIOPipeBootstrap(group: batcher.eventLoop)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65_536))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(PipeHandler(batcher.value))
                }
            }
            .takingOwnershipOfDescriptor(input: descriptor)
            .get()
    } catch {
        fail("descriptor \(descriptor) cannot be read: \(error)")
    }
}

/// Asks for 1 MiB, as the agent does; the kernel may refuse, and then the pipe stays as it is.
private func growPipe(_ descriptor: CInt) {
    // F_SETPIPE_SZ, which Glibc does not show.
    let setPipeSize: CInt = 1031
    _ = fcntl(descriptor, setPipeSize, 1 << 20)
}
