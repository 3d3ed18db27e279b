// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import Testing

@Suite struct ReportTests {
    static let machine = Machine(
        cpuinfo: """
            processor\t: 0
            model name\t: AMD  EPYC
            flags\t\t: fpu vme

            processor\t: 1
            model name\t: AMD  EPYC
            """,
        meminfo: "MemTotal:       24684084 kB\nMemFree:        22524052 kB\n",
        kernel: "6.1.0",
        architecture: "x86_64",
        openSSL: "3.0.19",
        nghttp2: "1.52.0"
    )

    static func report(_ rows: [Row] = []) -> Report {
        var report = Report(
            title: "A title",
            machine: machine,
            version: "1.2.0",
            date: "2026-01-31T12:00:00Z",
            command: "Benchmarks all",
            seconds: 12.34
        )
        report.append(contentsOf: rows)
        return report
    }

    private func row(_ group: String, _ name: String, _ value: Double, floor: String? = nil, unit: String = "ms") -> Row
    {
        Row(group: group, name: name, unit: unit, samples: [value], floor: floor)
    }

    @Test func theFloorsValueIsFound() {
        let report = Self.report([
            row("a", "floor", 2), row("a", "before", 3, floor: "floor"),
            row("b", "after", 12, floor: "floor of b"), row("b", "floor of b", 4),
            row("c", "other group", 1, floor: "floor"), row("c", "other unit", 1, floor: "floor", unit: "s"),
            row("c", "unknown", 1, floor: "none"), row("c", "broken", .nan), row("c", "of broken", 1, floor: "broken"),
        ])
        #expect(report.row("before")?.ratio == 1.5)
        #expect(report.row("after")?.ratio == 3)
        #expect(report.row("other group")?.ratio == 0.5)
        #expect(report.row("other unit")?.floorValue == nil)
        #expect(report.row("unknown")?.floorValue == nil)
        #expect(report.row("of broken")?.floorValue == nil)
    }

    @Test func theFloorOfTheOwnGroupComesFirst() {
        let report = Self.report([row("a", "floor", 2), row("b", "floor", 4), row("b", "x", 8, floor: "floor")])
        #expect(report.row("x")?.floorValue == 4)
    }

    @Test func aGivenFloorValueStays() {
        var given = row("a", "x", 8, floor: "floor")
        given.floorValue = 16
        #expect(Self.report([row("a", "floor", 2), given]).row("x")?.ratio == 0.5)
    }

    @Test func rowsAreFoundByName() {
        let report = Self.report([row("a", "x", 1), row("b", "x", 2)])
        #expect(report.row("x")?.group == "a")
        #expect(report.row("x", group: "b")?.median == 2)
        #expect(report.row("x", group: "c") == nil)
        #expect(report.row("y") == nil)
    }

    @Test func textSaysWhereItComesFrom() {
        #expect(
            Self.report().text == """
                A title

                machine:  AMD EPYC, 2 CPUs, 23.5 GiB, Linux 6.1.0 x86_64, OpenSSL 3.0.19, nghttp2 1.52.0
                version:  1.2.0
                date:     2026-01-31T12:00:00Z
                command:  Benchmarks all
                took:     12.3 s

                nothing was measured

                """
        )
        #expect(Self.report().markdown.hasPrefix("## A title\n\n- machine: AMD EPYC, 2 CPUs,"))
    }
}

@Suite struct MachineTests {
    @Test func textsAreRead() {
        let machine = ReportTests.machine
        #expect(machine.processor == "AMD EPYC")
        #expect(machine.processors == 2)
        #expect(machine.memory == 24_684_084 * 1024)
    }

    @Test(arguments: ["", ":", "MemTotal:", "MemTotal: many kB", "MemTotal: 9223372036854775807 kB", "\u{0}:\u{0}"])
    func oddTextsAreNoMachine(text: String) {
        let machine = Machine(
            cpuinfo: text,
            meminfo: text,
            kernel: "",
            architecture: "",
            openSSL: "",
            nghttp2: ""
        )
        #expect(machine.processor == "unknown processor")
        #expect(machine.processors == 0)
        #expect(machine.memory == 0)
    }

    @Test func thisOneIsKnown() {
        let machine = Machine.current(openSSL: "3", nghttp2: "1")
        #expect(machine.processors > 0)
        #expect(machine.memory > 1 << 20)
        #expect(machine.kernel.contains("."))
        #expect(!machine.architecture.isEmpty)
    }
}
