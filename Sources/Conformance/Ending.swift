// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Reactor

/// How a plugin took the end that was put to it.
public struct Ending: Equatable, Sendable {
    /// Nil: it still ran when it was given up.
    public var status: ExitStatus?
    /// From the event to its end, or until it was given up.
    public var seconds: Double
    public var processorSeconds = 0.0
    /// In which it ran or waited for a processor; 0 when it has ended.
    public var wantedSeconds = 0.0
    public var recordsAfter = 0
    /// Of a frame that was not complete at the end of the pipe.
    public var tornBytes = 0
    /// Processes of its group that were still there.
    public var leftovers = 0
    public var isHeldOpen = false

    public init(_ status: ExitStatus?, seconds: Double) {
        self.status = status
        self.seconds = seconds
    }

    /// Shares of a processor above which a process that has nothing to do turns in a loop.
    static let spinning = 0.5

    /// Does it use the processor as if it turned in a loop? A short end tells nothing.
    var isSpinning: Bool {
        seconds >= 0.5 && max(processorSeconds, wantedSeconds) / seconds > Self.spinning
    }

    /// What is said of every end alike.
    var commonFindings: [Finding] {
        var findings: [Finding] = []
        if leftovers > 0 {
            findings.append(
                .warn(
                    "left behind in its group, and killed: \(counted(leftovers, "process", "processes"))",
                    "End and wait for what the plugin has started before it ends."
                )
            )
        }
        if isHeldOpen {
            findings.append(
                .warn(
                    "descriptor 4 stayed open after its end: a process outside of its group has it",
                    "Set FD_CLOEXEC on descriptors 3, 4 and 5 before starting other programs."
                )
            )
        }
        return findings
    }

    var measures: [Measure] {
        [
            Measure("seconds", seconds), Measure("processor_seconds", processorSeconds),
            Measure("records_after", recordsAfter), Measure("torn_bytes", tornBytes),
        ]
    }

    /// Signals that a program gets for its own fault, and SIGKILL, which is never ours while a check lasts.
    static func isCrash(_ signal: Int32) -> Bool {
        [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGKILL].contains(signal)
    }
}

/// "exit code 1", "signal 13 (SIGPIPE)".
func described(_ status: ExitStatus) -> String {
    guard case .signalled(let signal) = status else { return "\(status)" }
    let names: [Int32: String] = [
        SIGPIPE: "SIGPIPE", SIGSEGV: "SIGSEGV", SIGABRT: "SIGABRT", SIGKILL: "SIGKILL", SIGTERM: "SIGTERM",
        SIGBUS: "SIGBUS", SIGILL: "SIGILL", SIGFPE: "SIGFPE", SIGTRAP: "SIGTRAP",
    ]
    return names[signal].map { "signal \(signal) (\($0))" } ?? "signal \(signal)"
}

/// "1 record", "2 records".
func counted(_ count: Int, _ one: String, _ many: String) -> String { "\(count) \(count == 1 ? one : many)" }

/// "3 ms", "1.2 s".
func span(_ seconds: Double) -> String {
    if seconds < 0.9995 { return "\(Int((seconds * 1000).rounded())) ms" }
    let tenths = Int((seconds * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
}
