// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import Glibc
import JSON
import Reactor
import Syscalls

/// `elkeid-devcenter conformance`.
public enum ConformanceProgram {
    /// Does what the arguments ask for, and shows the report.
    ///
    /// - Returns: the exit code: 0, or 1 when a check failed.
    /// - Throws: what kept it from giving a verdict.
    public static func run(_ invocation: ConformanceInvocation) throws(ConformanceError) -> Int32 {
        let terminal = Terminal()
        switch invocation {
        case .help: terminal.write(ConformanceHelp.text)
        case .list: for check in Check.allCases { terminal.line("\(check.rawValue)\n    \(check.demand)") }
        case .run(let options): return try run(options, terminal)
        }
        return 0
    }

    private static func run(_ options: ConformanceOptions, _ terminal: Terminal) throws(ConformanceError) -> Int32 {
        let variables = environmentVariables(processEnvironment())
        let style = Style(isColoured: Style.isWanted(variables, isTerminal: terminal.isInteractive))
        let place = try PluginPlace(options)
        if !options.json { terminal.write(Report.head(name: place.name, program: place.program)) }
        let report = try check(options, interruption: try Interruption()) { result in
            if !options.json { terminal.write(Report.text(result, style)) }
        }
        if options.json {
            terminal.line(String(decoding: report.json.encoded, as: UTF8.self))
        } else {
            terminal.write(report.summary(style))
        }
        return report.exitCode
    }

    /// Runs the checks without showing anything.
    public static func check(_ options: ConformanceOptions) throws(ConformanceError) -> Report {
        try check(options, interruption: nil) { _ in }
    }

    private static func check(
        _ options: ConformanceOptions,
        interruption: Interruption?,
        _ progress: (CheckResult) -> Void
    ) throws(ConformanceError) -> Report {
        // A plugin that closes descriptor 3 is an event, not our end.
        signal(SIGPIPE, SIG_IGN)
        let place = try PluginPlace(options)
        let start = MonotonicTime.now()
        let results = try ConformanceRun(options, place, interruption: interruption).run(progress)
        let seconds = (MonotonicTime.now() - start).seconds
        return Report(name: place.name, program: place.program, results: results, seconds: seconds)
    }
}
