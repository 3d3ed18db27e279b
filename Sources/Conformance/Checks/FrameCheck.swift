// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire

extension FrameTally {
    /// A record that leaves little room below the limit, and one that is worth mentioning.
    static let nearLimit = 6 << 20
    static let large = 1 << 20
    private static let shownTypes = 6

    public var findings: [Finding] {
        var findings: [Finding] = []
        if records > 0 {
            let kinds = types.sorted { (-$0.value.count, $0.key) < (-$1.value.count, $1.key) }
            let shown = kinds.prefix(Self.shownTypes).map { "\($0.value.count) of \($0.key)" }.joined(separator: ", ")
            let more = kinds.count > Self.shownTypes ? " and \(kinds.count - Self.shownTypes) more types" : ""
            findings.append(
                .note(
                    "\(counted(records, "record", "records")) in all checks: \(shown)\(more);"
                        + " \(bytes / max(1, records)) bytes on average, \(largest) the largest"
                )
            )
        }
        if let lostAt {
            findings.append(
                .fail(
                    "a frame of \(lostAt) bytes was announced, above the limit of \(FrameSplicer.maximumRecord)",
                    "A frame is its length as 4 bytes, little-endian, and so many bytes."
                        + " The agent starts such a plugin anew."
                )
            )
        }
        if malformed > 0 {
            findings.append(
                .fail(
                    "\(counted(malformed, "record is", "records are")) malformed; the first: \(firstDefect ?? "")",
                    "Write Record{1: int32, 2: int64, 3: Payload{1: map<string, string>}}; the agent leaves out others."
                )
            )
        }
        if largest > Self.nearLimit {
            findings.append(
                .warn(
                    "a record of \(largest) bytes is near the limit of \(FrameSplicer.maximumRecord)",
                    "Split it: a larger one ends the plugin's stream."
                )
            )
        } else if largest > Self.large {
            findings.append(.note("records of over 1 MiB travel alone, and servers refuse messages over 10 MiB"))
        }
        for oddity in RecordOddity.allCases {
            guard let count = oddities[oddity], count > 0 else { continue }
            let text = "\(counted(count, "record", "records")) \(oddity.text)"
            findings.append(Finding(oddity.verdict, text, advice: oddity.advice))
        }
        if findings.isEmpty {
            findings.append(
                .skipped("it sent no record in any check", "Give --task, or a longer --observe if it sends seldom.")
            )
        }
        return findings
    }

    var measures: [Measure] {
        var measures = [
            Measure("records", records), Measure("bytes", bytes), Measure("largest_bytes", largest),
            Measure("malformed", malformed),
        ]
        for (type, sum) in types.sorted(by: { $0.key < $1.key }) {
            measures.append(Measure("records_\(type)", sum.count))
        }
        return measures
    }
}

extension ConformanceRun {
    func checkFrames() throws(ConformanceError) -> CheckResult {
        // There is something to look at also when this is the only check.
        _ = try observation()
        return CheckResult(.frames, tally.findings, tally.measures)
    }
}
