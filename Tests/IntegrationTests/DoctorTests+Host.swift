// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

// What is wrong on this host.
extension Integration.Doctor {
    private static func remove(_ path: String) throws { try FileManager.default.removeItem(atPath: path) }

    static let ofFiles = [
        Trouble(
            what: "no key",
            causes: ["files: missing_file", "server: certificate_file"],
            says: "client.key is missing",
            spoil: { try remove($0.key) }
        ),
        Trouble(
            what: "no certificate",
            causes: ["files: missing_file", "server: certificate_file"],
            says: "client.crt is missing",
            spoil: { try remove($0.certificate) }
        ),
        Trouble(
            what: "no authority",
            causes: ["files: missing_file", "server: certificate_file"],
            says: "ca.crt is missing",
            spoil: { try remove($0.authority) }
        ),
        Trouble(
            what: "key of another certificate",
            causes: ["certificates: certificate_file", "server: certificate_file"],
            says: "client.key",
            spoil: { try write(text(of: CertificateSet.stranger.file("client.key")), to: $0.key) }
        ),
        Trouble(
            what: "garbage for an authority",
            causes: ["certificates: certificate_file", "server: certificate_file"],
            says: "ca.crt",
            spoil: { try write("garbage\n", to: $0.authority) }
        ),
        Trouble(
            what: "a key that others can read",
            causes: ["files: permissions"],
            says: "client.key has mode 644",
            spoil: { #expect(unsafe chmod($0.key, 0o644) == 0) }
        ),
        Trouble(
            what: "a wrong value in agent.conf",
            causes: ["configuration: configuration"],
            says: "lzma",
            settings: { _ in ["transfer": ["compression": "lzma"]] }
        ),
    ]

    @Test func configurationThatOthersCanChange() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            try scenario.configure(Self.settings, endpoints: [server.address])
            #expect(unsafe chmod(scenario.configurationPath, 0o666) == 0)
            let diagnosis = try scenario.elkeidctl.doctor()
            diagnosis.expect(bad: [Self.down, "files: permissions"])
            let finding = diagnosis.report.finding("files", "config")
            #expect(finding?.remedy == "chmod 644 \(scenario.configurationPath)")
        }
    }

    /// The agent goes on with the copy that it kept, and so does the doctor; what is wrong is said all the same.
    @Test(arguments: [true, false])
    func configurationThatCannotBeParsed(hasCopy: Bool) throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            try scenario.configure(Self.settings, endpoints: [server.address])
            let good = text(of: scenario.configurationPath)
            let work = scenario.folder.path + "/work"
            if hasCopy { try write(good, to: work + "/agent.conf.last-good") }
            // The line that leads to the copy can be made out.
            try write("[agent]\nwork_dir = \(work)\n[tls\nca\n", to: scenario.configurationPath)
            let diagnosis = try scenario.elkeidctl.doctor()
            #expect(diagnosis.report.bad.contains("configuration: configuration"), "\(diagnosis)")
            #expect(diagnosis.exit == .code(1))
            #expect((diagnosis.report.finding("server \(server.address)", "gRPC")?.verdict == "ok") == hasCopy)
            #expect(diagnosis.report.bad.contains("files: missing_file") == !hasCopy, "\(diagnosis)")
        }
    }

    @Test func noConfiguration() throws {
        try Scenario.run { scenario in
            let diagnosis = try scenario.elkeidctl.doctor("--offline")
            #expect(diagnosis.exit == .code(1))
            let finding = diagnosis.report.finding("configuration", "file")
            #expect(finding?.cause == "configuration" && finding?.verdict == "bad", "\(diagnosis)")
            #expect(finding?.text.contains(scenario.configurationPath) == true, "\(diagnosis)")
        }
    }

    @Test(.enabled(if: SmallDisk.isPossible, "a file system of its own needs the right to mount one"))
    func diskFull() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            try scenario.configure(Self.settings, endpoints: [server.address])
            let work = scenario.folder.path + "/work"
            let disk = try SmallDisk(at: work, size: "2m")
            defer { disk.unmount() }
            // As the heap is page by page, it is full to the last byte.
            #expect(throws: (any Error).self) {
                try ChildProcess.output(of: ["/usr/bin/env", "dd", "if=/dev/zero", "of=\(work)/filler", "bs=4096"])
            }
            let diagnosis = try scenario.elkeidctl.doctor()
            diagnosis.expect(bad: [Self.down, "files: disk_full", "disk: disk_full"])
            #expect(diagnosis.report.finding("files", "work_dir")?.text.contains(work) == true, "\(diagnosis)")
            try Self.remove(work + "/filler")
            let after = try scenario.elkeidctl.doctor()
            after.expect(bad: [Self.down])
            #expect(after.report.warnings == ["disk: disk_scarce"], "\(after)")
        }
    }

    // MARK: The clock

    struct Clock: CustomTestStringConvertible, Sendable {
        /// Of discovery's Date, seconds ahead of this host.
        var skew: Int
        var certificates: CertificateSet
        var causes: Set<String>
        var testDescription: String { "\(skew) s, \(certificates)" }
    }

    /// A clock that is wrong is what is wrong, not the certificates that it is compared with.
    @Test(arguments: [
        // This host thinks that it is later than it is.
        Clock(skew: -172_800, certificates: .expired, causes: ["discovery: clock", "server: clock"]),
        Clock(skew: 172_800, certificates: .notYetValid, causes: ["discovery: clock", "server: clock"]),
        // A clock that is behind makes no certificate too old.
        Clock(skew: 172_800, certificates: .expired, causes: ["discovery: clock", "server: certificate_expired"]),
        Clock(skew: 0, certificates: .expired, causes: ["server: certificate_expired"]),
    ])
    func clock(_ clock: Clock) throws {
        try Scenario.run { scenario in
            let discovery = try scenario.startDiscovery()
            try discovery.register([.init(scenario.startServer(certificates: clock.certificates))])
            try discovery.command("clock", ["seconds": clock.skew])
            try scenario.configure(Self.with(region(discovery: [discovery.address])))
            let diagnosis = try scenario.elkeidctl.doctor()
            diagnosis.expect(bad: clock.causes.union([Self.down]))
            if clock.skew != 0 {
                // A second may pass between the two clocks' looks.
                let direction = clock.skew < 0 ? "ahead of" : "behind"
                let text = diagnosis.report.finding("service discovery", "clock")?.text ?? ""
                #expect(text.contains("this host's clock is ") && text.contains(direction), "\(text)")
                #expect(text.contains("2 d") || text.contains("1 d 23 h"), "\(text)")
            }
        }
    }

    @Test(arguments: [7200, -172_800])
    func clockThatDoesNotMatterYet(skew: Int) throws {
        try Scenario.run { scenario in
            let discovery = try scenario.startDiscovery()
            try discovery.register([.init(scenario.startServer())])
            try discovery.command("clock", ["seconds": skew])
            try scenario.configure(Self.with(region(discovery: [discovery.address])))
            let diagnosis = try scenario.elkeidctl.doctor()
            diagnosis.expect(bad: [Self.down])
            #expect(diagnosis.report.warnings == ["discovery: clock"], "\(diagnosis)")
        }
    }
}
