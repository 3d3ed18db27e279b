// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

/// The records of the four plugin libraries: one contract, so the same tests for all.
extension Integration {
    @Suite struct PluginRecords {
        private static let fields = [
            RecordFrame.Field(key: Array("pid".utf8), value: Array("17".utf8)),
            RecordFrame.Field(key: Array("argv".utf8), value: [0xff, 0, 0x80]),
            RecordFrame.Field(key: [], value: []),
        ]

        @Test(arguments: PluginLanguage.allCases)
        func arriveInOrderAndAsTheyWere(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language)
            #expect(try probe.send(7001, 1_700_000_000, Self.fields) == "sent")
            #expect(try probe.send(-2, -1, []) == "sent")
            #expect(try probe.run("flush") == "ok")
            let first = try probe.record()
            #expect(first.dataType == 7001 && first.timestamp == 1_700_000_000 && first.fields == Self.fields)
            let second = try probe.record()
            #expect(second.dataType == -2 && second.timestamp == -1 && second.fields.isEmpty)
            #expect(try probe.finish() == 0)
        }

        /// Nobody flushes: the time does.
        @Test(arguments: PluginLanguage.allCases)
        func areWrittenAfterAWhile(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language)
            #expect(try probe.send(1, 2, Self.fields) == "sent")
            #expect(try probe.record().fields == Self.fields)
            // And again, after it had nothing to do.
            #expect(try probe.send(3, 2, []) == "sent")
            #expect(try probe.record().dataType == 3)
        }

        /// Nobody flushes, and time does not pass: what is full is written.
        @Test(arguments: PluginLanguage.allCases)
        func areWrittenWhenTheBufferIsFull(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, "flush=3600000", "buffer=4096")
            #expect(try probe.run("repeat 10 7 1000") == "sent 10 dropped 0")
            #expect(try probe.records(4).map { $0["n"] } == ["0", "1", "2", "3"])
        }

        @Test(arguments: PluginLanguage.allCases)
        func manyAtOnceAndEncodedOnes(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language)
            #expect(try probe.run("many 100 9") == "sent 100 dropped 0")
            // Fields in an order that no library would choose, and one that is unknown.
            let raw: [UInt8] = [0x1a, 0x00, 0x7a, 0x02, 0x68, 0x69, 0x10, 0x05, 0x08, 0x04]
            #expect(try probe.run("raw \(hex(raw))") == "sent")
            #expect(try probe.run("close") == "ok")
            let frames = try probe.records(100)
            #expect(frames.map { $0["n"] } == (0..<100).map { "\($0)" } && frames.allSatisfy { $0.dataType == 9 })
            #expect(throws: Failure.self, "as it was, the unknown field too") { try probe.record() }
        }

        @Test(arguments: PluginLanguage.allCases)
        func encodedOnesAreNotTouched(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language)
            let raw: [UInt8] = [0x1a, 0x00, 0x10, 0x05, 0x08, 0x04]
            #expect(try probe.run("raw \(hex(raw))") == "sent")
            #expect(try probe.run("flush") == "ok")
            #expect(try probe.record().bytes == raw)
        }

        @Test(arguments: PluginLanguage.allCases)
        func urgentOnesTakeTheirOwnPipe(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, offersHighPriority: true)
            #expect(try probe.send(1, 1, [], high: true) == "sent")
            #expect(try probe.send(2, 1, []) == "sent")
            #expect(try probe.run("raw 0803 high") == "sent")
            #expect(try probe.run("flush") == "ok")
            #expect(try probe.records(2, high: true).map(\.dataType) == [1, 3])
            #expect(try probe.record().dataType == 2)
        }

        @Test(arguments: PluginLanguage.allCases)
        func urgentOnesTakeTheOrdinaryPipeWhereThereIsNone(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language)
            #expect(try probe.send(1, 1, [], high: true) == "sent")
            #expect(try probe.send(2, 1, []) == "sent")
            #expect(try probe.run("flush") == "ok")
            #expect(try probe.records(2).map(\.dataType) == [1, 2])
        }

        /// The agent would take it for a broken stream.
        @Test(arguments: PluginLanguage.allCases)
        func onesThatAreTooLargeAreRefused(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, "record-limit=1000")
            #expect(try probe.run("repeat 1 5 1000") == "error record-too-large")
            let large = [RecordFrame.Field(key: [1], value: [UInt8](repeating: 2, count: 1000))]
            #expect(try probe.send(5, 1, large) == "error record-too-large")
            #expect(try probe.run("raw \(String(repeating: "00", count: 1001))") == "error record-too-large")
            #expect(try probe.run("repeat 1 6 900", "flush") == "sent 1 dropped 0")
            #expect(try probe.record().dataType == 6)
        }

        /// Larger than the buffer and than what a pipe holds.
        @Test(arguments: PluginLanguage.allCases)
        func hugeOnesArriveWhole(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, "buffer=8192")
            try probe.tell("repeat 3 5 3000000\nflush")
            let frames = try probe.records(3)
            #expect(frames.allSatisfy { $0["pad"]?.utf8.count == 3_000_000 })
            #expect(try probe.answer() == "sent 3 dropped 0")
        }

        @Test(arguments: PluginLanguage.allCases)
        func ofAllThreadsArriveEachInOrder(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, "buffer=4096")
            try probe.tell("threads 8 2000 11")
            var next: [String: Int] = [:]
            for frame in try probe.records(16_000) {
                let thread = try #require(frame["thread"])
                #expect(frame["n"] == "\(next[thread, default: 0])")
                next[thread, default: 0] += 1
            }
            #expect(try probe.answer() == "sent 16000 dropped 0")
            #expect(next.count == 8 && next.values.allSatisfy { $0 == 2000 })
        }

        // MARK: Back-pressure

        @Test(arguments: PluginLanguage.allCases)
        func waitForAnAgentThatDoesNotRead(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, "policy=block", "buffer=8192", pipeCapacity: 4096)
            // Many times what pipe and buffer hold.
            try probe.tell("repeat 2000 3 500\nflush\ndropped")
            let frames = try probe.records(2000)
            #expect(frames.map { $0["n"] } == (0..<2000).map { "\($0)" })
            #expect(try probe.answer() == "sent 2000 dropped 0")
            #expect(try probe.answer() == "ok")
            #expect(try probe.answer() == "0")
        }

        /// The new ones are given up and counted, nobody waits, and no frame is torn.
        @Test(arguments: PluginLanguage.allCases)
        func areDroppedWhereTheAuthorWantsIt(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, "policy=drop", "buffer=8192", pipeCapacity: 4096)
            let answer = try probe.run("repeat 2000 3 500")
            let numbers = answer.split(separator: " ").compactMap { Int($0) }
            try #require(numbers.count == 2, "\(answer)")
            #expect(numbers[0] + numbers[1] == 2000 && numbers[1] > 1900 && numbers[0] > 0, "\(answer)")
            #expect(try probe.run("dropped") == "\(numbers[1])")
            let frames = try probe.records(numbers[0])
            #expect(frames.map { $0["n"] } == (0..<numbers[0]).map { "\($0)" })
            // There is room again.
            #expect(try probe.run("repeat 1 4 500", "flush") == "sent 1 dropped 0")
            #expect(try probe.answer() == "ok")
            #expect(try probe.record().dataType == 4)
            #expect(try probe.run("dropped") == "\(numbers[1])")
        }

        /// Larger than the buffer, and half in the pipe: it is finished before anything else.
        @Test(arguments: PluginLanguage.allCases)
        func aHugeOneIsTakenByAnEmptyBuffer(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, "policy=drop", "buffer=8192", pipeCapacity: 4096)
            #expect(try probe.run("repeat 3 3 100000") == "sent 1 dropped 2")
            try probe.tell("flush")
            #expect(try probe.record()["pad"]?.utf8.count == 100_000)
            #expect(try probe.answer() == "ok")
            #expect(try probe.run("repeat 1 4 1", "flush") == "sent 1 dropped 0")
            #expect(try probe.record().dataType == 4)
        }

        // MARK: The end

        @Test(arguments: PluginLanguage.allCases)
        func areWrittenByClosing(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, "flush=3600000")
            #expect(try probe.send(1, 1, Self.fields) == "sent")
            #expect(try probe.run("close") == "ok")
            #expect(try probe.remainingRecords().count == 1)
            #expect(try probe.run("close") == "ok")
            #expect(try probe.send(1, 1, []) == "error closed")
            #expect(try probe.run("flush") == "error closed")
            #expect(try probe.run("many 2 1") == "error closed")
            #expect(try probe.run("raw 0801") == "error closed")
            #expect(try probe.finish() == 0)
        }

        /// One that drops does not wait for ever either.
        @Test(arguments: PluginLanguage.allCases)
        func closingGivesUpWhatNobodyTakes(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(
                language,
                "policy=drop",
                "buffer=65536",
                "close-timeout=50",
                pipeCapacity: 4096
            )
            #expect(try probe.run("repeat 100 3 500") == "sent 100 dropped 0")
            #expect(try probe.run("close") == "ok")
            let dropped = try #require(Int(try probe.run("dropped")))
            #expect(dropped > 80 && dropped < 100)
        }

        /// SIGPIPE has its default, which is to kill: the library must not let it come to that.
        @Test(arguments: PluginLanguage.allCases, ["block", "drop"])
        func anAgentThatIsGoneIsSaid(language: PluginLanguage, policy: String) throws {
            let probe = try PluginProbe.of(language, "policy=\(policy)", "flush=3600000")
            probe.closeRecords()
            #expect(try probe.send(1, 1, Self.fields) == "sent")
            #expect(try probe.run("flush") == "error agent-gone")
            #expect(try probe.send(1, 1, Self.fields) == "error agent-gone")
            // Tasks are another pipe.
            try probe.writeTasks(TaskFrame(dataType: 4).frame)
            #expect(try probe.run("receive") == "task 4 - - -")
            #expect(try probe.run("close") == "ok")
            #expect(try probe.finish() == 0)
        }

        /// A child of the plugin that had them would hide the plugin's end from the agent.
        @Test(arguments: PluginLanguage.allCases)
        func descriptorsAreNotForChildren(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, offersHighPriority: true)
            for descriptor in 3...5 {
                let facts = text(of: "/proc/\(probe.pid)/fdinfo/\(descriptor)")
                let flags = try #require(facts.split(separator: "\n").first { $0.hasPrefix("flags:") })
                let value = try #require(Int(flags.drop { !$0.isNumber }, radix: 8))
                #expect(value & 0o2_000_000 != 0, "\(descriptor): \(facts)")
            }
        }
    }
}
