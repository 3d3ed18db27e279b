// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Reactor
import Syscalls

/// What a plugin does that is left alone.
public struct Observation: Equatable, Sendable {
    /// Nil: it still ran at the end.
    public var status: ExitStatus?
    /// Watched altogether, and after it had set itself up.
    public var seconds = 0.0
    public var idleSeconds = 0.0
    /// In the idle time, of all processes of its group.
    public var processorSeconds = 0.0
    /// How often a thread went to sleep, in the idle time.
    public var sleeps = 0
    public var resident = 0
    public var processes = 1
    public var records = 0
    /// How often there was something to read on descriptor 4.
    public var reads = 0
    /// Seconds until the first record; nil: there was none.
    public var firstRecord: Double?
    /// Bytes on standard output.
    public var outputBytes = 0
    /// Which of the descriptors 3 and 4 it has open.
    public var openDescriptors: [Int] = []

    public init() {}
}

extension Observation {
    public var startFindings: [Finding] {
        if let status { return [ConformanceRun.endedByItself(status, seconds)] }
        var text = "it runs after \(span(seconds)); "
        if let firstRecord {
            text += "\(counted(records, "record", "records")), the first after \(span(firstRecord))"
        } else {
            text += "no record so far"
        }
        text += "; \(openDescriptors.isEmpty ? "neither descriptor 3 nor 4" : descriptorText) open"
        var findings = [Finding.note(text)]
        if !openDescriptors.contains(3) {
            findings.append(
                .warn(
                    "descriptor 3 is closed: it gets no tasks, and cannot see the agent's end",
                    "Keep it open and read it; the end of file is how the agent says goodbye."
                )
            )
        }
        if outputBytes > 0 {
            findings.append(
                .warn(
                    "it writes to standard output (\(outputBytes) bytes), which is /dev/null",
                    "Write messages to standard error, which the agent keeps in the plugin's folder."
                )
            )
        }
        return findings
    }

    private var descriptorText: String {
        "descriptor" + (openDescriptors.count == 1 ? " " : "s ")
            + openDescriptors.map(String.init).joined(separator: " and ")
    }

    private var share: Double { idleSeconds > 0 ? processorSeconds / idleSeconds : 0 }
    private var sleepRate: Double { idleSeconds > 0 ? Double(sleeps) / idleSeconds : 0 }

    /// Share of a processor that is too much for doing nothing, and wake-ups in a second.
    static let idleShare = 0.05
    static let idleSleeps = 200.0

    public var idleFindings: [Finding] {
        if let status { return [ConformanceRun.endedByItself(status, seconds)] }
        let percent = Double(Int((share * 1000).rounded())) / 10
        var findings = [
            Finding.note(
                "\(percent) % of a processor over \(span(idleSeconds)), \(Int(sleepRate.rounded())) wake-ups a second,"
                    + " \(mebibytes(resident)) resident"
            )
        ]
        if share > Self.idleShare {
            findings.append(
                .warn(
                    "it uses more than \(Int(Self.idleShare * 100)) % of a processor without being asked for anything",
                    "Wait in poll(2) or read(2) rather than in a loop. The agent and all plugins share 10 % by default."
                )
            )
        }
        if sleepRate > Self.idleSleeps {
            findings.append(
                .warn("it wakes up more than \(Int(Self.idleSleeps)) times a second", "Let timers fire less often.")
            )
        }
        return findings
    }

    /// Is each record written by itself, often?
    public var batchFinding: Finding? {
        guard seconds > 0, Double(reads) / seconds > 20, reads * 2 > records else { return nil }
        return .warn(
            "\(records) records came in \(reads) pieces in \(span(seconds))",
            "Collect records for 200 ms, or until some KiB are there, and write them at once."
        )
    }

    var startMeasures: [Measure] {
        var measures = [
            Measure("seconds", seconds), Measure("records", records), Measure("output_bytes", outputBytes),
        ]
        if let firstRecord { measures.append(Measure("first_record_seconds", firstRecord)) }
        return measures
    }

    var idleMeasures: [Measure] {
        [
            Measure("seconds", idleSeconds), Measure("processor_share", share),
            Measure("wakeups_per_second", sleepRate),
            Measure("resident_bytes", resident), Measure("processes", processes),
        ]
    }
}

/// "1.5 MiB".
func mebibytes(_ bytes: Int) -> String {
    let tenths = Int((Double(bytes) / 1_048_576 * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) MiB"
}

extension ConformanceRun {
    func checkStart() throws(ConformanceError) -> CheckResult {
        let seen = try observation()
        return CheckResult(.start, seen.startFindings, seen.startMeasures)
    }

    func checkIdle() throws(ConformanceError) -> CheckResult {
        let seen = try observation()
        return CheckResult(.idle, seen.idleFindings, seen.idleMeasures)
    }

    func observe() throws(ConformanceError) -> Observation {
        var wishes = PluginProcess.Wishes()
        wishes.capturesOutput = true
        return try withPlugin(wishes) { (process) throws(ConformanceError) in
            var seen = Observation()
            // What it does at its start is not idling.
            try process.pump(max(Self.settling, options.observe / 2))
            let before = Self.figures(of: process)
            let beganAt = MonotonicTime.now()
            try process.pump(options.observe)
            let after = Self.figures(of: process)
            seen.status = process.status
            seen.seconds = process.isOver ? ((process.endedAt ?? .now()) - process.startedAt).seconds : process.age
            seen.idleSeconds = (MonotonicTime.now() - beganAt).seconds
            seen.processorSeconds = max(0, after.processorSeconds - before.processorSeconds)
            seen.sleeps = max(0, after.sleeps - before.sleeps)
            seen.resident = after.resident
            seen.processes = after.processes
            seen.records = process.records.tally.records
            seen.reads = process.records.reads
            seen.firstRecord = process.records.firstArrival.map { ($0 - process.startedAt).seconds }
            seen.outputBytes = process.output?.size ?? 0
            if !process.isOver {
                seen.openDescriptors = [3, 4].filter {
                    linkTarget("/proc/\(process.pid)/fd/\($0)")?.hasPrefix("pipe:") == true
                }
            }
            return seen
        }
    }

    private struct Sum {
        var processorSeconds = 0.0
        var sleeps = 0
        var resident = 0
        var processes = 0
    }

    /// Of the whole group.
    private static func figures(of process: PluginProcess) -> Sum {
        guard !process.isOver else { return Sum() }
        var sum = Sum()
        for pid in ProcessFigures.members(ofGroup: process.pid) {
            guard let figures = ProcessFigures(pid) else { continue }
            sum.processorSeconds += figures.processorSeconds
            sum.sleeps += figures.sleeps
            sum.resident += figures.resident
            sum.processes += 1
        }
        return sum
    }
}
