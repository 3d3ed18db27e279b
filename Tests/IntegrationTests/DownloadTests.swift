// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// Web servers that fail, lie and break off, and disks that are full.
extension Integration {
    @Suite struct Downloading {
        /// Each with a component of its own, all at once: what is wrong is said, and what can be had is had in the end.
        @Test func failuresAreSaidAndTriedAgain() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                func component(_ name: String, _ places: String...) throws -> TestComponent {
                    var component = try TestComponent(script: name, "1.0.0.1", TestComponent.waits, at: web)
                    component.urls = places.map { web.url($0, component.file) }
                    return component
                }
                var wrong = try component("wrong-hash", "files")
                wrong.sha256 = String(repeating: "0", count: 64)
                var failing = try component("failing", "failing")
                failing.urls = [web.url("failing", "later")]
                var nobody = try component("nobody", "files")
                nobody.urls = ["http://127.0.0.1:\(try unusedPort())/x", "http://no-such-host.invalid/x"]
                var scheme = try component("scheme", "files")
                scheme.urls = ["file:///etc/passwd", "/relative", ""]
                let all = try [
                    wrong, failing, nobody, scheme, component("gone", "gone"), component("loop", "loop"),
                    component("ftp", "ftp"), component("moved", "moved"), component("turns", "gone", "loop", "files"),
                ]
                let agent = try scenario.startAgent(
                    Installing.with(["download": "2s", "install_retry_min": "100ms", "install_retry_max": "200ms"])
                )
                try agent.wait(for: "get connection successfully")
                try server.configure(all)
                for text in [
                    "checksum \(try component("wrong-hash").sha256), another is wanted",
                    "/failing/later: the server answers 500 Internal Server Error",
                    "connect", "no-such-host.invalid", "the URL begins neither with http:// nor with https://",
                    "/gone/gone-1.0.0.1.plg: the server answers 404 Not Found", "it leads on more than 10 times",
                    "it leads to another scheme than http and https",
                ] { try agent.wait(for: text) }
                // These two are there whatever the others do.
                try agent.wait(for: "plugin has been loaded", count: 2)
                for name in ["moved", "turns"] {
                    try eventually("\(name) to run") {
                        (text(of: scenario.file("started", of: name)) == "1.0.0.1\n").asAnswer
                    }
                }
                // The file that was missing is published.
                try FileManager.default.copyItem(atPath: web.files + "/" + failing.file, toPath: web.files + "/later")
                try agent.wait(for: "plugin has been loaded", count: 3)
                try eventually("the state to name them all", state: scenario.state) {
                    let state = try agent.askForState()
                    return ["wrong-hash", "nobody", "scheme", "gone", "loop", "ftp"].allSatisfy {
                        state.contains("\"\($0): version 1.0.0.1 cannot be installed")
                    }.asAnswer
                }
                try agent.stop()
            }
        }

        /// What makes no sense in a configuration is refused with a reason, and touches nothing else.
        @Test func impossibleConfigurationsAreRefused() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                func component(_ name: String) throws -> TestComponent {
                    try TestComponent(script: name, "1.0.0.1", TestComponent.waits, at: web)
                }
                var (noHash, noURL, badHash, type) = try (
                    component("no-hash"), component("no-url"), component("bad-hash"), component("type")
                )
                noHash.sha256 = ""
                noURL.urls = []
                badHash.sha256 = "sha256"
                type.type = "agent"
                var names: [[String: Any]] = []
                for name in ["../up", "a/b", "", ".", "a b", "n\u{e4}me"] {
                    var configuration = try component("ok").configuration
                    configuration["name"] = name
                    names.append(configuration)
                }
                var own = try component("ok").configuration
                own["name"] = "elkeid-agent"
                own["version"] = "9.9.9.9"
                let agent = try scenario.startAgent(Installing.quick)
                try agent.wait(for: "get connection successfully")
                let configs = try [component("ok"), noHash, noURL, badHash, type].map(\.configuration) + names + [own]
                try server.command("config", ["configs": configs])
                for text in [
                    "no checksum (sha256) for it", "no download_urls for it", "no SHA-256 in hexadecimal: sha256",
                    "its type \"agent\" is not known",
                ] { try agent.wait(for: text) }
                try agent.wait(for: "its name is not made of letters, digits, - and _", count: 6)
                try agent.wait(for: "version 9.9.9.9 of the agent cannot be fetched: this agent was not installed")
                try agent.wait(for: "plugin has been loaded")
                let state = try agent.askForState()
                #expect(state.contains("state: abnormal") && state.contains("version 9.9.9.9 of the agent cannot"))
                let made = try FileManager.default.contentsOfDirectory(atPath: scenario.pluginFolder)
                #expect(Set(made) == ["ok", ".components"])
                try agent.stop()
            }
        }

        /// nginx is ended in the midst of it, twice; what had come is not loaded again.
        @Test func goesOnAfterABreak() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                var component = try TestComponent(
                    writer: "big",
                    "1.0.0.1",
                    settings: ["lane": "big", "count": 10],
                    size: 1_500_000,
                    at: web
                )
                component.urls = [web.url("slower", component.file)]
                let agent = try scenario.startAgent(Installing.quick)
                try agent.wait(for: "get connection successfully")
                try server.configure([component])
                let part = scenario.pluginFolder + "/.components/big/\(component.sha256.prefix(16)).part"
                func size() -> Int {
                    (try? FileManager.default.attributesOfItem(atPath: part)[.size] as? Int) ?? 0
                }
                for bytes in [400_000, 900_000] {
                    try eventually("\(bytes) bytes", state: scenario.state) { (size() > bytes).asAnswer }
                    web.stop()
                    usleep(150_000)
                    try web.start()
                }
                try eventually("the records", seconds: 40, state: scenario.state) {
                    try (server.stats().lanes["big"] == .complete(10)).asAnswer
                }
                let starts = web.requests.filter { $0.hasPrefix("206") }.compactMap { line in
                    line.firstMatch(of: /bytes=([0-9]+)-/).flatMap { Int($0.1) }
                }
                #expect(starts.contains { $0 >= 400_000 } && starts.contains { $0 >= 900_000 }, "\(web.requests)")
                try agent.stop()
            }
        }

        /// Through a configured proxy, and one of the environment: http in the request itself, https by a tunnel.
        @Test(arguments: [true, false])
        func throughAProxy(isConfigured: Bool) throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let proxy = try scenario.startDiscovery(["-connect-proxy", "-proxy-auth", "me:secret"])
                let server = try scenario.startServer()
                let plain = try TestComponent(script: "plain", "1.0.0.1", TestComponent.waits, at: web)
                var secure = try TestComponent(script: "secure", "1.0.0.1", TestComponent.waits, at: web)
                secure.urls = [web.url("files", secure.file, secure: true)]
                let address = "http://me:secret@\(proxy.address)"
                var plugins = ["download_ca": web.authority]
                if isConfigured { plugins["download_proxy"] = address }
                var options = ChildProcess.Options()
                options.environment = TestEnvironment.withoutProxies
                if !isConfigured {
                    options.environment? += ["http_proxy=\(address)", "https_proxy=\(address)"]
                }
                let agent = try scenario.startAgent(Installing.with(plugins, "plugins"), options: options)
                try agent.wait(for: "get connection successfully")
                try server.configure([plain, secure])
                try agent.wait(for: "plugin has been loaded", count: 2)
                let requests = proxy.events("request")
                #expect(requests.contains { $0["path"].string?.hasSuffix(plain.file) == true }, "\(requests)")
                #expect(proxy.events("connect").map { $0["target"].string } == ["127.0.0.1:\(web.securePort)"])
                try agent.stop()
                #expect(agent.problems.isEmpty, "\(agent.problems)")
            }
        }

        /// An agent that is ended in the midst of a download goes on with it when it is back.
        @Test func goesOnAfterTheAgentWasKilled() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let old = try TestComponent(script: "big", "1.0.0.1", TestComponent.waits, at: web)
                var component = try TestComponent(
                    writer: "big",
                    "1.0.0.2",
                    settings: ["lane": "big", "count": 10],
                    size: 1_500_000,
                    at: web
                )
                component.urls = [web.url("slower", component.file)]
                let first = try scenario.startAgent(Installing.quick)
                try first.wait(for: "get connection successfully")
                try server.configure([old])
                try first.wait(for: "plugin has been loaded")
                try server.configure([component])
                let part = scenario.pluginFolder + "/.components/big/\(component.sha256.prefix(16)).part"
                try eventually("a part of it", state: scenario.state) {
                    let size = (try? FileManager.default.attributesOfItem(atPath: part)[.size] as? Int) ?? 0
                    return (size > 500_000).asAnswer
                }
                first.signal(SIGKILL)
                _ = try first.waitForExit()
                let second = try scenario.startAgent(Installing.quick)
                try eventually("the records", seconds: 40, state: scenario.state) {
                    try (server.stats().lanes["big"] == .complete(10)).asAnswer
                }
                #expect(web.requests.contains { $0.hasPrefix("206") && $0.contains(component.file) }, "\(web.requests)")
                try second.stop()
            }
        }

        struct Oddity: CustomTestStringConvertible, Sendable {
            var place: String
            /// Nil: it is installed.
            var complaint: String?
            var testDescription: String { place }
        }

        @Test(arguments: [
            Oddity(place: "whole"), Oddity(place: "chunked"), Oddity(place: "truncated-once"),
            Oddity(place: "other-part"), Oddity(place: "changes"),
            Oddity(place: "truncated", complaint: "the connection ended in the midst of the response's body"),
            Oddity(place: "longer", complaint: "another is wanted"),
            Oddity(place: "endless", complaint: "it has more than 536870912 bytes"),
            Oddity(place: "chunk-garbage", complaint: "a chunk's size is not a hexadecimal number"),
            Oddity(place: "two-lengths", complaint: "several values of Content-Length"),
            Oddity(place: "garbage", complaint: "the answer makes no sense"),
            Oddity(place: "silent", complaint: "nothing has come for 1 s"),
            Oddity(place: "compressed", complaint: "Content-Encoding gzip"),
        ])
        func fromAnOddServer(_ oddity: Oddity) throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let padding = String(repeating: "#", count: 400_000)
                var component = try TestComponent(script: "a", "1", TestComponent.waits + "\n" + padding, at: web)
                let other = scenario.folder.path + "/other"
                try write(padding + padding, to: other)
                // What is wanted comes first, or only when the server has changed its mind.
                var published = [web.files + "/" + component.file, other]
                if oddity.place == "changes" { published.reverse() }
                let odd = try OddServer(published[0], published[1], in: scenario.folder.path)
                defer { odd.end() }
                component.urls = ["http://\(odd.address)/\(oddity.place)"]
                let agent = try scenario.startAgent(
                    Installing.with(["download_stall": "1s", "download": "30s", "heartbeat": "1s"])
                )
                try agent.wait(for: "get connection successfully")
                try server.configure([component])
                if let complaint = oddity.complaint {
                    try agent.wait(for: complaint, seconds: 40)
                    #expect(agent.messages(with: "plugin has been loaded").isEmpty)
                } else {
                    try agent.wait(for: "plugin has been loaded")
                }
                try agent.stop()
            }
        }

        /// A file system of 8 MiB: a component of 20 does not fit, and fits when there is room.
        @Test(.enabled(if: getuid() == 0))
        func aFullDiskIsWaitedFor() throws {
            try Scenario.run { scenario in
                let disk = scenario.folder.path + "/disk"
                try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
                _ = try ChildProcess.output(of: [
                    "/usr/bin/env", "mount", "-t", "tmpfs", "-o", "size=12m", "none", disk,
                ])
                defer { _ = try? ChildProcess.output(of: ["/usr/bin/env", "umount", "-l", disk]) }
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let small = try TestComponent(script: "a", "1.0.0.1", "echo b >state\n" + TestComponent.waits, at: web)
                let large = try TestComponent(
                    writer: "a",
                    "1.0.0.2",
                    settings: ["lane": "a", "count": 10],
                    size: 20 << 20,
                    at: web
                )
                // Compresses to little: it is found out only when it is unpacked.
                let zeros = scenario.folder.path + "/zeros"
                try Data(count: 20 << 20).write(to: URL(filePath: zeros))
                var swelling = try TestComponent(
                    archive: "good",
                    "b",
                    "1.0.0.1",
                    program: web.files + "/" + small.file,
                    files: ["zeros": zeros],
                    at: web
                )
                swelling.detail = "x"
                let agent = try scenario.startAgent(Installing.with(["work_dir": disk], "plugins"))
                try agent.wait(for: "get connection successfully")
                try server.configure([small])
                try agent.wait(for: "plugin has been loaded")
                try server.configure([large, swelling])
                try agent.wait(for: "the disk is full: ", count: 2)
                try agent.wait(for: "zeros needs 20971520 bytes")
                #expect(agent.messages(with: "plugin has ended").isEmpty)
                #expect(agent.messages(with: "plugin has been loaded").count == 1)
                _ = try ChildProcess.output(of: ["/usr/bin/env", "mount", "-o", "remount,size=120m", disk])
                try agent.wait(for: "plugin has been loaded", count: 3)
                try eventually("the records", state: scenario.state) {
                    try (server.stats().lanes["a"] == .complete(10)).asAnswer
                }
                #expect(text(of: disk + "/a/state") == "b\n")
                try agent.stop()
            }
        }
    }
}
