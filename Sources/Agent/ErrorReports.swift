// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Delivery
import ElkeidWire
import Glibc
import Logging
import Reactor

/// Sends what the agent logs as an error to the server as well: data type 1010, one record each, sampled.
///
/// Never recursive: records are made in a later turn, and what is logged while one is made stays in the log.
final class ErrorReports {
    static let dataType: Int32 = 1010
    /// Records of this kind that wait while no server is there; beyond them the log has to do.
    static let queueLimit: UInt64 = 512
    /// Metadata that the server knows by these names.
    private static let known = [("plugin", "plugin"), ("version", "pver"), ("signature", "psign"), ("token", "token")]

    private struct Report {
        let time: Int64
        let level: String
        let source: String
        let message: String
        let fields: [(name: String, value: String)]
        let suppressed: UInt64
    }

    private let outbox: Outbox
    private let lane: Lane
    private var sampler = ErrorSampler()
    private var waiting: [Report] = []
    private var isSending = false
    private let makeBatch: (RecordBuilder) -> RecordBatch
    private let onQueued: () -> Void
    private let reactor: Reactor
    private lazy var later = reactor.makeDeferred { [unowned self] in self.send() }

    init(
        outbox: Outbox,
        lane: Lane,
        reactor: Reactor,
        makeBatch: @escaping (RecordBuilder) -> RecordBatch,
        onQueued: @escaping () -> Void
    ) {
        self.outbox = outbox
        self.lane = lane
        self.makeBatch = makeBatch
        self.onQueued = onQueued
        self.reactor = reactor
    }

    func logged(_ event: LogEvent, _ metadata: Logger.Metadata) {
        guard event.level >= .error, !isSending, lane.ledger.queued + lane.ledger.spooled < Self.queueLimit else {
            return
        }
        let message = "\(event.message)"
        guard let suppressed = sampler.allow(message, at: MonotonicTime.now()) else { return }
        let fields = Self.known.compactMap { key, name in metadata[key].map { (name, "\($0)") } }
        waiting.append(
            Report(
                time: Int64(time(nil)),
                level: event.level.rawValue,
                source: "\(event.file):\(event.line)",
                message: message,
                fields: fields,
                suppressed: suppressed
            )
        )
        later.schedule()
    }

    /// Makes records of what waits for the next turn.
    func send() {
        isSending = true
        defer { isSending = false }
        for report in waiting {
            var builder = RecordBuilder()
            builder.begin(dataType: Self.dataType, timestamp: report.time)
            builder.append("level", report.level)
            builder.append("source", report.source)
            builder.append("msg", report.message)
            for field in report.fields { builder.append(field.name, field.value) }
            if report.suppressed > 0 { builder.append("suppressed", "\(report.suppressed)") }
            outbox.enqueueOwn(makeBatch(builder), on: lane)
        }
        waiting.removeAll(keepingCapacity: true)
        onQueued()
    }
}
