// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import JSON

/// A report as JSON for programs: one member a line, always in the same order, null for what is no finite number.
public enum ReportJSON {
    public static func text(_ report: Report) -> String {
        let machine = report.machine
        return object([
            ("title", text(.string(report.title))),
            ("version", text(.string(report.version))),
            ("date", text(.string(report.date))),
            ("command", text(.string(report.command))),
            ("seconds", text(.real(report.seconds))),
            (
                "machine",
                object([
                    ("processor", text(.string(machine.processor))),
                    ("processors", text(.integer(Int64(machine.processors)))),
                    ("memory", text(.integer(Int64(machine.memory)))),
                    ("kernel", text(.string(machine.kernel))),
                    ("architecture", text(.string(machine.architecture))),
                    ("openSSL", text(.string(machine.openSSL))),
                    ("nghttp2", text(.string(machine.nghttp2))),
                ])
            ),
            ("rows", block("[", report.rows.map(object), "]")),
        ]) + "\n"
    }

    private static func object(_ row: Row) -> String {
        object([
            ("group", text(.string(row.group))),
            ("name", text(.string(row.name))),
            ("unit", text(.string(row.unit))),
            ("median", text(.real(row.median))),
            ("minimum", text(.real(row.minimum))),
            ("maximum", text(.real(row.maximum))),
            ("spread", text(.real(row.spread))),
            ("samples", text(.array(row.samples.map(JSONValue.real)))),
            ("floor", text(row.floor.map(JSONValue.string))),
            ("floorValue", text(row.floorValue.map(JSONValue.real))),
            ("ratio", text(row.ratio.map(JSONValue.real))),
            ("note", text(row.note.map(JSONValue.string))),
        ])
    }

    /// JSON's own order of members is that of their names: here they stay as they are given.
    private static func object(_ members: [(name: String, value: String)]) -> String {
        block("{", members.map { "\(text(.string($0.name))): \($0.value)" }, "}")
    }

    /// Indented, which only moves what is between values: in a string there is no line's end.
    private static func block(_ start: String, _ items: [String], _ end: String) -> String {
        guard !items.isEmpty else { return start + end }
        let lines = items.joined(separator: ",\n").split(separator: "\n").map { "  \($0)\n" }
        return "\(start)\n\(lines.joined())\(end)"
    }

    private static func text(_ value: JSONValue?) -> String {
        String(decoding: (value ?? .null).encoded, as: UTF8.self)
    }
}
