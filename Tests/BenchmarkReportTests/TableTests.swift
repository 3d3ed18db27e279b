// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import Testing

@Suite struct TableTests {
    static let rows = [
        Row(
            group: "CPU per byte",
            name: "agent",
            unit: "ns/byte",
            samples: [1.6, 1.62, 1.7],
            floor: "C",
            floorValue: 1.25
        ),
        Row(group: "Throughput", name: "records", unit: "records/s", samples: [1_234_567.8], note: "one | two"),
        Row(group: "CPU per byte", name: "C", unit: "ns/byte", samples: [1.25, 1.25]),
        Row(group: "Throughput", name: "calls", unit: "calls", samples: [12_345, 12_345], floor: "x", note: "exact"),
        Row(group: "Throughput", name: "broken", unit: "MB", samples: [1, .nan], floor: "y"),
    ]

    @Test func text() {
        #expect(
            Table(Self.rows).text == """
                  name        median  unit       × floor  n  spread  note

                CPU per byte (floor: C)
                  agent         1.62  ns/byte       1.30  3    6.2%
                  C             1.25  ns/byte             2    0.0%

                Throughput
                  records  1,235,000  records/s           1       –  one | two
                  calls       12,345  calls            –  2    0.0%  exact; floor: x
                  broken           –  MB               –  2       –  floor: y

                """
        )
    }

    @Test func markdown() {
        #expect(
            Table(Self.rows).markdown == #"""
                **CPU per byte (floor: C)**

                | name | median | unit | × floor | n | spread | note |
                | --- | ---: | --- | ---: | ---: | ---: | --- |
                | agent | 1.62 | ns/byte | 1.30 | 3 | 6.2% |  |
                | C | 1.25 | ns/byte |  | 2 | 0.0% |  |

                **Throughput**

                | name | median | unit | × floor | n | spread | note |
                | --- | ---: | --- | ---: | ---: | ---: | --- |
                | records | 1,235,000 | records/s |  | 1 | – | one \| two |
                | calls | 12,345 | calls | – | 2 | 0.0% | exact; floor: x |
                | broken | – | MB | – | 2 | – | floor: y |

                """#
        )
    }

    @Test func longCellsAreBroken() {
        let long = "a name of many words that goes on " + String(repeating: "and on ", count: 30)
        let unbroken = String(repeating: "x", count: 500)
        let rows = [
            Row(group: long + long, name: long, unit: unbroken, samples: [1e300], floor: long, note: unbroken),
            Row(group: "", name: "", unit: "", samples: []),
            Row(group: "\n", name: "a\nb\u{1b}", unit: "\t", samples: [1], note: ""),
        ]
        let text = Table(rows).text
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= Table.maximumWidth })
        #expect(text.filter { $0 == "x" }.count == 1000)
        #expect(text.contains("  a b"))
        #expect(!text.unicodeScalars.contains("\u{1b}"))
    }

    @Test func markdownIsEscaped() {
        let row = Row(group: "*<b>*", name: "a\\|b\nc", unit: "&", samples: [1])
        let lines = Table([row]).markdown.split(separator: "\n")
        #expect(lines.first == #"**\*&lt;b>\***"#)
        #expect(lines.last == #"| a\\\|b c | 1 | &amp; |  | 1 | – |  |"#)
    }

    @Test func withoutRows() {
        #expect(Table([]).text == "nothing was measured\n")
        #expect(Table([]).markdown == "Nothing was measured.\n")
    }
}
