// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import Upgrade

/// What a package must be to be installed.
@Suite struct PackageTests {
    private static func facts(
        _ name: String = "elkeid-agent",
        version: String = "1.7.0.25",
        architecture: String = "amd64",
        provides: [String] = ["elkeid-agent-swift"]
    ) -> PackageFacts {
        PackageFacts(name: name, version: version, architecture: architecture, provides: provides)
    }

    @Test(arguments: [
        (facts(), PackageKind.deb, "x86_64"), (facts(architecture: "arm64"), .deb, "aarch64"),
        (facts(architecture: "all"), .deb, "x86_64"), (facts(architecture: "x86_64"), .rpm, "x86_64"),
        (facts(architecture: "aarch64"), .rpm, "aarch64"), (facts(architecture: "noarch"), .rpm, "x86_64"),
    ])
    func theRightOneIsTaken(facts: PackageFacts, kind: PackageKind, machine: String) {
        #expect(facts.objection(version: "1.7.0.25", kind: kind, machine: machine, allowsForeign: false) == nil)
    }

    @Test(arguments: [
        (facts("nginx"), "it is the package \"nginx\", not elkeid-agent"),
        (facts(architecture: "arm64"), "it is for arm64, this host is amd64"),
        (facts(architecture: "x86_64"), "it is for x86_64, this host is amd64"),
        (facts(version: "1.7.0.26"), "it holds version 1.7.0.26, and is published as 1.7.0.25"),
        (
            facts(provides: []),
            "it does not provide elkeid-agent-swift, so it is another agent's package; [upgrade] allow_foreign would let it in"
        ),
    ])
    func others(facts: PackageFacts, objection: String) {
        #expect(
            facts.objection(version: "1.7.0.25", kind: .deb, machine: "x86_64", allowsForeign: false) == objection
        )
    }

    @Test func aForeignOneIsTakenWhereThatIsAllowed() {
        let facts = Self.facts(provides: [])
        #expect(facts.isForeign)
        #expect(facts.objection(version: "1.7.0.25", kind: .deb, machine: "x86_64", allowsForeign: true) == nil)
    }

    @Test(arguments: [
        ("!<arch>\ndebian-binary   ", PackageKind.deb), ("!<arch>\nlib.o/  ", nil), ("PK", nil), ("", nil),
    ])
    func formatsAreToldByTheirFirstBytes(beginning: String, kind: PackageKind?) {
        #expect(PackageKind(beginning: Array(beginning.utf8)) == kind)
    }

    @Test func anRPMIsToldByItsLead() {
        #expect(PackageKind(beginning: [0xed, 0xab, 0xee, 0xdb, 3, 0]) == .rpm)
        #expect(PackageKind(beginning: [0xed, 0xab]) == nil)
    }

    @Test(arguments: [
        ("1.7.0.24", "1.7.0.25", true), ("1.7.0.9", "1.7.0.10", true), ("1.7.0.25", "1.7.0.25", false),
        ("2.0.0.0", "1.9999.9999.9999", false), ("0.9.9.9", "1.0.0.0", true),
    ])
    func versionsAreComparedByTheirNumbers(version: String, other: String, lower: Bool) {
        #expect(isLower(version, than: other) == lower)
    }

    private static let hasDpkg = FileManager.default.isExecutableFile(atPath: "/usr/bin/dpkg-deb")

    /// With what dpkg-deb itself writes.
    @Test(.enabled(if: hasDpkg, "dpkg-deb makes the packages"))
    func aDebIsRead() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "upgrade-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let control = folder.appending(path: "root/DEBIAN/control")
        try FileManager.default.createDirectory(
            at: control.deletingLastPathComponent(),
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o755]
        )
        let text = """
            Package: elkeid-agent
            Version: 3:1.7.0.25-1
            Architecture: amd64
            Maintainer: Nobody <nobody@example.invalid>
            Provides: something (= 1), elkeid-agent-swift
            Description: test

            """
        try text.write(to: control, atomically: true, encoding: .utf8)
        let package = folder.path + "/test.deb"
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/dpkg-deb")
        process.arguments = ["--root-owner-group", "--build", folder.path + "/root", package]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(
            try PackageFacts.read(package, .deb).get()
                == Self.facts(provides: ["something", "elkeid-agent-swift"])
        )
        // Cut off in the middle.
        let whole = try Data(contentsOf: URL(filePath: package))
        try whole.prefix(100).write(to: URL(filePath: package))
        #expect(throws: PackageProblem.self) { try PackageFacts.read(package, .deb).get() }
    }
}
