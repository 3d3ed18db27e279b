// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// What the tests of built programs need from whoever runs them, which is build.sh.
enum TestEnvironment {
    private static let variables = ProcessInfo.processInfo.environment

    /// ELKEID_TEST_BIN: the folder with the agent's programs.
    static var binaries: String? { variables["ELKEID_TEST_BIN"] }
    /// ELKEID_TEST_INTEROP: the folder with the programs of Tests/Interop.
    static var interop: String? { variables["ELKEID_TEST_INTEROP"] }
    /// ELKEID_TEST_PLUGINS: the folder with what Tests/PluginLibraries/build.sh has made.
    static var plugins: String? { variables["ELKEID_TEST_PLUGINS"] }
    static var isComplete: Bool { binaries != nil && interop != nil && plugins != nil }

    /// ELKEID_SOAK=1: the long forms.
    static let isSoak = variables["ELKEID_SOAK"] == "1"
    /// Built with AddressSanitizer: slow, and memory is no measure.
    static let isSanitized = variables["ELKEID_TEST_SANITIZER"] != nil
    /// ELKEID_TEST_KEEP=1: the folders of the tests stay, for looking into them.
    static let keepsFolders = variables["ELKEID_TEST_KEEP"] == "1"

    /// The tests' own environment without proxies, which would stand between an agent and the servers of its test.
    static var withoutProxies: [String] {
        variables.filter { !$0.key.lowercased().hasSuffix("_proxy") }.map { "\($0.key)=\($0.value)" }
    }

    static func agent() throws -> String { try program("elkeid-agent", in: binaries) }
    static func developmentCenter() throws -> String { try builtProgram("elkeid-devcenter") }
    static func builtProgram(_ name: String) throws -> String { try program(name, in: binaries) }
    static func server() throws -> String { try program("interop-server", in: interop) }
    static func discovery() throws -> String { try program("interop-discovery", in: interop) }
    static func faults() throws -> String { try program("interop-faults", in: interop) }
    static func pluginWriter() throws -> String { try program("interop-plugin-writer", in: interop) }

    static func plugin(_ name: String) throws -> String { try program(name, in: plugins) }
    static func nginx() throws -> String { try program("nginx", in: interop) }
    static func judge() throws -> String { try program("interop-judge", in: interop) }
    /// An interpreter that has psutil (Tests/Interop/facts/install.sh).
    static func python() throws -> String { try program("facts/python3", in: interop) }

    private static func program(_ name: String, in folder: String?) throws -> String {
        guard let folder else { throw Failure("run the tests with `bash build.sh test`") }
        let path = URL(filePath: folder).appending(path: name).path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Failure("\(path) is not there; run the tests with `bash build.sh test`")
        }
        return path
    }
}

/// The tests that run the built programs.
@Suite(.inTurns, .enabled(if: TestEnvironment.isComplete))
enum Integration {}

/// Under plain `swift test`, without either variable, the suite is skipped.
@Test(.enabled(if: TestEnvironment.binaries != nil || TestEnvironment.interop != nil))
func environmentNamesTheBuiltPrograms() {
    #expect(
        TestEnvironment.isComplete,
        "ELKEID_TEST_BIN, ELKEID_TEST_INTEROP and ELKEID_TEST_PLUGINS are not all set; run these tests with `bash build.sh test`"
    )
}
