// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Glibc
import Reactor

/// Runs the checks that are wanted, one after the other, and remembers what all of them have seen.
final class ConformanceRun {
    /// Until a plugin has set itself up; nothing is asked of it before.
    static let settling = 0.5
    /// For an answer to a task of a type that the plugin need not know.
    static let unknownPatience = 1.0
    static let bearing = 0.3
    /// Of a type that no plugin has.
    static let unknownType: Int32 = 1_999_999_999

    let options: ConformanceOptions
    let place: PluginPlace
    let interruption: Interruption?
    /// Of all plugins that ran, apart from what an end by SIGKILL may have torn.
    private(set) var tally = FrameTally()
    private var tokens = 0
    private var shared: Observation?
    private var failure: ConformanceError?
    /// Of the plugin that ran last.
    private var lastLines: [String] = []
    /// Does the plugin answer tasks that it does not know? Nil: not asked yet.
    var answersUnknown: Bool?

    init(_ options: ConformanceOptions, _ place: PluginPlace, interruption: Interruption?) {
        self.options = options
        self.place = place
        self.interruption = interruption
    }

    /// - Parameter progress: called with each result as it is there.
    func run(_ progress: (CheckResult) -> Void) throws(ConformanceError) -> [CheckResult] {
        var results: [CheckResult] = []
        for check in options.checks {
            lastLines = []
            var result = try outcome(of: check)
            if result.verdict >= .warn { result.lastLines = lastLines }
            progress(result)
            results.append(result)
        }
        return results
    }

    private func outcome(of check: Check) throws(ConformanceError) -> CheckResult {
        if check != .start, failure != nil {
            return CheckResult(check, [.skipped("the plugin does not start", "Mend the check start first.")])
        }
        do throws(ConformanceError) { return try perform(check) } catch {
            guard case .launch(let text) = error else { throw error }
            failure = error
            let advice = "Make it an executable for this machine, or a script whose #! line names an interpreter."
            return CheckResult(check, [.fail(text, advice)])
        }
    }

    private func perform(_ check: Check) throws(ConformanceError) -> CheckResult {
        switch check {
        case .start:
            let result = try checkStart()
            if result.verdict == .fail { failure = .launch("") }
            return result
        case .idle: return try checkIdle()
        case .tasks: return try checkTasks()
        case .flush: return try checkFlush()
        case .stop: return try checkStop()
        case .sigterm: return try checkTerminate()
        case .agentEnd: return try checkAgentEnd()
        case .backPressure: return try checkBackPressure()
        case .garbage: return try checkGarbage()
        case .highPriority: return try checkHighPriority()
        case .frames: return try checkFrames()
        }
    }

    // MARK: Plugins

    /// Starts a plugin for `body`, and ends it with its whole group behind it.
    func withPlugin<Result>(
        _ wishes: PluginProcess.Wishes = PluginProcess.Wishes(),
        _ body: (PluginProcess) throws(ConformanceError) -> Result
    ) throws(ConformanceError) -> Result {
        let process = try PluginProcess(place, detail: options.detail, wishes: wishes, interruption: interruption)
        defer {
            process.end()
            tally.add(process.records.tally)
            if let urgent = process.urgent { tally.add(urgent.tally) }
            lastLines = process.errors.lastLines(5)
        }
        return try body(process)
    }

    /// Gives the plugin the time to set itself up.
    ///
    /// - Returns: the finding that it has ended by itself, if it has.
    func settle(_ process: PluginProcess) throws(ConformanceError) -> Finding? {
        try process.pump(Self.settling)
        return process.status.map { Self.endedByItself($0, process.age) }
    }

    static func endedByItself(_ status: ExitStatus, _ seconds: Double) -> Finding {
        .fail(
            "it ended by itself after \(span(seconds)): \(described(status))",
            "Run until the end of file of descriptor 3; the agent starts plugins that end again, ever later."
        )
    }

    /// Watches how it takes the end that was put to it before.
    func awaitEnd(_ process: PluginProcess, since start: MonotonicTime, records: Int) throws(ConformanceError) -> Ending
    {
        let before = process.figures
        try process.pump(options.timeout) { process.isOver }
        let seconds = ((process.endedAt ?? MonotonicTime.now()) - start).seconds
        var ending = Ending(process.status, seconds: seconds)
        let after = process.figures
        let used = after?.processorSeconds ?? process.processorSeconds
        ending.processorSeconds = max(0, used - (before?.processorSeconds ?? 0))
        if let after { ending.wantedSeconds = max(0, after.wantedSeconds - (before?.wantedSeconds ?? 0)) }
        ending.recordsAfter = process.recordCount - records
        ending.tornBytes = process.isOver ? process.pending : 0
        ending.leftovers = process.leftovers
        ending.isHeldOpen = process.isHeldOpen
        return ending
    }

    // MARK: Tasks

    /// A task with a token of its own.
    func makeTask(_ request: TaskRequest) -> PluginTask {
        tokens += 1
        return PluginTask(
            dataType: request.dataType,
            objectName: place.name,
            data: request.data,
            token: "\(PluginProcess.tokenPrefix)\(tokens)"
        )
    }

    /// The tasks that the plugin knows, or one that it does not.
    var requests: [TaskRequest] {
        options.tasks.isEmpty ? [TaskRequest(dataType: Self.unknownType, data: "{}")] : options.tasks
    }

    var knowsTasks: Bool { !options.tasks.isEmpty }

    /// Seconds that an answer may take.
    var patience: Double {
        if knowsTasks { return options.timeout }
        // Where no answer comes it is only waited whether the plugin bears the task.
        return answersUnknown == false ? Self.bearing : min(options.timeout, Self.unknownPatience)
    }

    /// Made once, for all checks that only look on.
    func observation() throws(ConformanceError) -> Observation {
        if let shared { return shared }
        let made = try observe()
        shared = made
        return made
    }
}
