// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import ElkeidWire
import Testing

@Suite
struct ComponentTests {
    private static let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    private static let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    private func component(_ name: String, _ path: String) throws -> Component {
        try Component(ComponentSpecification(name: name, version: "1.0.0.1", path: path))
    }

    @Test
    func executableIsHashed() throws {
        let scratch = try Scratch()
        let made = try component("p", try scratch.file("p", Array("abc".utf8)))
        #expect(made.type == "exec" && made.sha256 == Self.abc && made.signature == "" && made.size == 3)
        #expect(made.fileName == "p-default-default-1.0.0.1.plg")
        let config = made.config(authority: "1.2.3.4:80")
        #expect(config.downloadURLs == ["http://1.2.3.4:80/agent/component/p/p-default-default-1.0.0.1.plg"])
        #expect(made.config(authority: nil).downloadURLs.isEmpty)
    }

    @Test(arguments: ["p", "./p"])
    func signatureOfAnArchiveIsTheHashOfItsExecutable(_ member: String) throws {
        let scratch = try Scratch()
        _ = try scratch.file("other", [UInt8](repeating: 1, count: 200_000))
        _ = try scratch.file("p", Array("abc".utf8))
        _ = try scratch.run("mkdir", "d")
        _ = try scratch.file("d/p", [9])
        #expect(try scratch.run("tar", "-czf", "a.tar.gz", "d", "other", member).status == 0)
        let made = try component("p", "\(scratch.path)/a.tar.gz")
        #expect(made.type == "tar.gz" && made.signature == Self.abc)
        #expect(made.sha256 == (try scratch.run("sha256sum", "a.tar.gz").output.prefix(64)))
        #expect(made.fileName == "p-default-default-1.0.0.1.tar.gz")
    }

    @Test
    func emptyExecutableInAnArchive() throws {
        let scratch = try Scratch()
        _ = try scratch.file("p", [])
        _ = try scratch.run("tar", "-czf", "a.tar.gz", "p")
        #expect(try component("p", "\(scratch.path)/a.tar.gz").signature == Self.empty)
    }

    @Test
    func agentPackageHasItsType() throws {
        let scratch = try Scratch()
        let made = try component("elkeid-agent", try scratch.file("a.rpm", [1]))
        #expect(made.type == "agent" && made.fileName == "elkeid-agent-default-default-1.0.0.1.rpm")
    }

    @Test
    func whatCannotBeServedIsRefused() throws {
        let scratch = try Scratch()
        #expect(throws: CenterError.self) { try component("p", "\(scratch.path)/absent") }
        #expect(throws: CenterError.self) { try component("p", scratch.path) }
        _ = try scratch.file("q", [1])
        _ = try scratch.run("tar", "-czf", "a.tar.gz", "q")
        #expect(throws: CenterError.self) { try component("p", "\(scratch.path)/a.tar.gz") }
        let cut = try scratch.file("cut", [0x1f, 0x8b, 8, 0])
        #expect(throws: CenterError.self) { try component("p", cut) }
    }
}
