// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// Components come from web servers, are installed, upgraded and removed.
extension Integration {
    @Suite struct Installing {
        /// Pauses that a test can wait for.
        static let quick: Settings = [
            "timeouts": [
                "download_retry_min": "50ms", "download_retry_max": "200ms", "install_retry_min": "100ms",
                "install_retry_max": "300ms", "plugin_drain": "500ms", "plugin_term": "500ms",
            ]
        ]

        static func with(_ more: [String: String], _ section: String = "timeouts") -> Settings {
            var settings = quick
            settings[section, default: [:]].merge(more) { $1 }
            return settings
        }

        @Test func overHTTPAndHTTPS() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let plain = try TestComponent(script: "plain", "1.0.0.1", TestComponent.waits, at: web)
                var secure = try TestComponent(
                    writer: "secure",
                    "2.0.0.1",
                    settings: ["lane": "secure", "count": 500],
                    size: 300_000,
                    at: web
                )
                secure.urls = [web.url("files", secure.file, secure: true)]
                // As some servers have it, and the original agent refuses.
                secure.sha256 = secure.sha256.uppercased()
                secure.signature = secure.signature.uppercased()
                let agent = try scenario.startAgent(Self.with(["download_ca": web.authority], "plugins"))
                try agent.wait(for: "get connection successfully")
                // Its certificate is for the address, not for this name.
                var misnamed = try TestComponent(script: "misnamed", "1.0.0.1", TestComponent.waits, at: web)
                misnamed.urls = ["https://localhost:\(web.securePort)/files/\(misnamed.file)"]
                try server.configure([plain, misnamed])
                try agent.wait(for: "the server's certificate is not for localhost")
                try server.configure([plain, secure])
                try agent.wait(for: "plugin has been loaded", count: 2)
                try eventually("the records", state: scenario.state) {
                    try (server.stats().lanes["secure"] == .complete(500)).asAnswer
                }
                #expect(text(of: scenario.file("started", of: "plain")) == "1.0.0.1\n")
                #expect(try agent.askForState().contains("state: running []"))
                try agent.stop()
                #expect(agent.problems.allSatisfy { $0.contains("plugin=misnamed") }, "\(agent.problems)")
            }
        }

        /// An authority that nobody told the agent of.
        @Test func refusesForeignCertificates() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                var component = try TestComponent(script: "one", "1.0.0.1", TestComponent.waits, at: web)
                component.urls = [web.url("files", component.file, secure: true)]
                let agent = try scenario.startAgent(Self.quick)
                try agent.wait(for: "get connection successfully")
                try server.configure([component])
                let message = try agent.wait(for: "was not signed by the configured authority")[0]
                #expect(message.contains("set `download_ca` in section [plugins]"), "\(message)")
                #expect(message.contains(component.urls[0]), "\(message)")
                try agent.stop()
            }
        }

        @Test func upgradeKeepsWhatThePluginMade() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let program = scenario.folder.path + "/program"
                func archive(_ version: String, _ files: [String: String]) throws -> TestComponent {
                    try write("#!/bin/sh\necho \(version) >>started\n\(TestComponent.waits)\n", to: program)
                    var paths: [String: String] = [:]
                    for (name, text) in files {
                        paths[name] = scenario.folder.path + "/" + name.replacing("/", with: "-")
                        try write(text, to: paths[name] ?? "")
                    }
                    return try TestComponent(archive: "good", "a", version, program: program, files: paths, at: web)
                }
                let first = try archive("1.0.0.1", ["old/only": "1", "both": "1", "conf/a": "1"])
                var second = try archive("1.0.0.2", ["new/only": "2", "both": "2", "conf/a": "2"])
                second.urls = [web.url("slower", second.file)]
                let agent = try scenario.startAgent(Self.quick)
                try agent.wait(for: "get connection successfully")
                try server.configure([first])
                try agent.wait(for: "plugin has been loaded")
                try eventually("the start") { text(of: scenario.file("started", of: "a")).isEmpty ? nil : () }

                // What a plugin leaves: a module, a database in a folder, a link, a name that is no text.
                try write("module", to: scenario.file("hids_driver_latest_5.ko", of: "a"))
                for folder in ["db/deep", "old/made", "conf"] {
                    try FileManager.default.createDirectory(
                        atPath: scenario.file(folder, of: "a"),
                        withIntermediateDirectories: true
                    )
                }
                try write("rows", to: scenario.file("db/deep/rows", of: "a"))
                try write("made", to: scenario.file("old/made/file", of: "a"))
                try write("mine", to: scenario.file("conf/mine", of: "a"))
                try FileManager.default.createSymbolicLink(
                    atPath: scenario.file("link", of: "a"),
                    withDestinationPath: "db/deep/rows"
                )
                let odd =
                    Array(scenario.file("x", of: "a").utf8.dropLast().map { CChar(bitPattern: $0) }) + [-1, -2, 0]
                close(unsafe creat(odd, 0o600))
                let inode =
                    try FileManager.default.attributesOfItem(
                        atPath: scenario.file("hids_driver_latest_5.ko", of: "a")
                    )[.systemFileNumber] as? Int

                try server.configure([second])
                try agent.wait(for: "plugin has been loaded", count: 2)
                try eventually("the start") {
                    text(of: scenario.file("started", of: "a")).hasSuffix("1.0.0.2\n").asAnswer
                }
                func has(_ name: String) -> String? {
                    FileManager.default.contents(atPath: scenario.file(name, of: "a")).map {
                        String(decoding: $0, as: UTF8.self)
                    }
                }
                #expect(has("started") == "1.0.0.1\n1.0.0.2\n")
                #expect(has("old/only") == nil)
                #expect(has("new/only") == "2" && has("both") == "2" && has("conf/a") == "2")
                #expect(has("hids_driver_latest_5.ko") == "module" && has("db/deep/rows") == "rows")
                #expect(has("old/made/file") == "made" && has("conf/mine") == "mine" && has("link") == "rows")
                #expect(unsafe access(odd, F_OK) == 0)
                let kept =
                    try FileManager.default.attributesOfItem(
                        atPath: scenario.file("hids_driver_latest_5.ko", of: "a")
                    )[.systemFileNumber] as? Int
                #expect(kept == inode, "it was copied")
                #expect(FileManager.default.fileExists(atPath: scenario.pluginFolder + "/.components/a/previous/a"))

                // Not in the list any more: its folder goes, and what was kept of it.
                let other = try TestComponent(script: "other", "1.0.0.1", TestComponent.waits, at: web)
                try server.configure([other])
                try agent.wait(for: "plugin has been removed")
                try agent.wait(for: "plugin has been loaded", count: 3)
                #expect(!FileManager.default.fileExists(atPath: scenario.pluginFolder + "/a"))
                try eventually("the trash to be empty", state: scenario.state) {
                    let names = try FileManager.default.contentsOfDirectory(
                        atPath: scenario.pluginFolder + "/.components"
                    )
                    return (Set(names) == [".lock", "other"]).asAnswer
                }
                try agent.stop()
                #expect(agent.problems.isEmpty, "\(agent.problems)")
            }
        }

        /// The old version runs until the new one is there, and one that comes later does not wait for one under way.
        @Test func aNewerConfigurationSupersedesOneInProgress() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                func version(_ number: Int, _ place: String, bytes: Int = 0) throws -> TestComponent {
                    let padding = String(repeating: "#", count: bytes)
                    return try TestComponent(
                        script: "a",
                        "1.0.0.\(number)",
                        TestComponent.waits + "\n" + padding,
                        at: web,
                        place: place
                    )
                }
                let agent = try scenario.startAgent(Self.quick)
                try agent.wait(for: "get connection successfully")
                try server.configure([version(1, "files")])
                try agent.wait(for: "plugin has been loaded")
                try eventually("the start") { text(of: scenario.file("started", of: "a")).isEmpty ? nil : () }

                // 20 s at that rate.
                let slow = try version(2, "slow", bytes: 2_000_000)
                try server.configure([slow])
                try eventually("the download to begin", state: scenario.state) {
                    let staging = scenario.pluginFolder + "/.components/a"
                    return try FileManager.default.contentsOfDirectory(atPath: staging).contains {
                        $0.hasSuffix(".part")
                    }.asAnswer
                }
                #expect(agent.messages(with: "plugin has ended").isEmpty)
                try server.configure([version(3, "files")])
                try agent.wait(for: "the installation of version 1.0.0.2 is given up")
                try agent.wait(for: "plugin has been loaded", count: 2)
                try eventually("the start") {
                    (text(of: scenario.file("started", of: "a")) == "1.0.0.1\n1.0.0.3\n").asAnswer
                }

                // And back to what is in place: nothing is stopped.
                try server.configure([slow])
                try agent.wait(for: "downloading", count: 4)
                try server.configure([version(3, "files")])
                try agent.wait(for: "the installation of version 1.0.0.2 is given up", count: 2)
                #expect(agent.messages(with: "plugin has ended").count == 1)
                try agent.stop()
                #expect(agent.problems.isEmpty, "\(agent.problems)")
            }
        }

        /// The same again changes nothing; another DETAIL is another start without another installation.
        @Test func onlyChangesCount() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                var component = try TestComponent(
                    script: "a",
                    "1.0.0.1",
                    "echo \"$DETAIL\" >detail\n" + TestComponent.waits,
                    at: web
                )
                let agent = try scenario.startAgent(Self.quick)
                try agent.wait(for: "get connection successfully")
                try server.configure([component])
                try agent.wait(for: "plugin has been loaded")
                component.sha256 = component.sha256.uppercased()
                component.urls = ["http://127.0.0.1:1/elsewhere"]
                try server.configure([component])
                try agent.wait(for: "configuration received", count: 2)
                component.detail = "{\"a\":1}"
                try server.configure([component])
                try agent.wait(for: "plugin has been loaded", count: 2)
                try eventually("the detail") {
                    (text(of: scenario.file("detail", of: "a")) == "{\"a\":1}\n").asAnswer
                }
                #expect(agent.messages(with: "downloading").count == 1)
                #expect(agent.messages(with: "plugin has ended").count == 1)
                try agent.stop()
                #expect(agent.problems.isEmpty, "\(agent.problems)")
            }
        }
    }
}
