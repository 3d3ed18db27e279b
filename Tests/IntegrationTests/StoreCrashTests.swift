// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// The worker that moves versions about is killed at each of its system calls in turn: whatever it had done, what is found
/// afterwards is one version or the other, whole, and nothing that a plugin made is lost.
extension Integration {
    @Suite struct StoreCrashes {
        /// The calls that change something on the disk.
        private static let calls =
            "rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,fsync,openat,write,symlinkat,ftruncate"

        @Test func inASwap() throws { try everywhere("swap") }
        @Test func inARollback() throws { try everywhere("rollback") }
        @Test func inARemoval() throws { try everywhere("remove") }

        private func everywhere(_ operation: String) throws {
            try Scenario.run { scenario in
                var survived = false
                // Every call in soak, else every third, with another beginning each day.
                let step = TestEnvironment.isSoak ? 1 : 3
                var call = 1 + Int(time(nil) / 86_400) % step
                while !survived {
                    let store = try TestStore(in: scenario.folder.path + "/\(operation)-\(call)")
                    try store.prepare(for: operation)
                    survived = try store.run(operation, killedAt: (Self.calls, call))
                    // A second worker, as the agent that lives on would ask it, and an agent that starts anew.
                    if (call / step).isMultiple(of: 2) { _ = try? store.run(operation) }
                    let found = try store.recover()
                    try store.expectWhole(found, after: operation, call: call, survived: survived)
                    store.remove()
                    call += step
                }
                #expect(call > 30, "\(operation) makes only \(call) calls: nothing was tested")
                print("\(operation): killed at calls up to \(call - 2 * step)")
            }
        }
    }
}

/// A folder of components, and the agent's own worker to change it.
private struct TestStore {
    let root: String
    private let folder: String

    init(in folder: String) throws {
        self.folder = folder
        root = folder + "/plugin"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    // MARK: Versions

    private static func config(_ version: String) -> [String: Any] {
        [
            "name": "a", "type": "tar.gz", "version": version, "sha256": String(repeating: version, count: 64),
            "signature": "", "urls": [String](), "detail": "",
        ]
    }

    private func make(_ version: String, at path: String) throws {
        try FileManager.default.createDirectory(atPath: path + "/part", withIntermediateDirectories: true)
        for name in ["a", "part/1", "both", "only-\(version)"] { try write(version, to: path + "/" + name) }
        let manifest: [String: Any] = [
            "format": 1, "config": Self.config(version), "main_sha256": String(repeating: "e", count: 64),
            "files": ["a", "part/1", "both", "only-\(version)"],
        ]
        try write(try JSON.line(manifest), to: path + "/.elkeid-manifest")
    }

    /// Version 1 is in place and has made things; version 2 is staged, or in place and on probation, and has made more.
    func prepare(for operation: String) throws {
        let staging = root + "/.components/a"
        try make("1", at: operation == "swap" ? root + "/a" : staging + "/previous")
        try make("2", at: operation == "swap" ? staging + "/new" : root + "/a")
        if operation == "swap" {
            // What an upgrade before this one has kept.
            try make("0", at: staging + "/previous")
        } else {
            try write("", to: staging + "/probation")
            try write("stale", to: staging + "/previous/state")
        }
        try FileManager.default.createDirectory(atPath: root + "/a/db/deep", withIntermediateDirectories: true)
        for name in ["state", "db/deep/rows", "part/mine"] { try write("made", to: root + "/a/" + name) }
    }

    // MARK: The worker

    /// Lets a worker do one thing. False: it was killed over it.
    func run(_ operation: String, killedAt call: (names: String, number: Int)? = nil) throws -> Bool {
        try ask(["operation": operation, "root": root, "name": "a", "config": Self.config("2")], killedAt: call) != nil
    }

    func recover() throws -> [JSON] {
        let answer = try #require(try ask(["operation": "recover", "root": root], killedAt: nil))
        return (answer.object["found"] as? [Any] ?? []).map { JSON($0) }
    }

    /// The worker's descriptor 3 is a file here: it reads the question in it, and writes the answer behind that.
    private func ask(_ question: [String: Any], killedAt call: (names: String, number: Int)?) throws -> JSON? {
        let exchange = folder + "/exchange"
        let argument = Data(try JSON.line(question).utf8)
        var body = Data()
        for number in [UInt64(1), 7, 10] { body += Self.bytes(number) }
        body += Data("components".utf8) + Self.bytes(UInt64(argument.count)) + argument
        let request = Self.bytes(UInt64(body.count)).prefix(4) + body
        try request.write(to: URL(filePath: exchange))
        var command = [try TestEnvironment.agent(), "--disk-worker"]
        if let call {
            let inject = "inject=\(call.names):signal=KILL:when=\(call.number)"
            command = ["strace", "-o", "/dev/null", "-e", "trace=\(call.names)", "-e", inject] + command
        }
        let line = "exec 3<>'\(exchange)'; exec " + command.map { "'\($0)'" }.joined(separator: " ")
        let child = try ChildProcess(["/bin/sh", "-c", line])
        defer { child.end() }
        let exit = try child.waitForExit(seconds: 20)
        let answer = try Data(contentsOf: URL(filePath: exchange)).dropFirst(request.count)
        if exit == .signal(SIGKILL) || answer.count < 28 { return nil }
        return JSON(line: Data(answer.dropFirst(28)))
    }

    private static func bytes(_ number: UInt64) -> Data {
        Data((0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) })
    }

    // MARK: Expectations

    func expectWhole(_ found: [JSON], after operation: String, call: Int, survived: Bool) throws {
        let comment = Comment(rawValue: "\(operation) killed at call \(call)")
        if operation == "remove" {
            // Its folder is there with everything, or it is not there at all.
            if found.isEmpty { return #expect(!FileManager.default.fileExists(atPath: root + "/a"), comment) }
        }
        #expect(found.count == 1 && found[0]["name"].string == "a", comment)
        let version = try #require(found.first?["manifest"]["config"]["version"].string, comment)
        let place = root + "/a/"
        for name in ["a", "part/1", "both", "only-\(version)"] { #expect(text(of: place + name) == version, comment) }
        for name in ["state", "db/deep/rows", "part/mine"] { #expect(text(of: place + name) == "made", comment) }
        let other = version == "1" ? "2" : "1"
        #expect(!FileManager.default.fileExists(atPath: place + "only-\(other)"), comment)
        if survived, operation != "remove" { #expect(version == (operation == "swap" ? "2" : "1"), comment) }
        // The new version has to prove itself, and can be rolled back as long as it is in place.
        let isNew = version == "2"
        if operation != "remove" { #expect(found[0]["probation"].bool == isNew, comment) }
        if isNew && operation != "remove" { #expect(found[0]["previous"].bool == true, comment) }
        let left = try FileManager.default.contentsOfDirectory(atPath: root + "/.components/a")
        #expect(Set(left).isSubset(of: ["previous", "probation"]), "\(comment): \(left)")
    }
}
