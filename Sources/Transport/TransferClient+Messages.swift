// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import Delivery
import ElkeidWire
import GRPC
import HTTP2
import Logging
import Reactor

// What passes on the stream: messages made of batches, and commands made of messages.
extension TransferClient {
    func sendHeartbeat() {
        guard let delegate else { return }
        let batch = outbox.begin(delegate.makeHeartbeat(), on: ownLane)
        startMessage(batch)
        if assembling != nil { compressLater.schedule() }
        connection?.flush()
    }

    /// Takes batches from the outbox while the stream has less than a refill ahead.
    func appendMessages() {
        guard let stream, !stream.isClosed else { return }
        while isAccepted, !isEnding, assembling == nil, stream.pendingBytes < Self.aheadOfFraming, maySend {
            guard let batch = outbox.next() else {
                if onStopped != nil { finishSending() }
                return
            }
            startMessage(batch)
        }
        if assembling != nil && !isEnding { compressLater.schedule() }
    }

    /// What is unconfirmed is sent twice when the connection breaks, and held until then. But a server returns credit in
    /// steps of a quarter of its window, and less the message that it reads: below half a window and some messages it
    /// would be waited for in vain.
    private var maySend: Bool {
        let window = (connection?.http?.peerInitialWindow ?? 0) / 2 + 3 * largestMessage
        return outbox.inFlightBytes < max(Self.unconfirmedMinimum, window)
            || confirmation.unconfirmedBytes < UInt64(window)
    }

    private func startMessage(_ batch: Batch) {
        // Encoded once by the delegate, and the same array until they change.
        if let current = delegate?.messageHeader() { encodedHeader = current }
        guard assembler.coding != .identity else {
            guard let stream, !stream.isClosed, !isEnding else { return }
            return sent(batch, assembler.send(unsafe encodedHeader.span.bytes, batch.records.bytes, on: stream))
        }
        var body = BufferChain()
        unsafe arena.append(encodedHeader.span.bytes, to: &body)
        body.append(batch.records.bytes)
        if let message = assembler.begin(body) {
            appendMessage(message, of: batch)
        } else {
            assembling = batch
        }
    }

    private func appendMessage(_ message: BufferChain, of batch: Batch) {
        guard let stream, !stream.isClosed, !isEnding else { return }
        stream.append(message)
        sent(batch, message.count)
    }

    /// The batch's message, of `size` bytes, is queued on the stream.
    private func sent(_ batch: Batch, _ size: Int) {
        streamOffset += UInt64(size)
        traffic.messagesSent += 1
        traffic.recordsSent += UInt64(batch.records.count)
        largestMessage = max(largestMessage, size)
        outbox.sent(batch, end: streamOffset)
        confirmation.sent(size, at: MonotonicTime.now())
        if !confirmTimer.isArmed { confirmByPing() }
    }

    /// One bounded step of compression; the loop turns in between.
    func compressStep() {
        guard let batch = assembling, stream != nil else { return }
        do throws(CompressionError) {
            guard let message = try assembler.step() else { return compressLater.schedule() }
            // When our half has ended meanwhile, the batch stays here and goes back to its lane with the rest.
            if isEnding { return }
            assembling = nil
            appendMessage(message, of: batch)
            connection?.flush()
        } catch {
            endReason = "compression failed: \(error)"
            connection?.close(endReason ?? "")
        }
    }

    func decodeMessages() {
        while stream != nil {
            do throws(MessageError) {
                switch try decoder.next() {
                case .needsInput: return
                case .working: return decodeLater.schedule()
                case .message(let bytes): receive(bytes)
                }
            } catch {
                return protocolFailure("\(error)")
            }
        }
    }

    private func receive(_ bytes: [UInt8]) {
        do throws(WireError) {
            let command = try Command(decoding: bytes)
            traffic.commandsReceived += 1
            confirmation.accepted()
            takenByServer()
            confirm()
            delegate?.received(command)
        } catch {
            protocolFailure("a malformed Command: \(error)")
        }
    }
}
