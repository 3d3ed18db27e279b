// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DiskWorker
import Foundation
import Glibc
import Logging
import Reactor
import Syscalls
import TestSupport
import Testing

/// With the real worker: the built agent, started with `--disk-worker`.
@Suite(.serialized)
final class DiskWorkerTests {
    private let folder: String
    private let reactor: Reactor
    private let children: ChildWatcher
    private let worker: DiskWorker
    private let program: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/elkeid-disk-\(UUID())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        program = URL(filePath: own).deletingLastPathComponent().appending(path: "elkeid-agent").path
        try #require(FileManager.default.isExecutableFile(atPath: program), "\(program) is not built")
        reactor = try Reactor()
        children = try ChildWatcher(reactor: reactor)
        worker = DiskWorker(
            reactor: reactor,
            children: children,
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            program: program,
            // But for the one test of it.
            idleLimit: .seconds(3600)
        )
    }

    deinit {
        let last = worker.pid
        worker.close()
        children.close()
        // A child that nobody waits for would keep the testing library's own wait, in exit tests, from ending.
        if let last { while waitpid(last, nil, 0) < 0, errno == EINTR {} }
        do { try FileManager.default.removeItem(atPath: folder) } catch { Issue.record(error) }
    }

    /// Waits for one answer.
    private func answer<T>(_ ask: (@escaping (Result<T, DiskError>) -> Void) -> Void) throws -> Result<T, DiskError> {
        var result: Result<T, DiskError>?
        ask {
            #expect(result == nil, "answered twice")
            result = $0
        }
        #expect(result == nil, "never at once")
        while result == nil { try reactor.turn(wait: true) }
        return try #require(result)
    }

    private func path(_ name: String) -> String { folder + "/" + name }

    private func put(_ name: String, _ text: String) throws {
        let parent = URL(filePath: path(name)).deletingLastPathComponent()
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: path(name)))
    }

    private func text(_ name: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(filePath: path(name))), as: UTF8.self)
    }

    private var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder).sorted()) ?? [] }

    private func mode(_ name: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path(name))[.posixPermissions] as? Int
    }

    // MARK: Operations

    @Test func putsFilesInPlace() throws {
        try put("state", "old")
        for text in ["new", "", String(repeating: "x", count: 3_000_000)] {
            try answer { worker.writeFile(path("state"), Array(text.utf8), mode: 0o600, $0) }.get()
            #expect(try self.text("state") == text)
        }
        #expect(names == ["state"])
        #expect(try mode("state") == 0o600)
        let missing = try answer { worker.writeFile(path("no/state"), [1], mode: 0o600, $0) }
        guard case .failure(let error) = missing else {
            Issue.record("written into a folder that is not there")
            return
        }
        #expect(error.errno == .notFound)
        #expect(error.description == "write \(path("no/state")): No such file or directory")
    }

    @Test func rotatesCompressesAndPrunes() throws {
        try put("other-20260101T000000.000Z.log", "not ours")
        var aside: [String] = []
        for round in 0..<5 {
            try put("agent.log", "line \(round)\n")
            aside.append(try answer { worker.rotate(path("agent.log"), $0) }.get())
        }
        #expect(Set(aside).count == 5)
        #expect(aside == aside.sorted())
        #expect(!names.contains("agent.log"))
        try answer { worker.compress(aside[4], $0) }.get()
        // As after a crash between the steps: done already, and done by half.
        try answer { worker.compress(aside[4], $0) }.get()
        try put(URL(filePath: aside[3]).lastPathComponent + ".gz.part", "half")
        try answer { worker.prune(folder, stem: "agent", keep: 3, maxAge: .seconds(3600), $0) }.get()
        let kept = aside[2...].map { URL(filePath: $0).lastPathComponent + ".gz" }
        #expect(names == kept + ["other-20260101T000000.000Z.log"])
        for (index, name) in kept.enumerated() {
            #expect(try mode(name) == 0o600)
            let (status, content) = try output(of: Child("/bin/gzip", ["-dc", path(name)]))
            #expect(status == 0)
            #expect(content == "line \(index + 2)\n")
        }
        // By age: the time is that of the file put aside.
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -7200)],
            ofItemAtPath: path(kept[2])
        )
        try answer { worker.prune(folder, stem: "agent", keep: 3, maxAge: .seconds(3600), $0) }.get()
        #expect(names == kept[..<2] + ["other-20260101T000000.000Z.log"])
        guard case .failure(let error) = try answer({ worker.rotate(path("agent.log"), $0) }) else {
            Issue.record("rotated what is not there")
            return
        }
        #expect(error.errno == .notFound)
    }

    @Test func addsUpFolders() throws {
        try put("a", "12345")
        try put("sub/b", "123")
        try put("sub/plugin/c", "1234567")
        try put("plugin/d", "1234567")
        try FileManager.default.createSymbolicLink(atPath: path("link"), withDestinationPath: "/usr")
        try FileManager.default.createSymbolicLink(atPath: path("sub/self"), withDestinationPath: folder)
        let all = try answer { worker.directorySize(folder, $0) }.get()
        #expect(all.bytes == 22)
        #expect(!all.isPartial)
        #expect(try answer { worker.directorySize(folder, excluding: ["plugin"], $0) }.get().bytes == 8)
        #expect(throws: DiskError.self) { try answer { worker.directorySize(path("none"), $0) }.get() }
    }

    // MARK: The worker's life

    @Test func startsWithTheFirstRequestAndIsTheLast() throws {
        #expect(worker.pid == nil)
        try answer { worker.writeFile(path("a"), [1], mode: 0o600, $0) }.get()
        let pid = try #require(worker.pid)
        for signal in [SIGTERM, SIGINT, SIGHUP] { kill(pid, signal) }
        try answer { worker.writeFile(path("b"), [1], mode: 0o600, $0) }.get()
        #expect(worker.pid == pid, "signals for the agent are not for the worker")
        // It has no descriptor of the agent's but the one it is asked through.
        let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").sorted()
        #expect(descriptors == ["0", "1", "2", "3"])
    }

    /// Without a request it ends, quietly; the next request has another one.
    @Test func endsWhenItIsIdle() throws {
        let worker = DiskWorker(
            reactor: reactor,
            children: children,
            log: Logger(label: "test") { _ in UnexpectedLog() },
            program: program,
            idleLimit: .milliseconds(1)
        )
        defer { worker.close() }
        for name in ["a", "b"] {
            try answer { worker.writeFile(path(name), [1], mode: 0o600, $0) }.get()
            let pid = try #require(worker.pid)
            while worker.pid != nil || kill(pid, 0) == 0 { try reactor.turn(wait: true) }
        }
        #expect(names == ["a", "b"])
    }

    /// Killed again and again in the midst of a thousand requests, everything is done, in order, and answered once.
    @Test func losesNothingWhenKilled() throws {
        var answers: [Int] = []
        for index in 0..<1000 {
            worker.writeFile(path("counter"), Array("\(index)".utf8), mode: 0o600) { result in
                if case .failure(let error) = result { Issue.record(error) }
                answers.append(index)
            }
        }
        var killed = Set<Int32>()
        while answers.count < 1000 {
            try reactor.turn(wait: true)
            if let pid = worker.pid, killed.count < 3, answers.count > 250 * (killed.count + 1),
                killed.insert(pid).inserted
            {
                kill(pid, SIGKILL)
            }
        }
        #expect(killed.count == 3)
        #expect(answers == Array(0..<1000))
        #expect(try text("counter") == "999")
    }

    @Test func refusesWhatItCannotHold() throws {
        var refused = 0
        var done = 0
        for index in 0..<(DiskWorker.queueLimit + 10) {
            worker.writeFile(path("f"), [UInt8(truncatingIfNeeded: index)], mode: 0o600) { result in
                if case .failure = result { refused += 1 } else { done += 1 }
            }
        }
        #expect(worker.waiting == DiskWorker.queueLimit)
        while refused + done < DiskWorker.queueLimit + 10 { try reactor.turn(wait: true) }
        #expect(refused == 10)
        let long = String(repeating: "x", count: 5000)
        #expect(throws: DiskError.self) { try answer { worker.rotate(long, $0) }.get() }
        let large = [UInt8](repeating: 0, count: 11 << 20)
        #expect(throws: DiskError.self) { try answer { worker.writeFile(path("g"), large, mode: 0o600, $0) }.get() }
    }

    /// What is not a request ends it with a code, and not by a trap.
    @Test(arguments: [
        "ffffffff", "00000000", "0400000001020304", "10000000000000000000000063000000000000000000",
        "180000000100000000000000020000000000000088888888888888888",
    ])
    func endsUponNonsense(text: String) throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let program = URL(filePath: own).deletingLastPathComponent().appending(path: "elkeid-agent").path
        let bytes = stride(from: 0, to: text.utf8.count - 1, by: 2).map { offset in
            "\\x" + text.dropFirst(offset).prefix(2)
        }.joined()
        let script = "printf '\(bytes)' | '\(program)' --disk-worker 3<&0; echo $?"
        let (_, answer) = try output(of: Child("/bin/bash", ["-c", script]))
        #expect(["76\n", "0\n", "1\n"].contains(answer), "\(answer)")
    }

    // MARK: Parts, ends, services

    @Test func readsParts() throws {
        let path = folder + "/file"
        let bytes = (0..<600_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) }
        try Data(bytes).write(to: URL(filePath: path))
        let first = try answer { worker.read(path, offset: 0, count: 0, inode: 0, $0) }.get()
        #expect(first.size == 600_000 && first.bytes.isEmpty)
        for (offset, count) in [(0, 10), (599_990, 10), (599_990, 100), (600_000, 5), (700_000, 5), (1, 599_999)] {
            let part = try answer { worker.read(path, offset: Int64(offset), count: count, inode: first.inode, $0) }
                .get()
            let expected = bytes.dropFirst(offset).prefix(count)
            #expect(part.bytes == Array(expected), "\(offset) \(count)")
        }
        let other = try answer { worker.read(path, offset: 0, count: 1, inode: first.inode + 1, $0) }
        #expect("\(other)".contains("another file has taken its place"))
    }

    @Test func readsNothingButRegularFiles() throws {
        #expect(unsafe mkfifo(folder + "/fifo", 0o600) == 0)
        for path in [folder, folder + "/fifo", "/dev/null"] {
            let result = try answer { worker.read(path, offset: 0, count: 1, inode: 0, $0) }
            #expect("\(result)".contains("it is not a regular file"), "\(path)")
        }
        let missing = try answer { worker.read(folder + "/missing", offset: 0, count: 1, inode: 0, $0) }
        #expect("\(missing)".contains("No such file"))
    }

    /// Whoever appends to it goes on behind what is kept.
    @Test func cutsFilesToTheirEnd() throws {
        let path = folder + "/file"
        try Data((0..<1000).map { UInt8($0 / 4) }).write(to: URL(filePath: path))
        let appending = try FileDescriptor.open(path, .append)
        _ = try answer { worker.cut(path, keep: 5000, $0) }.get()
        #expect(try Data(contentsOf: URL(filePath: path)).count == 1000)
        _ = try answer { worker.cut(path, keep: 3, $0) }.get()
        let more: [UInt8] = [1, 2]
        unsafe try appending.writeAll(more.span.bytes)
        #expect(try Data(contentsOf: URL(filePath: path)) == Data([249, 249, 249, 1, 2]))
    }

    @Test func asksOnlyServicesThatThereAre() throws {
        let result = try answer { worker.call("nobody", [1, 2], $0) }
        #expect("\(result)".contains("no such service"))
        let question = Array("{\"operation\":\"sweep\",\"root\":\"\(folder)\"}".utf8)
        let known = try answer { worker.call("components", question, $0) }.get()
        #expect(String(decoding: known, as: UTF8.self) == "{\"more\":false}")
    }

    /// Letting go of a worker whose process still lives must not be noticed by anything.
    @Test func canBeLetGoOfInTheMidstOfAnAnswer() throws {
        var short: DiskWorker? = DiskWorker(
            reactor: reactor,
            children: children,
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            program: program
        )
        var pid: Int32?
        var isDone = false
        short?.read(folder + "/missing", offset: 0, count: 1, inode: 0) { _ in
            pid = short?.pid
            short?.close()
            short = nil
            isDone = true
        }
        while !isDone { try reactor.turn(wait: true) }
        // Its process ends, and its timers are due.
        let process = try #require(pid)
        let limit = MonotonicTime.now() + .seconds(20)
        while kill(process, 0) == 0, MonotonicTime.now() < limit { try reactor.turn(wait: true) }
        #expect(kill(process, 0) != 0)
    }
}

/// Of a worker of which there is nothing to say.
private struct UnexpectedLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { Issue.record("\(event.message)") }
}
