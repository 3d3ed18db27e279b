// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Control
import Delivery
import ElkeidWire
import JSON
import Reactor

/// Shows a client of the control socket the records as they pass.
///
/// It looks at copies, of as much as there is time for: records beyond that, or faster than the client reads, are
/// counted and not shown. The way of the records to the server is the same whether somebody looks or not.
final class RecordTail {
    /// Bytes of records that are looked at in a second, and of one batch.
    static let bytesPerSecond = 1 << 20
    static let bytesPerBatch = 64 << 10
    /// Bytes of one value that are shown.
    static let valueLimit = 4096

    /// Which records are shown; nil: all.
    struct Filter: Equatable {
        var plugin: String?
        var dataType: Int32?

        /// - Returns: nil and the reason when the request names something that it cannot be.
        init(_ request: ControlRequest) throws(ControlRequest.Problem) {
            plugin = request.arguments["plugin"]?.string
            if plugin == nil, request.arguments["plugin"] ?? .null != .null {
                throw ControlRequest.Problem("plugin is the name of a plugin")
            }
            guard let type = request.arguments["type"], type != .null else { return }
            guard let value = type.integer, let dataType = Int32(exactly: value) else {
                throw ControlRequest.Problem("type is a data type: a number of 32 bits")
            }
            self.dataType = dataType
        }
    }

    let client: ControlClient
    private let filter: Filter
    private var budget = RecordTail.bytesPerSecond
    private var refilled = MonotonicTime.now()
    private var skipped: UInt64 = 0
    private var told = MonotonicTime.now()

    init(_ client: ControlClient, filter: Filter) {
        self.client = client
        self.filter = filter
    }

    /// A lane of records that wait for other lanes has the plugin's name in front.
    private func isShown(_ lane: Lane) -> Bool {
        guard let plugin = filter.plugin else { return true }
        return lane.name == plugin || lane.name == "\(plugin) (urgent)"
    }

    func show(_ batch: RecordBatch, of lane: Lane, at now: MonotonicTime) {
        guard isShown(lane) else { return }
        let elapsed = (now - refilled).seconds
        budget = min(Self.bytesPerSecond, budget + Int(elapsed * Double(Self.bytesPerSecond)))
        refilled = now
        // A record larger than a message travels alone.
        let length = min(batch.bytes.count, batch.count == 1 ? Self.bytesPerSecond : Self.bytesPerBatch)
        guard client.hasRoom, length <= budget else {
            skipped += UInt64(batch.count)
            return
        }
        budget -= length
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            var output = unsafe OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(buffer), initializedCount: 0)
            batch.bytes.copyFirst(length, into: &output)
            count = output.byteCount
        }
        show(bytes, count: batch.count, of: lane)
    }

    private func show(_ bytes: [UInt8], count: Int, of lane: Lane) {
        var reader = unsafe PackagedDataReader(bytes.span.bytes)
        var seen = 0
        var lines: [UInt8] = []
        // The last one may be cut off: it was not looked at.
        while let record = try? reader.nextRecord() {
            seen += 1
            if let dataType = filter.dataType, record.dataType != dataType { continue }
            lines += Self.line(record, bytes[record.data], of: lane)
        }
        let cutOff = UInt64(max(0, count - seen))
        let now = MonotonicTime.now()
        guard !lines.isEmpty || now - told >= .seconds(1) else {
            skipped += cutOff
            return
        }
        told = now
        // What was skipped before these; what comes behind them is said in front of the next ones.
        lines = takeSkipped() + lines
        skipped += cutOff
        if !lines.isEmpty { client.send(lines) }
    }

    /// Says how many were not looked at since the last line.
    private func takeSkipped() -> [UInt8] {
        guard skipped > 0 else { return [] }
        defer { skipped = 0 }
        return Self.event("skipped", ["records": .count(skipped)])
    }

    private static func line(_ record: EncodedRecord, _ data: ArraySlice<UInt8>, of lane: Lane) -> [UInt8] {
        var members: [String: JSONValue] = [
            "plugin": .string(lane.name), "data_type": .integer(Int64(record.dataType)),
            "timestamp": .integer(record.timestamp),
        ]
        do throws(WireError) {
            var fields: [String: JSONValue] = [:]
            for entry in try Payload(decoding: Array(data)).entries {
                let isCut = entry.value.count > valueLimit
                let value = String(decoding: entry.value.prefix(valueLimit), as: UTF8.self)
                fields[String(decoding: entry.name.prefix(valueLimit), as: UTF8.self)] = .string(
                    isCut ? "\(value)… (\(entry.value.count) bytes)" : value
                )
            }
            members["fields"] = .object(fields)
        } catch {
            members["unreadable"] = .string("its payload is no map of texts: \(error)")
        }
        return event("record", members)
    }

    private static func event(_ name: String, _ members: [String: JSONValue]) -> [UInt8] {
        var members = members
        members["event"] = .string(name)
        return JSONValue.object(members).encoded + [UInt8(ascii: "\n")]
    }
}
