// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Glibc
import JSON
import Spool
import Syscalls

/// `elkeid-agent spool VERB DIR`: a look at records that wait, whether an agent runs or not.
struct SpoolCommand {
    static let help = """
        usage: elkeid-agent spool stat|verify|dump|repair DIR

        DIR is the folder "spool" in the agent's work_dir, that work_dir, or a copy of one of them.

          stat     how much waits in each lane
          verify   reads everything and tells which batches are lost: ends with 1 if there are any
          dump     the records that wait, a line of JSON for each
          repair   writes what can be read anew and sets damaged files aside; not while an agent runs

        """
    private static let damage: Int32 = 1
    private static let looks = 3
    private static let usageError: Int32 = 2
    private static let unusable: Int32 = 3

    private let print: (String) -> Void
    private let printError: (String) -> Void

    init(print: @escaping (String) -> Void, printError: @escaping (String) -> Void) {
        self.print = print
        self.printError = printError
    }

    /// - Returns: the exit code.
    func run(_ arguments: [String]) -> Int32 {
        if arguments == ["--help"] || arguments == ["-h"] {
            print(Self.help)
            return 0
        }
        guard arguments.count == 2 else {
            printError("elkeid-agent spool: a verb and a folder are needed\n\(Self.help)")
            return Self.usageError
        }
        let path = Self.folder(arguments[1])
        do throws(SpoolError) {
            switch arguments[0] {
            case "stat": return try stat(path)
            case "verify": return try verify(path)
            case "dump": return try dump(path)
            case "repair": return try repair(path)
            case let verb:
                printError("elkeid-agent spool: there is no \"\(verb)\"\n\(Self.help)")
                return Self.usageError
            }
        } catch {
            printError("elkeid-agent spool: \(error)\n")
            return Self.unusable
        }
    }

    private static func folder(_ given: String) -> String {
        let below = "\(given)/\(Agent.spoolFolder)"
        return unsafe access(below, F_OK) == 0 ? below : given
    }

    private func open(_ path: String) throws(SpoolError) -> SpoolStore {
        let store = try SpoolStore.inspecting(try FileDisk(path: path, isReadOnly: true))
        for note in store.notes { printError("\(path): \(note)\n") }
        return store
    }

    private func stat(_ path: String) throws(SpoolError) -> Int32 {
        let contents = try open(path).contents
        for lane in contents {
            let age = max(0, Int64(time(nil)) - Int64(clamping: lane.oldest))
            print(
                "lane \"\(lane.lane.name)\": \(lane.records) records in \(lane.end.sequence - lane.first.sequence) batches"
                    + ", \(lane.bytes) bytes in \(lane.segments) files, the oldest begun \(age) s ago"
                    + (lane.lane.isUrgent ? "; urgent\n" : "\n")
            )
        }
        let records = contents.reduce(0) { $0 + $1.records }
        print("\(records) records, \(contents.reduce(0) { $0 + $1.bytes }) bytes\n")
        return 0
    }

    private func verify(_ path: String) throws(SpoolError) -> Int32 {
        var store = try open(path)
        var losses = try store.verify()
        // A running agent writes and removes while this reads: what is lost is lost at a second look as well.
        for _ in 0..<Self.looks where !losses.isEmpty {
            store = try open(path)
            let again = try store.verify()
            losses = again.filter(losses.contains)
        }
        for loss in losses { print("\(loss)\n") }
        let lost = losses.filter { !$0.wasConfirmed }.reduce(0) { $0 + $1.records }
        let records = store.contents.reduce(0) { $0 + $1.records }
        print(losses.isEmpty ? "all \(records) records can be read\n" : "\(lost) of \(records) records are lost\n")
        return losses.isEmpty ? 0 : Self.damage
    }

    private func dump(_ path: String) throws(SpoolError) -> Int32 {
        let store = try open(path)
        for contents in store.contents {
            try store.forEachBatch(of: contents.lane) { batch throws(SpoolError) in
                let lines = Self.lines(batch, of: contents.lane)
                guard let lines else { throw SpoolError("decode", path, detail: "batch \(batch.position.sequence)") }
                print(lines)
            }
        }
        return 0
    }

    /// A batch is a message without its header: its records, one after the other.
    private static func lines(_ batch: SpoolBatch, of lane: SpoolLane) -> String? {
        guard let message = try? PackagedData(decoding: batch.payload) else { return nil }
        var text: [UInt8] = []
        for record in message.records {
            var fields: [String: JSONValue] = [:]
            if let payload = try? Payload(decoding: Array(batch.payload[record.data])) {
                for entry in payload.entries {
                    let name = String(decoding: entry.name, as: UTF8.self)
                    fields[name] = .string(String(decoding: entry.value, as: UTF8.self))
                }
            }
            let line: JSONValue = .object([
                "lane": .string(lane.name), "batch": .integer(Int64(clamping: batch.position.sequence)),
                "data_type": .integer(Int64(record.dataType)), "timestamp": .integer(record.timestamp),
                "fields": .object(fields),
            ])
            text += line.encoded
            text.append(UInt8(ascii: "\n"))
        }
        return String(decoding: text, as: UTF8.self)
    }

    private func repair(_ path: String) throws(SpoolError) -> Int32 {
        guard let held = try lock(path) else {
            printError("elkeid-agent spool: an agent uses \(path); stop it first, or repair a copy\n")
            return Self.unusable
        }
        return try repair(path, holding: held)
    }

    private func repair(_ path: String, holding lock: borrowing FileDescriptor) throws(SpoolError) -> Int32 {
        let losses = try SpoolStore.repair(try FileDisk(path: path)) { UInt64(time(nil)) }
        for loss in losses { print("\(loss)\n") }
        print(losses.isEmpty ? "there was nothing to repair\n" : "repaired; the damaged files are kept as *.aside\n")
        return 0
    }

    /// Nil when an agent has it.
    private func lock(_ path: String) throws(SpoolError) -> FileDescriptor? {
        do throws(Errno) {
            _ = try FileDescriptor.open(path, .directory)
            let lock = try FileDescriptor.open("\(path)/\(SpoolDriver.lockName)", .readWrite)
            guard try lock.tryLock() else { return nil }
            return lock
        } catch {
            throw SpoolError("lock", path, error)
        }
    }
}
