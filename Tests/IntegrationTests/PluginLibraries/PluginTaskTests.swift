// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

/// Tasks for plugins of the four libraries.
extension Integration {
    @Suite struct PluginTasks {
        private static let tasks = [
            TaskFrame(dataType: 5050, objectName: "collector", data: "{\"a\":1}", token: "t1"),
            TaskFrame(dataType: 0), TaskFrame(dataType: -1, data: "é", token: "t3"),
        ]

        @Test(arguments: PluginLanguage.allCases)
        func inOneWrite(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language)
            try probe.writeTasks(Self.tasks.flatMap(\.frame))
            for task in Self.tasks { #expect(try probe.run("receive") == task.line) }
            #expect(try probe.run("receive 0") == "timeout")
            probe.closeTasks()
            #expect(try probe.run("receive") == "end")
            #expect(try probe.run("receive 1000") == "end")
        }

        @Test(arguments: PluginLanguage.allCases)
        func oneByteAtATime(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language)
            let frame = Self.tasks[0].frame
            for byte in frame.dropLast() {
                try probe.writeTasks([byte])
                // What has come is kept.
                #expect(try probe.run("receive 0") == "timeout")
            }
            try probe.tell("receive")
            try probe.writeTasks([frame[frame.count - 1]])
            #expect(try probe.answer() == Self.tasks[0].line)
        }

        @Test(arguments: PluginLanguage.allCases)
        func asLargeAsTheyMayBe(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language)
            var task = TaskFrame(dataType: 1)
            // Type and length before it.
            task.data = String(repeating: "d", count: (1 << 20) - 6)
            #expect(task.body.count == 1 << 20)
            try probe.tell("receive")
            try probe.writeTasks(task.frame + Self.tasks[0].frame)
            #expect(try probe.answer() == task.line)
            #expect(try probe.run("receive") == Self.tasks[0].line)
        }

        @Test(arguments: PluginLanguage.allCases)
        func oneThatIsTooLargeEndsThem(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, "task-limit=100")
            try probe.writeTasks(TaskFrame.length(100) + [UInt8](repeating: 0, count: 100))
            #expect(try probe.run("receive") == "error malformed-task")
            try probe.writeTasks(TaskFrame.length(101))
            #expect(try probe.run("receive") == "error task-too-large")
            #expect(try probe.run("receive") == "error task-too-large")
            #expect(try probe.run("receive 0") == "error task-too-large")
            // Records go on.
            #expect(try probe.run("repeat 1 2 3") == "sent 1 dropped 0")
            #expect(try probe.record().dataType == 2)
        }

        @Test(arguments: PluginLanguage.allCases)
        func anEndWithinOneIsSaidOnce(language: PluginLanguage) throws {
            for cut in [1, 4, 7] {
                let probe = try PluginProbe.of(language)
                try probe.writeTasks(Self.tasks[1].frame + Self.tasks[0].frame.prefix(cut))
                probe.closeTasks()
                #expect(try probe.run("receive") == Self.tasks[1].line)
                #expect(try probe.run("receive") == "error incomplete-task", "after \(cut) bytes")
                #expect(try probe.run("receive") == "end")
            }
        }

        // MARK: Signals

        /// It still sends what it has.
        @Test(arguments: PluginLanguage.allCases)
        func endWithTheFirstSIGTERM(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language)
            try probe.tell("receive")
            probe.send(signal: SIGTERM)
            #expect(try probe.answer() == "end")
            #expect(try probe.run("receive 0") == "end")
            #expect(try probe.run("repeat 1 2 3") == "sent 1 dropped 0")
            #expect(try probe.run("close") == "ok")
            #expect(try probe.remainingRecords().count == 1)
            probe.send(signal: SIGTERM)
            #expect(probe.reap() == 128 + SIGTERM)
        }

        @Test(arguments: PluginLanguage.allCases)
        func signalsAreTheAuthorsBusinessIfHeWants(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language, "sigterm=off")
            probe.send(signal: SIGTERM)
            #expect(probe.reap() == 128 + SIGTERM)
        }

        // MARK: Starting

        @Test(arguments: PluginLanguage.allCases)
        func withoutAnAgentThereIsAnError(language: PluginLanguage) throws {
            let program = try language.probe()
            let closed = try output(of: .shell("exec 3>&- 4>&-; '\(program)' </dev/null"))
            #expect(closed.text == "error descriptor-not-open\n" && closed.status == 1)
            let file = try output(of: .shell("exec 3</dev/zero 4>/dev/zero; '\(program)' </dev/null"))
            #expect(file.text == "error descriptor-unusable\n" && file.status == 1)
            let backwards = try output(of: .shell("echo | { true | '\(program)' 3>&1 4<&0; }"))
            #expect(backwards.text == "error descriptor-unusable\n" && backwards.status == 1)
        }

        // MARK: Log

        @Test(arguments: PluginLanguage.allCases)
        func errorsAreRecords(language: PluginLanguage) throws {
            let probe = try PluginProbe.of(language)
            #expect(try probe.run("log info nothing to say") == "ok")
            #expect(try probe.run("log error it \"broke\"") == "ok")
            #expect(try probe.run("flush") == "ok")
            let record = try probe.record()
            #expect(record.dataType == language.logDataType)
            #expect(record["msg"] == "it \"broke\"")
            #expect(record["level"] == (language == .rust ? "ERROR" : "error"))
            if language == .rust {
                #expect(record["file"]?.hasSuffix(".rs") == true && Int(record["line"] ?? "") != nil)
                #expect(record["target"]?.isEmpty == false)
            } else {
                #expect(record["source"]?.contains(/.+:[0-9]+/) == true)
            }
            // The one that is below is not among them.
            #expect(try probe.send(1, 1, []) == "sent")
            #expect(try probe.record().dataType == 1)
        }
    }
}
