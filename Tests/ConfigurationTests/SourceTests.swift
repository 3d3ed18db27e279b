// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Foundation
import Syscalls
import Testing

/// The file, its last good copy, and what stands beside it.
@Suite final class SourceTests {
    let folder: String
    static let good = "[agent]\nwork_dir = state\nidc = east\n[tls]\nca = own/ca.crt\n"
    static let broken = "[agent]\nwork_dir = state\n[tls\n"

    init() throws {
        folder =
            FileManager.default.temporaryDirectory.appendingPathComponent("configuration-" + UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: "\(folder)/state", withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func write(_ text: String, _ name: String = "agent.conf") throws {
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
    }

    func source(_ environment: [String] = []) -> ConfigurationSource {
        ConfigurationSource(path: "agent.conf", currentDirectory: folder, environment: environment)
    }

    @Test func paths() {
        let relative = ConfigurationSource(
            path: "a/b.conf",
            currentDirectory: "/here",
            environment: ["A=1=2", "B", "=C", "D="]
        )
        #expect(relative.path == "/here/a/b.conf" && relative.folder == "/here/a")
        #expect(relative.specifiedEnvironment == "/here/a/specified_env")
        #expect(
            relative.environment["A"] == "1=2" && relative.environment["D"] == "" && relative.environment["B"] == nil
        )
        let absolute = ConfigurationSource(path: "/etc/x.conf", currentDirectory: "/here", environment: [])
        #expect(absolute.path == "/etc/x.conf" && absolute.folder == "/etc")
        #expect(ConfigurationSource(path: "/x.conf", currentDirectory: "/here", environment: []).folder == "")
    }

    @Test func aGoodFile() throws {
        try write(Self.good)
        for loaded in [try source().load(), try source().loadFile()] {
            #expect(loaded.result.usable && loaded.fallback == nil && loaded.text == Array(Self.good.utf8))
            #expect(loaded.result.configuration.agent.idc == "east")
            #expect(loaded.result.configuration.tls.ca == "\(folder)/own/ca.crt")
        }
    }

    /// A bad value is no broken file: its default is used, and not the copy.
    @Test func aBadValueIsNoReasonForTheCopy() throws {
        try write(Self.good + "[spool]\nmemory = much\n")
        try write("[agent]\nidc = old\n", "state/\(ConfigurationSource.copyName)")
        let loaded = try source().load()
        #expect(loaded.result.usable && loaded.fallback == nil && loaded.text != nil)
        #expect(loaded.result.configuration.agent.idc == "east" && loaded.result.diagnostics.count == 1)
    }

    @Test func theLastGoodCopyStandsIn() throws {
        try write(Self.good)
        let before = try source().load()
        try ConfigurationSource.keep(try #require(before.text), in: "\(folder)/state")
        try write(Self.broken)
        let loaded = try source().load()
        #expect(loaded.result.usable && loaded.text == nil)
        #expect(loaded.fallback?.contains("\(folder)/agent.conf cannot be parsed") == true)
        #expect(loaded.fallback?.contains("state/\(ConfigurationSource.copyName)") == true)
        // As if it still stood where it was written.
        #expect(loaded.result.configuration == before.result.configuration)
        // To check a file is to check that file.
        let checked = try source().loadFile()
        #expect(!checked.result.usable && checked.fallback == nil && checked.text == nil)
    }

    @Test func withoutACopyNothingIsUsable() throws {
        try write(Self.broken)
        let loaded = try source().load()
        #expect(!loaded.result.usable && loaded.fallback == nil && loaded.text == nil)
        #expect(!loaded.result.diagnostics.isEmpty)
        // A copy that is broken itself is none.
        try write(Self.broken, "state/\(ConfigurationSource.copyName)")
        #expect(try !source().load().result.usable)
    }

    static let hasInstalledCopy = FileManager.default.fileExists(
        atPath: "\(AgentConfiguration.Defaults.workDirectory)/\(ConfigurationSource.copyName)"
    )

    @Test(.disabled(if: hasInstalledCopy, "this host has an agent's last good copy"))
    func noFileAtAll() {
        #expect(throws: Errno.notFound) { _ = try self.source().load() }
        #expect(throws: Errno.notFound) { _ = try self.source().loadFile() }
    }

    @Test func keepingACopy() throws {
        let copy = "\(folder)/state/\(ConfigurationSource.copyName)"
        try ConfigurationSource.keep([1, 2, 3], in: "\(folder)/state")
        let first = try #require(FileIdentity(copy))
        // The same again: nothing is written.
        try ConfigurationSource.keep([1, 2, 3], in: "\(folder)/state")
        #expect(FileIdentity(copy) == first)
        try ConfigurationSource.keep([4], in: "\(folder)/state")
        #expect(try FileDescriptor.readFile(copy) == [4])
        #expect(FileIdentity(copy)?.inode != first.inode, "the old one is never written to")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: "\(folder)/state") == [ConfigurationSource.copyName]
        )
        #expect(throws: Errno.notFound) { try ConfigurationSource.keep([1], in: "\(self.folder)/missing") }
    }

    // MARK: specified_env

    func agent(_ source: ConfigurationSource) throws -> AgentConfiguration.Agent {
        try source.load().result.configuration.agent
    }

    @Test func whatStandsBesideTheFileIsRead() throws {
        try write(Self.good)
        try write("specified_idc = west\nspecified_id = x\n", "specified_env")
        #expect(try agent(source()).idc == "west" && agent(source()).id == "x")
        #expect(try agent(source(["specified_idc=north"])).idc == "north")
        // Also with the copy.
        try write(Self.good, "state/\(ConfigurationSource.copyName)")
        try write(Self.broken)
        #expect(try agent(source()).idc == "west")
    }

    /// The service manager has put the file into the environment; then the file is changed.
    @Test func whatChangesCountsBeforeWhatItWas() throws {
        try write(Self.good)
        try write(
            "specified_idc = west\nspecified_id = \"x\"\nhttp_proxy = p:1\nspecified_region = default\n",
            "specified_env"
        )
        var source = source([
            "specified_idc=west", "specified_id=x", "http_proxy=p:1", "specified_region=other", "PATH=/bin",
        ])
        source.preferSpecifiedEnvironment()
        // What somebody else has set stays.
        #expect(source.environment == ["specified_region": "other", "PATH": "/bin"])
        try write("specified_idc = south\n", "specified_env")
        #expect(try agent(source).idc == "south" && agent(source).id == nil)
        // Without that the old value would count for ever.
        #expect(try agent(self.source(["specified_idc=west"])).idc == "west")
    }

    @Test func withoutTheFileTheEnvironmentCounts() throws {
        try write(Self.good)
        var source = source(["specified_idc=west"])
        source.preferSpecifiedEnvironment()
        #expect(source.environment == ["specified_idc": "west"])
        #expect(try agent(source).idc == "west")
    }
}
