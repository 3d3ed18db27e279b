// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// `elkeid-devcenter conformance` over programs that nobody made for it.
extension Integration {
    @Suite struct PluginConformance {
        private func run(_ program: String, _ options: [String] = []) throws -> JSON {
            let command =
                [try TestEnvironment.developmentCenter(), "conformance", "--json", "--stall", "1", "--observe", "1"]
                + options + [program]
            let text = try ChildProcess.output(of: command, seconds: 120)
            return try #require(JSON(line: Data(text.utf8)), "\(text)")
        }

        @Test(arguments: PluginLanguage.allCases)
        func ofTheExamples(language: PluginLanguage) throws {
            let report = try run(language.example(), ["--task", "7201 hello"])
            for check in report["checks"].array ?? [] { #expect(check["verdict"].string == "pass", "\(check)") }
        }

        /// Straight to the wire: ordinary records as answers, and records of shapes that are legal and odd.
        @Test(arguments: ["echo-tasks", "odd"])
        func ofAPluginWithoutALibrary(mode: String) throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let settings: [String: Any] = mode == "odd" ? ["count": 2000, "chunk": 1000, "seed": 1] : [:]
            let writer = try TestPlugin(
                writer: "writer",
                settings.merging(["mode": mode, "lane": "writer"]) { $1 },
                in: folder.path
            )
            let report = try run("\(writer.directory)/writer", mode == "odd" ? [] : ["--task", "5050 x"])
            let verdicts = report["checks"].array?.compactMap { $0["verdict"].string } ?? []
            #expect(verdicts.count == 11 && !verdicts.contains("fail"), "\(report)")
        }
    }
}
