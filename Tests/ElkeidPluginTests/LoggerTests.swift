// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc
import Testing

/// Lines on standard error and records. Each in a process of its own, since standard error belongs to all.
@Suite(.timeLimit(.minutes(1)))
struct LoggerTests {
    /// What `body` writes to standard error, line by line.
    private static func lines(_ body: () throws -> Void) throws -> [String] {
        let pipe = try Pipe()
        let original = dup(STDERR_FILENO)
        dup2(pipe.writer, STDERR_FILENO)
        pipe.closeWriter()
        try body()
        dup2(original, STDERR_FILENO)
        return String(decoding: pipe.readToEnd(), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Not in a closure that is a macro's argument: its source is what the macro makes of it.
    /// - Returns: the line that is logged.
    private static func logHere(_ logger: PluginLogger) -> Int {
        let line = #line + 1
        logger.info("one")
        return line
    }

    private static func neverBuilt() -> String {
        exit(9)
    }

    @Test func linesAndRecords() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let agent = try AgentSide()
            let client = try PluginClient(descriptors: agent.plugin)
            let logger = PluginLogger(client: client)
            var line = 0
            let lines = try Self.lines {
                logger.debug(Self.neverBuilt())
                line = Self.logHere(logger)
                logger.warning("two\nlines", file: "M/a.swift", line: 12)
                logger.error("grün", file: "M/b.swift", line: 13)
            }
            client.close()
            try #require(lines.count == 3)
            try #require(lines[0].hasSuffix("Z INFO ElkeidPluginTests/LoggerTests.swift:\(line) one"))
            try #require(lines[1].hasSuffix("Z WARN M/a.swift:12 two\\nlines"))
            try #require(lines[2].hasSuffix("Z ERROR M/b.swift:13 grün"))
            let form = lines[0].prefix(20).map { $0.isNumber ? "0" : $0 }
            try #require(String(form) == "0000-00-00T00:00:00Z")
            let records = try decodeRecords(agent.records.readToEnd())
            try #require(records.count == 1 && records[0].dataType == 1011)
            try #require(records[0].fields.map(\.key) == ["level", "source", "msg"])
            try #require(records[0].text("level") == "error" && records[0].text("source") == "M/b.swift:13")
            try #require(records[0].text("msg") == "grün")
            exit(7)
        }
    }

    @Test func levelsAreOptions() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let agent = try AgentSide()
            let client = try PluginClient(descriptors: agent.plugin)
            let logger = PluginLogger(client: client, level: .error, recordLevel: .debug)
            let lines = try Self.lines {
                logger.debug("1")
                logger.info("2")
                logger.warning("3")
                logger.error("4")
            }
            client.close()
            try #require(lines.count == 1)
            let levels = try decodeRecords(agent.records.readToEnd()).map { $0.text("level") }
            try #require(levels == ["debug", "info", "warn", "error"])
            exit(7)
        }
    }

    @Test func aRecordThatCannotBeSentIsToldOfOnce() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let agent = try AgentSide()
            let client = try PluginClient(descriptors: agent.plugin)
            client.close()
            let logger = PluginLogger(client: client)
            let lines = try Self.lines {
                logger.error("one")
                logger.error("two")
                PluginLogger(client: nil).error("no client, no records, no word about it")
            }
            try #require(lines.count == 4)
            try #require(lines[1].contains(" WARN ") && lines[1].contains("a log record was not sent"))
            try #require(lines[2].hasSuffix("two"))
            exit(7)
        }
    }
}
