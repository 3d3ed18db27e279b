// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import Glibc
import Syscalls

/// Brings about the programs that are measured, from the sources that this program was built from.
enum ProgramBuild {
    /// The package's folder.
    static let root = #filePath.split(separator: "/").dropLast(4).reduce("") { $0 + "/" + $1 }
    /// The folder of this program.
    private static let own = (linkTarget("/proc/self/exe") ?? "").split(separator: "/").dropLast()
        .reduce("") { $0 + "/" + $1 }

    /// A debug build measures nothing: it is built anew for release, and goes on there.
    static func continueInRelease() throws -> Never {
        try run("swift build -c release --package-path '\(root)' --product Benchmarks")
        let program = "\(root)/.build/release/Benchmarks"
        var arguments = unsafe ([program] + CommandLine.arguments.dropFirst()).map { unsafe strdup($0) } + [nil]
        _ = unsafe execv(program, &arguments)
        throw RigError("\(program): errno \(errno)")
    }

    /// Builds what is to be measured.
    ///
    /// - Parameters:
    ///   - agent: the agent to measure; nil: the static one, as it is shipped.
    ///   - withPeers: also the peer in grpc-swift, which takes minutes the first time.
    static func all(agent: String?, withPeers: Bool) throws -> Programs {
        let scratch = own.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 }
        for product in ["floor", "load-generator", "plugin-bench"] {
            try run("swift build -c release --package-path '\(root)' --scratch-path '\(scratch)' --product \(product)")
        }
        if agent == nil { try run("bash '\(root)/build.sh'") }
        var programs = try beside(agent: agent ?? "\(root)/output/elkeid-agent")
        programs.goServer = goServer(scratch)
        programs.pluginBenches = pluginBenches("\(scratch)/plugins")
        if withPeers {
            try run("swift build -c release --package-path '\(root)/Benchmarks/Peers'")
            programs.peer = "\(root)/Benchmarks/Peers/.build/release/grpc-swift-agent"
        }
        return programs
    }

    /// What lies beside this program, which must have been built.
    static func beside(agent: String?) throws -> Programs {
        let programs = Programs(
            agent: agent ?? "\(own)/elkeid-agent",
            floor: "\(own)/floor",
            generator: "\(own)/load-generator"
        )
        for program in [programs.agent, programs.floor, programs.generator] {
            guard unsafe access(program, X_OK) == 0 else { throw RigError("\(program) is not there: build it first") }
        }
        return programs
    }

    /// The grpc-go server of the tests: as the tests left it, or built now when Go and its packages are here.
    private static func goServer(_ scratch: String) -> String? {
        for folder in ["\(root)/.build-test/interop", "\(scratch)/interop"] {
            let program = "\(folder)/interop-server"
            if unsafe access(program, X_OK) == 0 { return program }
        }
        do { try run("sh '\(root)/Tests/Interop/build.sh' '\(scratch)/interop'") } catch { return nil }
        return "\(scratch)/interop/interop-server"
    }

    /// The benchmarks of the plugin libraries, as far as their languages are here.
    private static func pluginBenches(_ folder: String) -> [String] {
        ["\(own)/plugin-bench"]
            + ["c", "go", "rust"].map { language in
                do { try run("sh '\(root)/Tests/PluginLibraries/\(language)/build.sh' '\(folder)' --bench") } catch {
                    complain("left out: the plugin library for \(language)")
                }
                return "\(folder)/bench-\(language)"
            }.filter { unsafe access($0, X_OK) == 0 }
    }

    /// The commit that is measured, with a + when the sources differ from it.
    static var commit: String {
        let revision = output("git -C '\(root)' rev-parse --short HEAD")
        return revision + (output("git -C '\(root)' status --porcelain -- Sources").isEmpty ? "" : "+")
    }

    private static func run(_ command: String) throws {
        complain(command)
        guard unsafe system("\(command) >&2") == 0 else { throw RigError("failed: \(command)") }
    }

    /// What a command prints.
    static func lines(_ command: String) throws -> [String] {
        guard let stream = unsafe popen(command, "r") else { throw RigError("not run: \(command)") }
        var bytes: [UInt8] = []
        while case let byte = unsafe fgetc(stream), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        guard unsafe pclose(stream) == 0 else { throw RigError("failed: \(command)") }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// The first line that a command prints.
    static func output(_ command: String) -> String {
        guard let stream = unsafe popen("\(command) 2>/dev/null", "r") else { return "" }
        defer { _ = unsafe pclose(stream) }
        var line = [CChar](repeating: 0, count: 256)
        guard unsafe fgets(&line, 256, stream) != nil else { return "" }
        return String(decoding: line.prefix { $0 != 0 && $0 != 0x0a }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
