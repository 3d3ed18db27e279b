// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import Glibc
import Reactor
import Syscalls
import TLS

/// Why a measurement came to nothing.
struct RigError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// What all measurements share: a folder with certificates, one event loop on which the servers and the controls of the
/// load generators run, and the children.
final class Rig {
    let reactor: Reactor
    let watcher: ChildWatcher
    let folder: String
    let certificates: CertificateFolder
    let serverContext: TLSContext
    let programs: Programs
    private var names = 0

    init(_ programs: Programs) throws {
        self.programs = programs
        reactor = try Reactor()
        watcher = try ChildWatcher(reactor: reactor)
        folder = try Folder.temporary("elkeid-bench")
        certificates = CertificateFolder("\(folder)/certs")
        try certificates.make()
        serverContext = try TLSContext(role: .server, files: certificates.server)
    }

    func close() {
        watcher.close()
        Folder.remove(folder)
    }

    /// A new folder of its own for one subject.
    func place(_ name: String) throws -> String {
        names += 1
        let path = "\(folder)/\(name)-\(names)"
        try Folder.make(path)
        return path
    }

    /// Runs the loop until `condition` holds.
    func wait(_ what: String, seconds: Int64 = 60, until condition: () throws -> Bool) throws {
        let deadline = MonotonicTime.now() + .seconds(seconds)
        let alarm = reactor.makeTimer {}
        alarm.arm(at: deadline)
        defer { alarm.cancel() }
        while try !condition() {
            guard MonotonicTime.now() < deadline else { throw RigError("\(what): not within \(seconds) s") }
            try reactor.turn(wait: true)
        }
    }

    /// Runs the loop for a time.
    func pass(_ span: TimeSpan) throws {
        let deadline = MonotonicTime.now() + span
        let alarm = reactor.makeTimer {}
        alarm.arm(at: deadline)
        while MonotonicTime.now() < deadline { try reactor.turn(wait: true) }
    }

    /// Starts a program that ends with the rig's process.
    func start(_ arguments: [String], in directory: String, descriptors: [Int: CInt] = [:]) throws -> ChildProcess {
        try ChildProcess(
            arguments,
            environment: ["PATH=/usr/bin:/bin", "LC_ALL=C"],
            directory: directory,
            log: "\(directory)/output",
            descriptors: descriptors,
            watcher: watcher,
            onExit: { _ in }
        )
    }

    /// Ends a program in order, or by force when it does not go.
    func stop(_ child: ChildProcess) {
        child.signal(SIGTERM)
        do { try wait("the end of process \(child.pid)", seconds: 20) { child.status != nil } } catch {
            child.signal(SIGKILL)
            complain("\(error); it was killed")
        }
    }
}

/// Where the programs are that are measured.
struct Programs {
    /// The agent as it is shipped: static.
    var agent: String
    var floor: String
    var generator: String
    /// The grpc-go server of the tests, and the peer in Swift, when they are there.
    var goServer: String?
    var peer: String?
    /// One for each plugin library whose language is here.
    var pluginBenches: [String] = []
}

func complain(_ text: String) {
    let line = "Benchmarks: \(text)\n"
    _ = unsafe line.withCString { unsafe write(STDERR_FILENO, $0, strlen($0)) }
}
