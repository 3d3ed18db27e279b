// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Reactor

/// One step on the way to a process's end. The steps are done in order, until it has ended.
public enum StopStep: Equatable, Sendable {
    /// The plugin reads the end of its tasks, and is asked to go by that. Its records are read on.
    case closeTasks
    case wait(TimeSpan)
    /// To its whole process group.
    case signal(Int32)

    /// How the original agent and its plugins expect it, and a second chance for their handlers of SIGTERM.
    public static func orderly(drain: TimeSpan, term: TimeSpan) -> [StopStep] {
        [.closeTasks, .wait(drain), .signal(SIGTERM), .wait(term), .signal(SIGKILL)]
    }

    /// For a process whose records cannot be read any more, or that nobody reads from.
    public static func abrupt(term: TimeSpan) -> [StopStep] {
        [.closeTasks, .signal(SIGTERM), .wait(term), .signal(SIGKILL)]
    }
}
