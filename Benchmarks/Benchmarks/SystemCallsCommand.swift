// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import Glibc
import Syscalls

/// `system-calls`: those of the agent while plugins write as fast as they can, for each MiB of records.
struct SystemCallsCommand {
    private static let volume = 128 << 20
    private var agent: String?

    init(options: [String]) throws {
        guard options.isEmpty || options.count == 2 && options[0] == "--agent" else {
            throw RigError("system-calls takes only --agent FILE")
        }
        agent = options.last
    }

    func run() throws {
        let rig = try Rig(try ProgramBuild.beside(agent: agent))
        defer { rig.close() }
        let discard = try DiscardServer(rig)
        let subject = try Subject.agent(rig, discard)
        defer {
            subject.end()
            discard.close()
        }
        _ = try subject.measure(.flood(Self.volume))
        let place = try rig.place("strace")
        let summary = "\(place)/summary"
        let tracer = try rig.start(
            ["/usr/bin/env", "strace", "-c", "-U", "calls,name", "-o", summary, "-p", "\(subject.child.pid)"],
            in: place
        )
        try rig.wait("strace") {
            if let status = tracer.status { throw RigError("strace ended with \(status): is ptrace allowed here?") }
            return ProcessFigures(pid: subject.child.pid).isTraced
        }
        for _ in 0..<4 { _ = try subject.measure(.flood(Self.volume)) }
        tracer.signal(SIGINT)
        try rig.wait("the end of strace") { tracer.status != nil }
        let calls = try Self.counts(summary)
        let mebibytes = Double(4 * Self.volume >> 20)
        for name in ["read", "sendto", "epoll_wait"] {
            print(name, hundredths(Double(calls[name] ?? 0) / mebibytes))
        }
        print("all", hundredths(Double(calls["total"] ?? 0) / mebibytes))
    }

    private func hundredths(_ value: Double) -> Double { (value * 100).rounded() / 100 }

    /// The lines of `strace -c`: a number, and a name.
    private static func counts(_ path: String) throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for line in String(decoding: try FileDescriptor.readFile(path), as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, let count = Int(words[0]) { counts[String(words[1])] = count }
        }
        return counts
    }
}
