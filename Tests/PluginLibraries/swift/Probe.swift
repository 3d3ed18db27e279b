// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc

/// Carries out the commands.
struct Probe {
    let client: PluginClient
    let output: ProbeOutput
    private let logger: PluginLogger

    init(client: PluginClient, output: ProbeOutput) {
        self.client = client
        self.output = output
        logger = PluginLogger(client: client, level: .debug)
    }

    /// - Returns: false for the command `exit`.
    func perform(_ line: String, _ input: borrowing ProbeInput) -> Bool {
        let words = line.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        let priority: RecordPriority = words.last == "high" ? .high : .normal
        let numbers = words.map { Int($0) ?? 0 }
        switch (words.first, words.count) {
        case (nil, _): break
        case ("exit", _): return false
        case ("record", 3...4):
            let fields = readFields(input)
            answer { () throws(PluginError) in
                let result = try client.send(
                    dataType: Int32(truncatingIfNeeded: numbers[1]),
                    timestamp: Int64(numbers[2]),
                    priority: priority
                ) { (record) in
                    for (key, value) in fields { record.add(key, bytes: value) }
                }
                return name(result)
            }
        case ("repeat", 4...5):
            answer { () throws(PluginError) in
                try sendRepeatedly(numbers[1], type: Int32(numbers[2]), size: numbers[3], priority)
            }
        case ("many", 3):
            answer { () throws(PluginError) in
                let type = Int32(numbers[2])
                let counts = try client.send(each: 0..<numbers[1], dataType: type, timestamp: 1) { (index, record) in
                    record.add("n", index)
                }
                return name(counts)
            }
        case ("raw", 2...3):
            guard let record = bytes(hex: words[1]) else { return unknown(line) }
            answer { () throws(PluginError) in name(try client.send(encoded: record, priority: priority)) }
        case ("flush", 1):
            answer { () throws(PluginError) in
                try client.flush()
                return "ok"
            }
        case ("close", 1):
            client.close()
            output.write(line: "ok")
        case ("receive", 1): answer { () throws(PluginError) in try client.receive().map(name) ?? "end" }
        case ("receive", 2):
            answer { () throws(PluginError) in
                switch try client.receive(timeoutMilliseconds: numbers[1]) {
                case .task(let task): name(task)
                case .timedOut: "timeout"
                case .endOfAgent: "end"
                }
            }
        case ("receive-all", 1): receiveAll()
        case ("dropped", 1): output.write(line: "\(client.dropped)")
        case ("log", 2...): log(words)
        case ("threads", 4): threads(numbers[1], numbers[2], type: Int32(numbers[3]))
        case ("sleep", 2):
            usleep(UInt32(numbers[1]) * 1000)
            output.write(line: "ok")
        default: return unknown(line)
        }
        return true
    }

    private func unknown(_ line: String) -> Bool {
        output.write(line: "unknown command: \(line)")
        return true
    }

    private func answer(_ body: () throws(PluginError) -> String) {
        do throws(PluginError) {
            output.write(line: try body())
        } catch {
            output.write(line: "error \(error.kind)")
        }
    }

    /// The lines `field KEY VALUE` up to the line `send`.
    private func readFields(_ input: borrowing ProbeInput) -> [(String, [UInt8])] {
        var fields: [(String, [UInt8])] = []
        while let line = input.next(), line != "send" {
            let words = line.split(separator: " ")
            guard words.count == 3, words[0] == "field", let key = bytes(hex: words[1]),
                let value = bytes(hex: words[2])
            else { continue }
            fields.append((String(decoding: key, as: UTF8.self), value))
        }
        return fields
    }

    private func sendRepeatedly(
        _ count: Int,
        type: Int32,
        size: Int,
        _ priority: RecordPriority
    ) throws(PluginError) -> String {
        let padding = [UInt8](repeating: UInt8(ascii: "x"), count: size)
        var counts = SendCounts(sent: 0, dropped: 0)
        for index in 0..<count {
            let result = try client.send(dataType: type, timestamp: 1, priority: priority) { (record) in
                record.add("n", index)
                record.add("pad", bytes: padding)
            }
            if result == .sent { counts.sent += 1 } else { counts.dropped += 1 }
        }
        return name(counts)
    }

    private func receiveAll() {
        while true {
            do throws(PluginError) {
                guard let task = try client.receive() else { return output.write(line: "end") }
                output.write(line: name(task))
            } catch {
                output.write(line: "error \(error.kind)")
                switch error {
                case .malformedTask, .incompleteTask: continue
                default: return
                }
            }
        }
    }

    private func log(_ words: [String]) {
        let text = words.dropFirst(2).joined(separator: " ")
        switch words[1] {
        case "debug": logger.debug(text)
        case "info": logger.info(text)
        case "warn", "warning": logger.warning(text)
        default: logger.error(text)
        }
        output.write(line: "ok")
    }

    /// As many threads as wanted send at once.
    private func threads(_ threads: Int, _ records: Int, type: Int32) {
        let senders = (0..<threads).map { (thread) in
            ProbeThread { [client] () throws(PluginError) -> SendCounts in
                var counts = SendCounts(sent: 0, dropped: 0)
                for index in 0..<records {
                    let result = try client.send(dataType: type, timestamp: 1) { (record) in
                        record.add("thread", thread)
                        record.add("n", index)
                    }
                    if result == .sent { counts.sent += 1 } else { counts.dropped += 1 }
                }
                return counts
            }
        }
        let results = senders.map { $0.join() }
        answer { () throws(PluginError) in
            var total = SendCounts(sent: 0, dropped: 0)
            for result in results {
                let counts = try result.get()
                total.sent += counts.sent
                total.dropped += counts.dropped
            }
            return name(total)
        }
    }

    // MARK: Answers

    private func name(_ result: SendResult) -> String {
        result == .sent ? "sent" : "dropped"
    }

    private func name(_ counts: SendCounts) -> String {
        "sent \(counts.sent) dropped \(counts.dropped)"
    }

    private func name(_ task: PluginTask) -> String {
        "task \(task.dataType) \(hex(task.objectName.utf8)) \(hex(task.data.utf8)) \(hex(task.token.utf8))"
    }
}
