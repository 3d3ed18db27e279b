// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Conformance
import DevelopmentCenter
import ElkeidWire
import Testing

@Suite
struct CommandLineTests {
    @Test(arguments: [
        (["--help"], Invocation.help), (["serve", "--help"], .help), (["-h"], .help), (["--version"], .version),
        (["certs", "d"], .certificates(folder: "d")), (["serve"], .serve(ServeOptions())),
        (["conformance", "--list"], .conformance(.list)), (["conformance", "--help"], .conformance(.help)),
    ])
    func verbs(_ arguments: [String], _ expected: Invocation) throws {
        #expect(try CommandLineParser.parse(arguments) == expected)
    }

    @Test
    func optionsOfServe() throws {
        var expected = ServeOptions()
        expected.listen = "[::1]:0"
        expected.http = "none"
        expected.certificates = "c"
        expected.uploads = "u"
        expected.components = [ComponentSpecification(name: "p", version: "1.2.3.4", path: "a:b")]
        expected.details = ["p": "{\"a\":1}"]
        expected.display = DisplayOptions(json: true, seconds: 5)
        let arguments = [
            "serve", "--listen", "[::1]:0", "--http=none", "--certs", "c", "--uploads=u", "--component",
            "p:1.2.3.4:a:b",
            "--detail", "p:{\"a\":1}", "--json", "--seconds", "5",
        ]
        #expect(try CommandLineParser.parse(arguments) == .serve(expected))
    }

    @Test
    func demoAndBenchDifferInWhatTheyShow() throws {
        var expected = DemoOptions()
        expected.agent = "a"
        expected.plugin = "p"
        expected.coding = .zstd
        expected.keep = true
        let common = ["--agent", "a", "--plugin", "p", "--compression=zstd", "--keep"]
        #expect(try CommandLineParser.parse(["demo"] + common) == .demo(expected))
        expected.display.follow = true
        #expect(try CommandLineParser.parse(common) == .demo(expected))
        expected.display.follow = false
        #expect(try CommandLineParser.parse(common + ["--table"]) == .demo(expected))
    }

    @Test(arguments: [
        [], ["nonsense"], ["certs"], ["certs", "a", "b"], ["certs", "--x"], ["serve", "--listen"], ["serve", "extra"],
        ["serve", "--listen", "nowhere"], ["serve", "--listen", "host:1"], ["serve", "--http", "1.2.3.4:99999"],
        ["serve", "--component", "p:1.0:x"], ["serve", "--component", "a.b:1.0.0.0:x"], ["serve", "--component", "p"],
        ["serve", "--component", "p:1.0.0.0:x", "--component", "p:1.0.0.1:x"], ["serve", "--detail", "p:{}"],
        ["serve", "--seconds", "0"], ["serve", "--seconds", "x"], ["serve", "--json=yes"], ["serve", "--plugin", "p"],
        ["conformance"], ["conformance", "p", "--only", "nothing"], ["demo"], ["demo", "--plugin"],
        ["demo", "--plugin", "p", "--compression", "lz4"], ["--agent", "a"],
        ["--unknown"],
    ])
    func wrongCommandLines(_ arguments: [String]) {
        let error = #expect(throws: CenterError.self) { try CommandLineParser.parse(arguments) }
        #expect(error?.description.isEmpty == false)
    }

    @Test(
        arguments: [
            ("", nil), ("  ", nil), ("push", .push), (" reset ", .reset), ("quit", .quit), ("exit", .quit),
            (
                "task p 5050 {\"a\": 1}",
                .task(PluginTask(dataType: 5050, objectName: "p", data: "{\"a\": 1}", token: "devcenter"))
            ),
            ("task p -1", .task(PluginTask(dataType: -1, objectName: "p", data: "", token: "devcenter"))),
        ] as [(String, ConsoleCommand?)]
    )
    func commands(_ line: String, _ expected: ConsoleCommand?) throws {
        #expect(try ConsoleCommand.parse(line) == expected)
    }

    @Test(arguments: ["task", "task p", "task p x", "push now", "nonsense"])
    func wrongCommands(_ line: String) {
        #expect(throws: CenterError.self) { try ConsoleCommand.parse(line) }
    }
}
