// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// The formats that agents come in.
public enum PackageKind: String, Sendable, CaseIterable {
    case deb, rpm

    /// By the first bytes of a file: deb(5) is an archive that begins with a member of a fixed name, an rpm begins with its
    /// lead's magic number.
    public init?(beginning bytes: [UInt8]) {
        if bytes.starts(with: Array("!<arch>\ndebian".utf8)) {
            self = .deb
        } else if bytes.starts(with: [0xed, 0xab, 0xee, 0xdb]) {
            self = .rpm
        } else {
            return nil
        }
    }

    /// The one that has installed the agent of this host: the package manager that knows it.
    public static func ofInstalledAgent() -> PackageKind? {
        allCases.first { kind in
            switch kind {
            // Removed ones are known, too.
            case .deb:
                HostProgram("dpkg-query", ["-W", "-f", "${db:Status-Abbrev}", "elkeid-agent"]).run().text.hasPrefix("i")
            case .rpm: HostProgram("rpm", ["-q", "elkeid-agent"]).run().isSuccess
            }
        }
    }

    /// Where package managers keep others out while they work (fcntl locks).
    var lockFiles: [String] {
        switch self {
        case .deb: ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"]
        case .rpm: ["/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock"]
        }
    }

    /// The process that has one of them.
    var lockHolder: Int32? {
        for file in lockFiles {
            if let pid = (try? FileDescriptor.lockHolder(file)) ?? nil { return pid }
        }
        return nil
    }

    /// Installs, or goes back to, a version; asks nothing, and leaves changed configuration alone.
    func installation(of package: String) -> HostProgram {
        switch self {
        case .deb: HostProgram("dpkg", ["--force-confdef", "--force-confold", "--install", package])
        case .rpm: HostProgram("rpm", ["--upgrade", "--oldpackage", "--replacepkgs", package])
        }
    }

    /// Ends what a killed package manager has begun.
    var repair: HostProgram? {
        switch self {
        case .deb: HostProgram("dpkg", ["--force-confdef", "--force-confold", "--configure", "elkeid-agent"])
        case .rpm: nil
        }
    }

    /// The files of the installed package.
    var listing: HostProgram {
        switch self {
        case .deb: HostProgram("dpkg-query", ["--listfiles", "elkeid-agent"])
        case .rpm: HostProgram("rpm", ["--query", "--list", "elkeid-agent"])
        }
    }
}

/// What a package says of itself.
public struct PackageFacts: Equatable, Sendable {
    public var name: String
    /// Without epoch and release.
    public var version: String
    public var architecture: String
    public var provides: [String]

    public init(name: String, version: String, architecture: String, provides: [String]) {
        self.name = name
        self.version = version
        self.architecture = architecture
        self.provides = provides
    }

    /// What our packages provide, and the original's do not.
    static let ownMark = "elkeid-agent-swift"

    /// As uname(2) calls it.
    public static var thisMachine: String {
        var name = utsname()
        unsafe uname(&name)
        return unsafe withUnsafeBytes(of: &name.machine) {
            unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// The objection that a setting would take away.
    public static let foreignObjection =
        "it does not provide \(ownMark), so it is another agent's package; [upgrade] allow_foreign would let it in"

    public var isForeign: Bool { !provides.contains(Self.ownMark) }

    /// Reads them by the package manager's own tool.
    ///
    /// - Returns: nil, and why, when it cannot read the file.
    public static func read(_ path: String, _ kind: PackageKind) -> Result<PackageFacts, PackageProblem> {
        let program =
            switch kind {
            case .deb:
                HostProgram(
                    "dpkg-deb",
                    ["--show", "--showformat", "${Package}\\n${Version}\\n${Architecture}\\n${Provides}\\n", path]
                )
            case .rpm:
                HostProgram(
                    "rpm",
                    [
                        "--query", "--queryformat", "%{NAME}\\n%{VERSION}\\n%{ARCH}\\n[%{PROVIDENAME}, ]\\n",
                        "--package", path,
                    ]
                )
            }
        let result = program.run(limit: 60)
        guard result.isSuccess else {
            return .failure(
                PackageProblem("\(program.name) cannot read it: \(result.end)", isOfHost: !result.hasEndedByItself)
            )
        }
        // rpm may say something about keys before.
        let lines = result.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let first = lines.firstIndex(where: { !$0.hasPrefix("warning:") && !$0.hasPrefix("rpm:") }),
            lines.count >= first + 4
        else { return .failure(PackageProblem("\(program.name) says of it: \(result.end)")) }
        var version = lines[first + 1]
        if kind == .deb {
            if let colon = version.firstIndex(of: ":") { version = String(version[version.index(after: colon)...]) }
            if let dash = version.lastIndex(of: "-") { version = String(version[..<dash]) }
        }
        let provides = lines[first + 3].split(separator: ",").map { item in
            // A version may follow the name.
            String(item.drop { $0 == " " }.prefix { $0 != " " })
        }
        return .success(
            PackageFacts(
                name: lines[first],
                version: version,
                architecture: lines[first + 2],
                provides: provides
            )
        )
    }

    /// Why this package is not to be installed; nil if nothing speaks against it.
    public func objection(
        version wanted: String,
        kind: PackageKind,
        machine: String,
        allowsForeign: Bool
    ) -> String? {
        guard name == "elkeid-agent" else { return "it is the package \"\(name.prefix(80))\", not elkeid-agent" }
        let architectures = kind == .deb ? ["x86_64": "amd64", "aarch64": "arm64"] : [:]
        let own = architectures[machine] ?? machine
        guard [own, "all", "noarch"].contains(architecture) else {
            return "it is for \(architecture.prefix(40)), this host is \(own)"
        }
        guard version == wanted else {
            return "it holds version \(version.prefix(40)), and is published as \(wanted.prefix(40))"
        }
        if isForeign, !allowsForeign {
            return Self.foreignObjection
        }
        return nil
    }
}

public struct PackageProblem: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    /// The package is not to blame: a program that is needed is not there, was killed or took too long.
    public let isOfHost: Bool

    public init(_ description: String, isOfHost: Bool = false) {
        self.description = description
        self.isOfHost = isOfHost
    }
}

/// Versions as the console has them, four numbers.
public func isLower(_ version: String, than other: String) -> Bool {
    func numbers(_ text: String) -> [Int] { text.split(separator: ".").map { Int($0) ?? 0 } }
    return numbers(version).lexicographicallyPrecedes(numbers(other))
}
