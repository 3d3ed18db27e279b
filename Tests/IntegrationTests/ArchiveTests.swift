// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// Archives that were made to harm, and legal ones that look odd.
extension Integration {
    @Suite struct Archives {
        /// Each kind of make-archive.py, and what is said of it.
        static let evil: [(kind: String, complaint: String)] = [
            ("absolute", "/tmp/elkeid-evil is an absolute path"),
            ("dot-dot", "../elkeid-evil leads out of the archive"),
            ("dot-dot-inside", "a/../../elkeid-evil leads out of the archive"),
            ("symlink-out", "link is a link to /etc, which may lead out of the archive"),
            ("symlink-up", "a/link is a link to ../.., which may lead out of the archive"),
            ("symlink-through", "link: the archive has something else than a folder of that name"),
            ("hardlink-out", "/etc/passwd is an absolute path"),
            ("hardlink-up", "../../work/components.json leads out of the archive"),
            ("device", "device is a device, a socket or a FIFO"),
            ("character-device", "device is a device, a socket or a FIFO"),
            ("fifo", "fifo is a device, a socket or a FIFO"),
            ("manifest", ".elkeid-manifest is the agent's own name"),
            ("many", "more than 100000 entries"),
            ("deep", "is too deep or too long"),
            ("not-utf8", "a name in it that is not UTF-8"),
            ("bomb", "it is a bomb"),
            ("truncated", "is damaged"),
            ("damaged", "is damaged"),
            ("not-gzip", "its type is tar.gz, but the file is no gzip"),
            ("no-program", "the archive has no file no-program"),
            ("program-link", "is a link"),
            ("program-folder", "the archive has no file program-folder"),
        ]

        @Test func evilOnesAreRefused() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let program = scenario.folder.path + "/program"
                try write("#!/bin/sh\n" + TestComponent.waits + "\n", to: program)
                var components = try Self.evil.map {
                    try TestComponent(archive: $0.kind, $0.kind, "1.0.0.1", program: program, at: web)
                }
                components += [
                    try TestComponent(archive: "good", "good", "1.0.0.1", program: program, at: web)
                ]
                var forged = try TestComponent(archive: "good", "forged", "1.0.0.1", program: program, at: web)
                forged.signature = String(repeating: "a", count: 64)
                components.append(forged)
                let agent = try scenario.startAgent(Installing.quick)
                try agent.wait(for: "get connection successfully")
                try server.configure(components)
                for (kind, complaint) in Self.evil + [(kind: "forged", complaint: "the signature is aaaa")] {
                    try eventually("\(kind) to be refused", seconds: 60, state: scenario.state) {
                        agent.messages(with: "plugin is refused: ").contains {
                            $0.contains(complaint) && $0.contains("plugin=\(kind) ")
                        }.asAnswer
                    }
                }
                try agent.wait(for: "plugin has been loaded")
                #expect(!FileManager.default.fileExists(atPath: "/tmp/elkeid-evil"))
                #expect(!FileManager.default.fileExists(atPath: "/etc/elkeid-evil"))
                let found = try FileManager.default.subpathsOfDirectory(atPath: scenario.folder.path + "/work")
                #expect(!found.contains { $0.hasSuffix("elkeid-evil") })
                let installed = try FileManager.default.contentsOfDirectory(atPath: scenario.pluginFolder)
                #expect(Set(installed) == ["good", ".components"])

                // What is refused is not asked for again, also by the next agent.
                let asked = web.requests.count
                try server.configure(components)
                try agent.wait(for: "configuration received", count: 2)
                let state = try agent.askForState()
                #expect(state.contains("is refused") && state.contains("until the server sends another version"))
                try agent.stop()
                let second = try scenario.startAgent(Installing.quick)
                try second.wait(for: "plugin has been loaded", count: 2)
                try second.wait(for: "configuration received", count: 3)
                #expect(try second.askForState().contains("is refused"))
                #expect(web.requests.count == asked, "\(web.requests)")
                try second.stop()
            }
        }

        @Test func legalOnesAreTaken() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let program = scenario.folder.path + "/program"
                try write("#!/bin/sh\n" + TestComponent.waits + "\n", to: program)
                var untyped = try TestComponent(archive: "not-executable", "untyped", "1", program: program, at: web)
                // Old servers leave the type out; then the original agent executes the archive.
                untyped.type = ""
                untyped.signature = ""
                var mistyped = try TestComponent(archive: "good", "mistyped", "1", program: program, at: web)
                mistyped.type = "exec"
                let links = try TestComponent(archive: "legal-links", "links", "1", program: program, at: web)
                let setuid = try TestComponent(archive: "setuid", "setuid", "1", program: program, at: web)
                let agent = try scenario.startAgent(Installing.quick)
                try agent.wait(for: "get connection successfully")
                try server.configure([untyped, mistyped, links, setuid])
                try agent.wait(for: "plugin has been loaded", count: 4)
                func content(_ name: String) -> String { text(of: scenario.file(name, of: "links")) }
                #expect(content("lib/link") == "real" && content("hard") == "real" && content("dot/file") == "dot")
                #expect(content("n\u{e4}me/\u{20ac}") == "utf8" && content("twice") == "second")
                for name in ["helper", "folder"] {
                    var status = stat()
                    #expect(unsafe stat(scenario.file(name, of: "setuid"), &status) == 0)
                    #expect(status.st_mode & 0o7777 == 0o755, "\(name): \(String(status.st_mode, radix: 8))")
                }
                for name in ["untyped", "mistyped", "links", "setuid"] {
                    var status = stat()
                    #expect(unsafe stat(scenario.file(name, of: name), &status) == 0)
                    #expect(status.st_mode & 0o7777 == 0o700)
                }
                try agent.stop()
                #expect(agent.problems.isEmpty, "\(agent.problems)")
            }
        }
    }
}
