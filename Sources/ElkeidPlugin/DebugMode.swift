// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Debug mode: records are lines on standard output and tasks are lines on standard input, for a plugin that its
/// author runs in a terminal.
enum DebugMode {
    private static let announcement =
        "elkeid plugin: debug mode: records are printed as JSON lines; type DATA_TYPE DATA for a task, Ctrl-D to end\n"

    /// Whether to use it: when `ELKEID_PLUGIN_DEBUG` asks for it, or when neither of the agent's pipes is there and
    /// standard output is a terminal. Never for a program that brings pipes of its own.
    static func isWanted(_ descriptors: PluginDescriptors) -> Bool {
        guard descriptors.tasks == 3, descriptors.records == 4 else { return false }
        if isSet(environmentVariable: "ELKEID_PLUGIN_DEBUG") { return true }
        return !isOpen(descriptors.tasks) && !isOpen(descriptors.records) && isatty(STDOUT_FILENO) == 1
    }

    /// Tells whoever looks at standard error how to use it.
    static func announce() {
        guard isatty(STDERR_FILENO) == 1 else { return }
        writeToStandardError(announcement)
    }
}

/// Writes a line to standard error. When that is not possible, there is nobody to tell.
func writeToStandardError(_ line: String) {
    let bytes = Array(line.utf8)
    unsafe try? writeAll(STDERR_FILENO, bytes.span.bytes)
}
