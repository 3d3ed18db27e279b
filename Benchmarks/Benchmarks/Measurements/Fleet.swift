// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import DevelopmentCenter
import Glibc
import Reactor
import Syscalls

// Beginnings: of one agent, and of a thousand at one center.
extension Suite {
    mutating func start() throws {
        var samples: [Double] = []
        for _ in 0..<repetitions {
            let discard = try DiscardServer(rig)
            let control = try LoadControl(rig)
            let folder = AgentFolder(try rig.place("agent"), rig)
            discard.tell(try folder.addGenerators(1, control))
            var failure: (any Error)?
            control.onGenerator = { generator in
                do { try generator.start(Load(records: 1, burst: 1, isStamped: true)) } catch { failure = error }
            }
            var arrived: Double?
            discard.onRecord = { _ in arrived = arrived ?? wallTime() }
            let began = wallTime()
            let child = try folder.start(port: discard.port, Subject.AgentOptions())
            defer {
                control.close()
                rig.stop(child)
                discard.close()
            }
            try rig.wait("the first record") { arrived != nil || failure != nil }
            if let failure { throw failure }
            samples.append(((arrived ?? began) - began) / 1e6)
        }
        let note = "process, TLS, configuration, plugin's start, linger"
        add("Start", "to the first record at the server", "ms", samples, note: note)
    }

    /// `count` agents, each with an id and a folder of its own, that connect to one development center.
    mutating func fleet(_ count: Int) throws {
        let settings = Center.Settings(
            listen: try SocketAddress(text: "127.0.0.1:0"),
            http: nil,
            certificates: rig.certificates.server,
            uploads: try rig.place("uploads")
        )
        let center = try Center(settings, reactor: rig.reactor)
        let own = ProcessFigures(pid: getpid())
        let before = own.memory.resident
        let began = wallTime()
        var children: [ChildProcess] = []
        defer {
            for child in children { child.signal(SIGKILL) }
            do { try rig.wait("the end of the fleet") { children.allSatisfy { $0.status != nil } } } catch {
                complain("\(error)")
            }
            center.close()
        }
        for _ in 0..<count {
            let folder = AgentFolder(try rig.place("fleet"), rig)
            children.append(try folder.start(port: center.port, Subject.AgentOptions(plugins: 0)))
            try rig.reactor.turn(wait: false)
        }
        try rig.wait("the fleet", seconds: 120) { center.agents >= count }
        let seconds = (wallTime() - began) / 1e9
        let memory = children.map { ProcessFigures(pid: $0.pid).memory.proportional }.reduce(0, +)
        let group = "\(count) agents at one center"
        add(group, "started and connected after", "s", [seconds])
        add(group, "memory of an agent, its share", "MB", [Double(memory) / 1024 / Double(count)])
        add(
            group,
            "memory of the center for an agent",
            "MB",
            [Double(own.memory.resident - before) / 1024 / Double(count)]
        )
    }
}
