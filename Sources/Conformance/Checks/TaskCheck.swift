// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
public import Reactor

/// What became of tasks.
public struct TaskTrials: Equatable, Sendable {
    public struct Trial: Equatable, Sendable {
        /// "one by one", …
        public var way: String
        public var sent: Int
        public var answered: Int

        public init(_ way: String, sent: Int, answered: Int) {
            self.way = way
            self.sent = sent
            self.answered = answered
        }
    }

    public var trials: [Trial] = []
    /// Are they tasks that the plugin knows?
    public var isKnown: Bool
    /// Nil: it still ran at the end.
    public var status: ExitStatus?
    /// Bytes that it left in the pipe.
    public var unreadBytes = 0
    /// It has closed descriptor 3.
    public var isRefused = false
    public var patience = 1.0

    public init(isKnown: Bool) { self.isKnown = isKnown }

    public var findings: [Finding] {
        var findings: [Finding] = []
        if let status {
            let what = isKnown ? "a task" : "a task of an unknown type"
            findings.append(
                .fail(
                    "it ended upon \(what): \(described(status))",
                    isKnown
                        ? "Report a task that fails by a record with its token and status=failed, and go on."
                        : "Answer by a record 5100 with its token, status=failed and msg, or pass it over."
                )
            )
            return findings
        }
        if isRefused {
            return [.warn("descriptor 3 is closed: no task gets there", "Read tasks, also when all are passed over.")]
        }
        let first = trials.first?.answered ?? 0
        for trial in trials {
            let text = "\(trial.answered) of \(trial.sent) tasks answered, sent \(trial.way)"
            if trial.answered == trial.sent {
                findings.append(.note(text))
            } else if isKnown {
                findings.append(.fail("\(text), within \(span(patience))", Self.advice(trial.way)))
            } else if first > 0 {
                findings.append(.warn(text, Self.advice(trial.way)))
            }
        }
        if unreadBytes > 0 {
            findings.append(
                .warn(
                    "\(unreadBytes) bytes of tasks were not read",
                    "Read descriptor 3 always: the agent keeps what does not fit the pipe, up to a limit."
                )
            )
        }
        if !isKnown {
            findings.append(.note("a task of an unknown type does not end it" + (first > 0 ? ", and is answered" : "")))
            findings.append(.note("answers are not demanded without --task 'TYPE DATA'"))
        }
        return findings
    }

    private static func advice(_ way: String) -> String {
        switch way {
        case together: "Several frames can come with one read(2): use up all of them before reading again."
        case bytewise: "A frame can come in many pieces: keep the beginning until the rest is there."
        default: "Send a record with the field token as it came with the task, and flush it."
        }
    }

    static let oneByOne = "one by one"
    static let together = "in one write"
    static let bytewise = "byte by byte"
}

extension ConformanceRun {
    /// Bytes of a task that are written one by one; what is behind them comes in larger pieces.
    private static let singleBytes = 96

    func checkTasks() throws(ConformanceError) -> CheckResult {
        try withPlugin { (process) throws(ConformanceError) in
            if let finding = try settle(process) { return CheckResult(.tasks, [finding]) }
            var trials = TaskTrials(isKnown: knowsTasks)
            trials.patience = patience
            let started = MonotonicTime.now()

            var single = TaskTrials.Trial(TaskTrials.oneByOne, sent: 0, answered: 0)
            for request in requests where !process.isOver {
                single.sent += 1
                if try answered([request], process, { process.send(TaskFrame.plain($0[0])) }) { single.answered += 1 }
            }
            let longest = (MonotonicTime.now() - started).seconds
            trials.trials.append(single)
            answersUnknown = !knowsTasks && single.answered > 0

            if !process.isOver {
                let several = Array((0..<3).map { _ in requests }.joined())
                let tokens = try sent(several, process) { tasks in process.send(tasks.flatMap(TaskFrame.plain)) }
                trials.trials.append(.init(TaskTrials.together, sent: several.count, answered: tokens))
            }
            if !process.isOver {
                let tokens = try sent([requests[0]], process) { (tasks) throws(ConformanceError) in
                    try sendSlowly(TaskFrame.plain(tasks[0]), to: process)
                }
                trials.trials.append(.init(TaskTrials.bytewise, sent: 1, answered: tokens))
            }
            // Is it still there, and has it read everything?
            try process.pump(0.2)
            trials.status = process.status
            trials.isRefused = process.refusesTasks
            trials.unreadBytes = process.unreadTaskBytes
            let measures = [
                Measure("sent", trials.trials.reduce(0) { $0 + $1.sent }),
                Measure("answered", trials.trials.reduce(0) { $0 + $1.answered }), Measure("first_seconds", longest),
            ]
            return CheckResult(.tasks, trials.findings, measures)
        }
    }

    func sendSlowly(_ bytes: [UInt8], to process: PluginProcess) throws(ConformanceError) {
        for byte in bytes.prefix(Self.singleBytes) {
            process.send([byte])
            try process.pump(0.002)
        }
        let rest = bytes.dropFirst(Self.singleBytes)
        let size = max(1, rest.count / 50)
        var start = rest.startIndex
        while start < rest.endIndex {
            let end = min(start + size, rest.endIndex)
            process.send(Array(rest[start..<end]))
            try process.pump(0.002)
            start = end
        }
    }

    private func answered(
        _ requests: [TaskRequest],
        _ process: PluginProcess,
        _ send: ([PluginTask]) throws(ConformanceError) -> Void
    ) throws(ConformanceError) -> Bool {
        try sent(requests, process, send) == requests.count
    }

    /// Sends tasks and waits for their answers.
    ///
    /// - Returns: how many came.
    func sent(
        _ requests: [TaskRequest],
        _ process: PluginProcess,
        _ send: ([PluginTask]) throws(ConformanceError) -> Void
    ) throws(ConformanceError) -> Int {
        let tasks = requests.map(makeTask)
        try send(tasks)
        try process.pump(patience) { tasks.allSatisfy { process.answer($0.token) != nil } }
        return tasks.count { process.answer($0.token) != nil }
    }
}
