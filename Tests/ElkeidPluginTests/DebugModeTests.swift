// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc
import Testing

/// Records as lines of JSON and tasks as typed lines. Each in a process of its own: standard input and output, the
/// descriptors 3 and 4 and the environment belong to all.
@Suite(.timeLimit(.minutes(1)))
struct DebugModeTests {
    /// What a client in debug mode prints, with these bytes on standard input.
    private static func output(
        input: [UInt8] = [],
        options: PluginOptions = PluginOptions(),
        _ body: (PluginClient) throws -> Void
    ) throws -> String {
        unsafe setenv("ELKEID_PLUGIN_DEBUG", "1", 1)
        let standardInput = try Pipe()
        let standardOutput = try Pipe()
        dup2(standardInput.reader, STDIN_FILENO)
        standardInput.write(input)
        standardInput.closeWriter()
        dup2(standardOutput.writer, STDOUT_FILENO)
        standardOutput.closeWriter()
        let client = try PluginClient(options: options)
        try #require(client.isInDebugMode)
        try body(client)
        client.close()
        // The client leaves standard output open.
        try #require(close(STDOUT_FILENO) == 0)
        return String(decoding: standardOutput.readToEnd(), as: UTF8.self)
    }

    @Test func recordsAreLines() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let output = try Self.output { (client) in
                try client.send(dataType: 7001, timestamp: 1_700_000_000, fields: ["k": "v"])
                try client.send(dataType: -1, timestamp: -2, priority: .high, fields: [("b", "1"), ("a", "2")])
                try client.send(dataType: 0, timestamp: 0, fields: [:])
                try client.send(encoded: bytes(hex: "100108021a00"))
                try client.send(encoded: bytes(hex: "0801ff"))
            }
            let expected = """
                {"data_type":7001,"timestamp":1700000000,"fields":{"k":"v"}}
                {"data_type":-1,"timestamp":-2,"priority":"high","fields":{"b":"1","a":"2"}}
                {"data_type":0,"timestamp":0,"fields":{}}
                {"data_type":2,"timestamp":1,"fields":{}}
                {"malformed":"0801ff"}

                """
            try #require(output == expected)
            exit(7)
        }
    }

    @Test func stringsAreEscapedAndMended() async {
        await #expect(processExitsWith: .exitCode(7)) {
            // Bytes, and what the line says; the ill-formed ones are those of the Unicode standard, tables 3-8 to 3-11.
            let cases: [(String, String)] = [
                ("225c0a0d09080c", #"\"\\\n\r\t\b\f"#), ("00011f7f", "\\u0000\\u0001\\u001f\u{7F}"),
                ("6772c3bc6e20e282ac20f09f9880", "grün € 😀"), ("c0afe080bff0818241", "\u{FFFD}*8A"),
                ("eda080edbfbfedaf41", "\u{FFFD}*8A"), ("f4919293ff4180bf42", "\u{FFFD}*5A\u{FFFD}*2B"),
                ("e180e2f09192f1bf41", "\u{FFFD}*4A"), ("f09f98", "\u{FFFD}*1"),
            ]
            let output = try Self.output { (client) in
                for (input, _) in cases {
                    try client.send(dataType: 1, timestamp: 1) { $0.add("k", bytes: bytes(hex: input)) }
                }
            }
            // Written short above: U+FFFD, a star, and how often.
            let expected = cases.map { (_, text) -> String in
                var text = text
                for count in 1...8 {
                    text = text.replacing("\u{FFFD}*\(count)", with: String(repeating: "\u{FFFD}", count: count))
                }
                return "{\"data_type\":1,\"timestamp\":1,\"fields\":{\"k\":\"\(text)\"}}\n"
            }
            try #require(output == expected.joined())
            exit(7)
        }
    }

    @Test func tasksAreLines() async {
        await #expect(processExitsWith: .exitCode(7)) {
            var input = Array("7001 {\"a\": 1}\n\n-5\n12 \nx\n+5 y\n 6\n2147483648 z\n1 ".utf8)
            input += [0xFF, 0x0A] + Array("8 last".utf8)
            _ = try Self.output(input: input) { (client) in
                let first = PluginTask(dataType: 7001, data: "{\"a\": 1}", token: "debug-1")
                try #require(try client.receive() == first)
                try #require(try client.receive() == PluginTask(dataType: -5, token: "debug-2"))
                try #require(try client.receive() == PluginTask(dataType: 12, token: "debug-3"))
                for _ in 0..<5 {
                    do throws(PluginError) {
                        _ = try client.receive()
                        exit(1)
                    } catch {
                        guard error == .malformedTask(.notATaskLine), "\(error)".contains("DATA_TYPE") else { exit(2) }
                    }
                }
                try #require(try client.receive() == PluginTask(dataType: 8, data: "last", token: "debug-4"))
                try #require(try client.receive() == nil)
            }
            exit(7)
        }
    }

    @Test func linesHaveTheLimitOfTasks() async {
        await #expect(processExitsWith: .exitCode(7)) {
            var options = PluginOptions()
            options.maximumTaskSize = 5
            _ = try Self.output(input: Array("1 abc\n1 abcd\n".utf8), options: options) { (client) in
                try #require(try client.receive()?.data == "abc")
                for _ in 0..<2 {
                    #expect(throws: PluginError.taskTooLarge(length: 6, limit: 5)) { try client.receive() }
                }
            }
            exit(7)
        }
    }

    @Test func anInterruptIsTheEnd() async {
        await #expect(processExitsWith: .exitCode(7)) {
            _ = try Self.output(input: Array("1\n".utf8)) { (client) in
                deliver(SIGINT)
                try #require(try client.receive() == nil)
            }
            exit(7)
        }
    }

    /// Without any of the agent's pipes, and with a terminal.
    @Test func aTerminalIsEnough() async {
        await #expect(processExitsWith: .exitCode(7)) {
            unsafe unsetenv("ELKEID_PLUGIN_DEBUG")
            let terminal = fcntl(unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY), F_DUPFD, 50)
            var number: CInt = 0
            // TIOCSPTLCK and TIOCGPTN: unlocks the other side, and tells its number.
            try #require(unsafe ioctl(terminal, 0x4004_5431, &number) == 0)
            try #require(unsafe ioctl(terminal, 0x8004_5430, &number) == 0)
            let other = unsafe open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
            dup2(other, STDOUT_FILENO)
            close(3)
            close(4)
            let client = try PluginClient()
            try #require(client.isInDebugMode)
            try client.send(dataType: 7001, timestamp: 1, fields: [:])
            client.close()
            var line = [UInt8](repeating: 0, count: 1000)
            let count = unsafe line.withUnsafeMutableBytes { unsafe read(terminal, $0.baseAddress, $0.count) }
            let text = String(decoding: line.prefix(max(count, 0)), as: UTF8.self)
            try #require(text == "{\"data_type\":7001,\"timestamp\":1,\"fields\":{}}\r\n")
            exit(7)
        }
    }

    /// One of the pipes and a terminal are a mistake; so is neither without a terminal.
    @Test func aMistakeIsNotDebugMode() async {
        await #expect(processExitsWith: .exitCode(7)) {
            unsafe unsetenv("ELKEID_PLUGIN_DEBUG")
            // Whose number may be one of the two.
            dup2(unsafe open("/dev/null", O_WRONLY), STDOUT_FILENO)
            close(3)
            close(4)
            do throws(PluginError) {
                _ = try PluginClient()
                exit(1)
            } catch {
                guard error == .descriptorNotOpen(3), "\(error)".contains("ELKEID_PLUGIN_DEBUG=1") else { exit(2) }
            }
            exit(7)
        }
    }
}
