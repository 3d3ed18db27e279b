// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Packs the records of all pipes into messages. Lives on its event loop; not for other threads.
final class RecordBatcher {
    typealias Messages = NIOAsyncSequenceProducer<
        ByteBuffer, NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark, Demand
    >

    private static let linger = TimeAmount.milliseconds(100)
    /// Messages that wait for the stream: pipes are read until there are so many.
    private static let depth = 2

    private let loop: any EventLoop
    private let header: ByteBuffer
    private var batch: ByteBuffer
    private var lingering: Scheduled<Void>?
    private var messages: Messages.Source?
    private var openPipes: Int
    private var parked: [ChannelHandlerContext] = []
    /// Whether pipes should be read.
    private(set) var hasDemand = true

    init(loop: any EventLoop, header: ByteBuffer, pipes: Int) {
        self.loop = loop
        self.header = header
        openPipes = pipes
        batch = ByteBuffer()
        startBatch()
    }

    /// What there is to send, in order; it ends after the last pipe.
    func makeMessages() -> Messages {
        let made = Messages.makeSequence(
            backPressureStrategy: .init(lowWatermark: 1, highWatermark: Self.depth),
            finishOnDeinit: false,
            delegate: Demand(batcher: NIOLoopBound(self, eventLoop: loop))
        )
        messages = made.source
        return made.sequence
    }

    /// Takes the whole frames at the start of `input`; returns how many bytes they have.
    func append(_ input: UnsafeRawBufferPointer) -> Int {
        var consumed = 0
        while true {
            let rest = UnsafeRawBufferPointer(rebasing: input[consumed...])
            let outcome = splice(rest, room: PackagedData.size - batch.readableBytes)
            consumed += outcome.consumed
            guard outcome.stop == .outputFull else { break }
            if batch.readableBytes == header.readableBytes {
                // A record that fits into no message travels alone.
                let room = Int(FrameSplicer.length(at: consumed, of: input)) + 1 + Varint.maximumSize
                let alone = UnsafeRawBufferPointer(rebasing: input[consumed...].prefix(room))
                consumed += splice(alone, room: room).consumed
            }
            send()
        }
        if lingering == nil, batch.readableBytes > header.readableBytes {
            lingering = loop.assumeIsolated().scheduleTask(in: Self.linger) { self.send() }
        }
        return consumed
    }

    private func splice(_ input: UnsafeRawBufferPointer, room: Int) -> FrameSplicer.Outcome {
        var outcome = FrameSplicer.Outcome()
        batch.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { output in
            outcome = FrameSplicer.splice(input, to: UnsafeMutableRawBufferPointer(rebasing: output.prefix(room)))
            return outcome.written
        }
        return outcome
    }

    private func send() {
        lingering?.cancel()
        lingering = nil
        if messages?.yield(batch) == .stopProducing { hasDemand = false }
        startBatch()
    }

    private func startBatch() {
        batch = ByteBufferAllocator().buffer(capacity: PackagedData.size)
        batch.writeImmutableBuffer(header)
    }

    /// The pipe is read again when there is demand.
    func park(_ context: ChannelHandlerContext) { parked.append(context) }

    func pipeEnded() {
        openPipes -= 1
        guard openPipes == 0 else { return }
        if batch.readableBytes > header.readableBytes { send() }
        messages?.finish()
    }

    fileprivate func resume() {
        hasDemand = true
        let waiting = parked
        parked.removeAll()
        for context in waiting { context.read() }
    }

    /// Tells the batcher that the stream has taken what waited.
    struct Demand: NIOAsyncSequenceProducerDelegate {
        let batcher: NIOLoopBound<RecordBatcher>

        func produceMore() { batcher.eventLoop.execute { batcher.value.resume() } }

        func didTerminate() {}
    }
}
