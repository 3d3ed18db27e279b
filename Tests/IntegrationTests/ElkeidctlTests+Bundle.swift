// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

// `elkeidctl bundle`: what a bug report needs, and no secret.
extension Integration.ControlTool {
    /// The members of an archive by their names, without the folder that all of them are in.
    private static func members(of archive: String, in folder: String) throws -> [String: String] {
        let place = folder + "/unpacked"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        _ = try ChildProcess.output(of: ["/usr/bin/env", "tar", "-xzf", archive, "-C", place])
        let tops = try FileManager.default.contentsOfDirectory(atPath: place)
        let top = try #require(tops.first)
        #expect(tops.count == 1 && top.hasPrefix("elkeid-"), "\(tops)")
        let root = URL(filePath: "\(place)/\(top)").resolvingSymlinksInPath()
        var members: [String: String] = [:]
        for file in try FileManager.default.subpathsOfDirectory(atPath: root.path) {
            let path = "\(root.path)/\(file)"
            let type = try FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType
            guard type == .typeRegular else { continue }
            members[file] = text(of: path)
            #expect(mode(of: path) == 0o600, "\(file)")
        }
        return members
    }

    /// Each of them says where it comes from.
    private static func expectNone(of secrets: [String], in members: [String: String]) {
        for (name, content) in members.sorted(by: { $0.key < $1.key }) {
            let found = secrets.filter(content.contains)
            let lines = content.split(separator: "\n").filter { line in found.contains { line.contains($0) } }
            #expect(found.isEmpty, "in \(name): \(lines.prefix(3))")
        }
    }

    @Test func bundle() throws {
        try Scenario.run { scenario in
            let proxy = try scenario.startDiscovery(["-connect-proxy", "-proxy-auth", "me:sekret-proxy"])
            // It ends at once, and its last words are in the agent's log and state as well.
            let script = "echo 'token = sekret-stderr, password: \"sekret-quoted\"' >&2\necho harmless >&2\n"
            var plugin = try scenario.addScript("script", script)
            plugin.detail = "{\"password\":\"sekret-detail\",\"key\":\"sekret-other\"}"
            let server = try scenario.startServer()
            try write("# specified\nDB_PASSWORD=sekret-variable\n", to: scenario.folder.path + "/specified_env")
            let agent = try scenario.startAgent([
                "agent": ["id": "bundle-test"], "transfer": ["proxy": "http://me:sekret-proxy@\(proxy.address)"],
            ])
            try agent.wait(for: "get connection successfully")
            try server.command("config", ["configs": [plugin.configuration]])
            try agent.wait(for: "plugin has been loaded")
            try eventually("the plugin's words", state: scenario.state) {
                text(of: plugin.file("script.stderr")).contains("harmless").asAnswer
            }
            let archive = scenario.folder.path + "/bundle.tar.gz"
            let answer = try scenario.elkeidctl.run("bundle", "--output", archive)
            #expect(answer.exit == .code(0) && answer.errors.isEmpty)
            #expect(answer.output.hasPrefix("\(archive): look through it"), "\(answer)")
            #expect(mode(of: archive) == 0o600)
            let members = try Self.members(of: archive, in: scenario.folder.path)
            let key = try ClientCertificates(.ordinary).key
            let keyLines = text(of: key).split(separator: "\n").dropFirst().dropLast().map(String.init)
            #expect(keyLines.count > 10)
            Self.expectNone(
                of: [
                    "sekret-proxy", "sekret-detail", "sekret-other", "sekret-stderr", "sekret-quoted",
                    "sekret-variable",
                ]
                    + keyLines,
                in: members
            )
            // What is not secret is there.
            for (name, part) in [
                ("agent.conf", "proxy = http://me:***@\(proxy.address)"), ("agent.conf", key),
                ("specified_env", "# specified"), ("status.json", "bundle-test"), ("doctor.txt", server.address),
                ("doctor.json", "\"subject\""), ("components.json", "\"script\""),
                ("log/elkeid-agent.log", "get connection successfully"), ("plugins/script.stderr", "harmless"),
                ("versions.txt", "elkeidctl "), ("proc/meminfo", "MemTotal"),
            ] {
                #expect(members[name]?.contains(part) == true, "\(name): \(members[name]?.suffix(500) ?? "missing")")
            }
            let again = try scenario.elkeidctl.run("bundle", "--output", archive)
            #expect(again.exit == .code(1) && again.errors.contains("File exists"), "nothing is overwritten: \(again)")
            try agent.stop()
        }
    }

    /// Passwords that are written in another way, or in a line that is wrong, with and without an agent.
    @Test(arguments: ["me:sekret-bare@127.0.0.1:1", "http://me:sekret-bad@127.0.0.1:99999", "ftp://me:sekret-bad@x:1"])
    func bundleOfOddProxies(proxy: String) throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            let agent = try scenario.startAgent(["transfer": ["proxy": proxy]])
            try agent.wait(for: " runs")
            try eventually("an agent that answers", state: scenario.state) {
                try (scenario.elkeidctl.run("status", "--json").exit == .code(0)).asAnswer
            }
            for (index, isRunning) in [true, false].enumerated() {
                if !isRunning { try agent.stop() }
                let archive = scenario.folder.path + "/bundle\(index).tar.gz"
                #expect(try scenario.elkeidctl.run("bundle", "--output", archive).exit == .code(0))
                let place = scenario.folder.path + "/\(index)"
                let members = try Self.members(of: archive, in: place)
                #expect((members["status.json"] != nil) == isRunning)
                #expect(members["agent.conf"]?.contains("127.0.0.1") == true && members["doctor.txt"] != nil)
                Self.expectNone(of: ["sekret"], in: members)
            }
            #expect(server.events("stream_refused").count == 0)
        }
    }
}
