// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Logging
public import Reactor
import Syscalls

/// A process group that an agent which was killed has left behind.
public struct Orphan: Equatable, Sendable {
    /// The plugin's name.
    public let name: String
    public let group: Int32
    /// Processes in it, with the time at which each started: a number alone may be another process's by now.
    public let members: [Member]

    public struct Member: Equatable, Sendable {
        public let pid: Int32
        public let started: UInt64

        public init(pid: Int32, started: UInt64) {
            self.pid = pid
            self.started = started
        }
    }

    public init(name: String, group: Int32, members: [Member]) {
        self.name = name
        self.group = group
        self.members = members
    }

    /// The environment variable by which a plugin's processes are known: the plugin's folder.
    static let variable = "ELKEID_PLUGIN"

    /// The groups of plugins in `root` that no agent holds: to be asked for when none of one's own runs yet. Looking at a
    /// process may block for as long as that process is stuck.
    ///
    /// A plugin is the leader of its group, not of a session; a process that left both did so in order to stay.
    public static func find(root: String) -> [Orphan] {
        var found: [Int32: (name: String, members: [Member])] = [:]
        guard let entries = try? FileDescriptor.open("/proc", .directory).entries() else { return [] }
        for pid in entries.compactMap({ $0.text.flatMap(Int32.init) }) where pid != getpid() {
            guard isOurs(pid), let process = ProcessEntry(pid), process.isAlive, process.session != process.group,
                process.group != getpgrp(), let name = pluginName(of: pid, root: root)
            else { continue }
            let member = Member(pid: pid, started: process.started)
            found[process.group, default: (name, [])].members.append(member)
        }
        return found.map { Orphan(name: $0.value.name, group: $0.key, members: $0.value.members) }
            .sorted { $0.group < $1.group }
    }

    /// Anybody may give any environment to a process of theirs.
    private static func isOurs(_ pid: Int32) -> Bool {
        var status = stat()
        return unsafe stat("/proc/\(pid)", &status) == 0 && status.st_uid == geteuid()
    }

    private static func pluginName(of pid: Int32, root: String) -> String? {
        programFolder(of: pid, root: root) ?? environmentFolder(of: pid, root: root)
    }

    /// By its program. Those of an older version stand in a folder of the store, below which is the name.
    private static func programFolder(of pid: Int32, root: String) -> String? {
        var target = [CChar](repeating: 0, count: 4096)
        let count = unsafe readlink("/proc/\(pid)/exe", &target, target.count)
        let place = Array("\(root)/".utf8)
        guard count > 0 else { return nil }
        let path = target[..<count].map(UInt8.init(bitPattern:))
        guard path.starts(with: place) else { return nil }
        let parts = path.dropFirst(place.count).split(separator: UInt8(ascii: "/"))
        return parts.first { $0.first != UInt8(ascii: ".") }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// By what it was given when it was started: of scripts the program is their interpreter.
    private static func environmentFolder(of pid: Int32, root: String) -> String? {
        let prefix = Array("\(variable)=\(root)/".utf8)
        let environment = (try? FileDescriptor.readFile("/proc/\(pid)/environ", limit: 4 << 20)) ?? []
        let entry = environment.split(separator: 0).first { $0.starts(with: prefix) }
        return entry.map { String(decoding: $0.dropFirst(prefix.count), as: UTF8.self) }
    }

    var isAlive: Bool {
        members.contains { member in
            ProcessEntry(member.pid).map { $0.isAlive && $0.started == member.started } ?? false
        }
    }
}

/// What /proc/PID/stat says (proc(5)).
private struct ProcessEntry {
    let isAlive: Bool
    let group: Int32
    let session: Int32
    /// Clock ticks since the system's start.
    let started: UInt64

    init?(_ pid: Int32) {
        // The name, in parentheses, may hold anything.
        guard let text = try? FileDescriptor.readFile("/proc/\(pid)/stat"), let end = text.lastIndex(of: 0x29) else {
            return nil
        }
        let fields = text[(end + 1)...].split(separator: 0x20)
        func number(_ index: Int) -> Int64? { Int64(String(decoding: fields[index], as: UTF8.self)) }
        guard fields.count > 19, let state = fields[0].first, let group = number(2), let session = number(3),
            let started = number(19)
        else { return nil }
        isAlive = state != UInt8(ascii: "Z") && state != UInt8(ascii: "X")
        self.group = Int32(truncatingIfNeeded: group)
        self.session = Int32(truncatingIfNeeded: session)
        self.started = UInt64(max(0, started))
    }
}

/// Ends what a killed agent has left: its plugins read the end of their tasks when it died, so they are given a moment,
/// then the steps of a stop. They are nobody's children here: whether they live on is looked at ten times a second.
public final class OrphanEnding {
    private static let interval = TimeSpan.milliseconds(100)
    /// From the agent's death a plugin was on its way out already.
    public static func steps(term: TimeSpan) -> [StopStep] {
        [.wait(.seconds(1)), .signal(SIGTERM), .wait(term), .signal(SIGKILL), .wait(.seconds(5))]
    }

    private let orphan: Orphan
    public var name: String { orphan.name }
    private let log: Logger
    private var steps: ArraySlice<StopStep>
    private var until = MonotonicTime.now()
    private let completion: () -> Void
    private let reactor: Reactor
    private lazy var timer = reactor.makeTimer { [unowned self] in self.look() }

    /// `completion` is called in a later turn, when it has ended, or cannot be ended.
    public init(
        _ orphan: Orphan,
        steps: [StopStep],
        reactor: Reactor,
        log: Logger,
        completion: @escaping () -> Void
    ) {
        self.orphan = orphan
        self.steps = steps[...]
        self.reactor = reactor
        self.log = log
        self.completion = completion
        timer.arm(after: .zero)
    }

    public func cancel() { timer.cancel() }

    private func look() {
        guard orphan.isAlive else {
            log.info("what an earlier agent left of plugin \(orphan.name) has ended")
            return completion()
        }
        while MonotonicTime.now() >= until {
            guard let step = steps.popFirst() else {
                log.error("plugin \(orphan.name): process group \(orphan.group) of an earlier agent cannot be ended")
                return completion()
            }
            switch step {
            case .closeTasks: break
            case .wait(let time): until = MonotonicTime.now() + time
            case .signal(let signal): kill(-orphan.group, signal)
            }
        }
        timer.arm(after: Self.interval)
    }
}
