// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Testing

/// The languages that there is a plugin library for.
enum PluginLanguage: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case swift, c, go, rust

    var testDescription: String { rawValue }

    /// Does what it is told on its standard input (Tests/PluginLibraries/README.md).
    func probe() throws -> String { try TestEnvironment.plugin("probe-\(rawValue)") }
    /// The example that authors read first.
    func example() throws -> String { try TestEnvironment.plugin("loadavg-\(rawValue)") }

    /// What existing servers know from plugins of that language.
    var logDataType: Int32 { self == .rust ? 1010 : 1011 }
}
