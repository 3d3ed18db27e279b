// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import ElkeidWire
import Glibc
import Reactor
import Syscalls

/// A process under measurement, with generators that write into its pipes and a server that takes what comes out.
final class Subject {
    let rig: Rig
    let child: ChildProcess
    let control: LoadControl
    let sink: any Sink
    private var generators: [ChildProcess] = []

    var figures: ProcessFigures { ProcessFigures(pid: child.pid) }

    private init(_ rig: Rig, _ child: ChildProcess, _ control: LoadControl, _ sink: any Sink) {
        self.rig = rig
        self.child = child
        self.control = control
        self.sink = sink
    }

    /// How an agent is configured.
    struct AgentOptions {
        var plugins = 1
        var compression = "none"
        var linger = "100ms"
    }

    /// An agent whose plugins are load generators, connected to `sink`; all of them are ready when this returns.
    static func agent(
        _ rig: Rig,
        _ server: any AgentServer,
        _ options: AgentOptions = AgentOptions(),
        program: String? = nil
    ) throws -> Subject {
        let control = try LoadControl(rig)
        let folder = AgentFolder(try rig.place("agent"), rig)
        try server.tell(try folder.addGenerators(options.plugins, control))
        let subject = Subject(rig, try folder.start(port: server.port, options, program: program), control, server)
        // Its plugins' generators come when the server has told it to start them.
        try subject.waitUntilReady(options.plugins, mustConnect: options.plugins == 0)
        return subject
    }

    /// A plain program that reads one pipe as its standard input: a floor, or a peer.
    static func program(_ rig: Rig, _ sink: any Sink, _ arguments: [String]) throws -> Subject {
        let control = try LoadControl(rig)
        let place = try rig.place("program")
        var ends = try Pipe()
        guard let read = ends.read.take(), let write = ends.write.take() else { throw RigError("no pipe") }
        write.growPipe(to: 1 << 20)
        let child = try rig.start(arguments, in: place, descriptors: [0: read.rawValue])
        let subject = Subject(rig, child, control, sink)
        let generator = [rig.programs.generator, "\(control.port)"]
        subject.generators = [try rig.start(generator, in: place, descriptors: [4: write.rawValue])]
        try subject.waitUntilReady(1, mustConnect: true)
        return subject
    }

    private func waitUntilReady(_ count: Int, mustConnect: Bool) throws {
        try rig.wait("the start of process \(child.pid) and \(count) generators") {
            let isConnected = !mustConnect || self.sink.connections > 0
            return self.control.generators.count >= count && isConnected || self.child.status != nil
        }
        if let status = child.status { throw RigError("process \(child.pid) ended with \(status)") }
        // What belongs to the start is not measured.
        try rig.pass(.milliseconds(300))
    }

    /// What one load cost.
    struct Cost {
        var bytes: UInt64
        var records: Int
        /// CPU of the process, and time until the server had everything; nanoseconds.
        var processor: Double
        var elapsed: Double

        var perByte: Double { processor / Double(bytes) }
        var perRecord: Double { processor / Double(records) }
        var recordsPerSecond: Double { Double(records) * 1e9 / elapsed }
        /// Of one core, in percent.
        var share: Double { 100 * processor / elapsed }
    }

    /// Has every generator write `load`, and waits until `arrived` says that the server has it (by default: as many
    /// bytes).
    func measure(_ load: Load, arrived: (() throws -> Bool)? = nil) throws -> Cost {
        let count = control.generators.count
        let expected = sink.bytes + load.bytes * UInt64(count)
        let (began, spent) = (wallTime(), figures.processorTime)
        for generator in control.generators { try generator.start(load) }
        try rig.wait("the load", seconds: 120) {
            guard self.child.status == nil else { return true }
            return (try arrived?() ?? (self.sink.bytes >= expected)) && !self.control.generators.contains { $0.isBusy }
        }
        if let status = child.status { throw RigError("process \(child.pid) ended with \(status) under load") }
        return Cost(
            bytes: load.bytes * UInt64(count),
            records: load.records * count,
            processor: figures.processorTime - spent,
            elapsed: wallTime() - began
        )
    }

    func end() {
        for generator in generators { generator.signal(SIGTERM) }
        control.close()
        rig.stop(child)
    }
}
