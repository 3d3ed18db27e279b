// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Why checking cannot go on.
public enum ConformanceError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The command line is wrong.
    case usage(String)
    /// The plugin could not be started.
    case launch(String)
    /// This host does not give what the checks need.
    case system(String)
    /// A signal asked this program to end.
    case interrupted(Int32)

    public var description: String {
        switch self {
        case .usage(let text), .launch(let text), .system(let text): text
        case .interrupted(let signal): "stopped by signal \(signal); the plugin was ended"
        }
    }
}
