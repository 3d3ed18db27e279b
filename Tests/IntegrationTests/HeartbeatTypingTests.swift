// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Host
import TestSupport
import Testing

/// The server's typing of heartbeats: our idea of it against Go's strconv.ParseFloat and typed decoding.
extension Integration {
    @Suite struct HeartbeatTyping {
        private struct Question: Encodable {
            var text: String?
            var dataType: Int?
            var fields: [String: String]?
            var fieldsHex: [String: String]?
        }
        private struct Answer: Decodable {
            var number: Bool?
            var problems: [String]?
        }

        private func ask(_ questions: [Question]) throws -> [Answer] {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            let lines = try questions.map { String(decoding: try encoder.encode($0), as: UTF8.self) + "\n" }
            let output = try ChildProcess.output(of: [TestEnvironment.judge()], input: lines.joined())
            let answers = try output.split(separator: "\n").map {
                try JSONDecoder().decode(Answer.self, from: Data($0.utf8))
            }
            try #require(answers.count == questions.count)
            return answers
        }

        /// Texts near the border between numbers and others.
        private static let texts: [String] = {
            let known = [
                "", "inf", "-Inf", "+infinity", "nan", "NaN", "0x1p4", "0X1P-2", "1_000", "1__0", "_1", "1_", "0x_1p4",
                "0x1_p4", "0x1p_4", "1e5", "1e+", "1e999", "-1e999", "1e-999", "0x1p99999", "0x1p-99999", "0x", "0xp1",
                ".", "-.", "5.", ".5", "0b1", "0o7", "07", "1e_5", "1e5_0", "1_e5", "1._5", "1_.5", "６", "1\u{0}",
                "1 ", " 1", "+", "--1", "1e0x1", "1.7976931348623157e308", "1.7976931348623159e308",
                "0x1.fffffffffffff8p1023",
                "0x1.fffffffffffff7p1023", "6.12", "6.12.0", "10.0.0.1", "1,5", "0x1.8", "1p4", "0e0x", "12e12e1",
                String(repeating: "9", count: 400), "0." + String(repeating: "0", count: 400) + "1",
                "1e100000000000000000000", "0x1p100000000000000000000", "0x0p100000000000000000000", "0e99999999999",
            ]
            var random = SeededRandom(seed: 1)
            let alphabet = Array("0123456789009911__..++--eEpPxXxafAFinNI")
            let made = (0..<20_000).map { _ in
                String(
                    (0..<Int.random(in: 1...9, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "0"
                    }
                )
            }
            // Hexadecimal ones are rare among these.
            let hexadecimal = made.prefix(5000).map { "0x" + $0 + (Bool.random(using: &random) ? "p1" : "") }
            return known + made + hexadecimal
        }()

        @Test func numbersAreThoseOfParseFloat() throws {
            let answers = try ask(Self.texts.map { Question(text: $0) })
            var numbers = 0
            for (text, answer) in zip(Self.texts, answers) {
                #expect(ServerTyping.isNumber(text) == answer.number, "the agent of \"\(text)\"")
                #expect(ServerRules.isNumber(text) == answer.number, "the tests of \"\(text)\"")
                if answer.number == true { numbers += 1 }
            }
            #expect(numbers > 1000 && numbers < answers.count - 1000)
        }

        /// Whatever a host is called, nothing that the agent makes of it trips the server.
        @Test func noFactTripsTheServer() throws {
            let texts = Self.texts.prefix(1000)
            let questions = texts.flatMap { text in
                [
                    Question(dataType: 1000, fields: agentFields(text)),
                    Question(dataType: 1001, fields: pluginFields(text.isEmpty ? "x" : text)),
                ]
            }
            for (question, answer) in zip(questions, try ask(questions)) {
                #expect(answer.problems == [], "\(question.fields ?? [:])")
                let type = question.dataType ?? 0
                #expect(ServerRules.problems(question.fields ?? [:], dataType: type) == [])
            }
        }

        /// What the verdict must find, in heartbeats that are faultless otherwise.
        @Test(arguments: [
            (1000, "idc", "123"), (1000, "idc", "0x1p4"), (1000, "region", "1_000"), (1000, "kernel_version", "6.12"),
            (1000, "arch", "386"), (1000, "platform_family", "5"), (1000, "dns", "1.1"), (1000, "gateway", "1e5"),
            (1000, "state", "0"), (1000, "tags", "[]"), (1000, "tags", "a"), (1000, "pid", "1.0"), (1000, "pid", ""),
            (1000, "rss", "4096.00000000"), (1000, "boot_time", "1.7e9"), (1000, "cpu", "nan"), (1000, "load_1", "inf"),
            (1000, "cpu_usage", "12 %"), (1000, "read_speed", "+Inf"), (1000, "du", ""), (1001, "name", ""),
            (1001, "name", "42"), (1001, "pid", "1.0"), (1001, "rss", "0x1p4"), (1001, "start_time", "1.5"),
            (1001, "cpu", "NaN"), (1001, "tags", "1"),
        ])
        func verdictFinds(_ type: Int, _ name: String, _ value: String) throws {
            var fields = type == 1000 ? agentFields("default") : pluginFields("writer")
            let answer = try ask([
                Question(dataType: type, fields: fields),
                Question(dataType: type, fields: fields.merging([name: value]) { $1 }),
            ])
            #expect(answer[0].problems == [])
            #expect(answer[1].problems?.contains { $0.hasPrefix(name) } == true)
            fields[name] = value
            #expect(ServerRules.problems(fields, dataType: type).count == 1)
        }

        @Test func verdictFindsBytesThatAreNotText() throws {
            let fields = pluginFields("writer").map { (hexadecimal($0.utf8), hexadecimal($1.utf8)) }
            var broken = Dictionary(uniqueKeysWithValues: fields)
            let good = broken
            broken[hexadecimal("name".utf8)] = "77ff"
            let answers = try ask([
                Question(dataType: 1001, fieldsHex: good), Question(dataType: 1001, fieldsHex: broken),
            ])
            #expect(answers[0].problems == [])
            #expect(answers[1].problems?.count == 1)
        }

        private func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
            bytes.map { String(format: "%02x", $0) }.joined()
        }

        private func agentFields(_ text: String) -> [String: String] {
            var facts = HostFacts()
            (facts.kernelVersion, facts.architecture, facts.processorName) = (text, text, text)
            (facts.serial, facts.productID, facts.model, facts.vendor) = (text, text, text, text)
            facts.platform = Platform(name: text, family: text, version: text)
            var network = NetworkFacts(addresses: [])
            (network.dns, network.gateway) = (text, text)
            var report = AgentReport()
            (report.idc, report.region, report.networkMode) = (text, text, text)
            (report.state, report.stateDetail) = (text, text)
            return dictionary(
                HeartbeatFields.agent(
                    facts: facts,
                    network: network,
                    host: HostSample(),
                    process: ProcessSample(pid: 1),
                    report: report
                )
            )
        }

        private func pluginFields(_ text: String) -> [String: String] {
            dictionary(
                HeartbeatFields.plugin(
                    name: text,
                    version: text,
                    process: ProcessSample(pid: 1),
                    traffic: TrafficRates(),
                    directorySize: 0
                )
            )
        }

        private func dictionary(_ fields: [HeartbeatField]) -> [String: String] {
            Dictionary(uniqueKeysWithValues: fields.map { ($0.name, $0.value) })
        }
    }
}
