// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import Testing

@Suite("Console: tables")
struct TextTableTests {
    static let plain = Style(isColoured: false)

    static func table() -> TextTable {
        var table = TextTable([("plugin", .left), ("records", .right), ("state", .left)])
        table.add([Styled("driver", .strong), Styled("1,234,567"), Styled("running", .good)])
        table.add([Styled("a very long name"), Styled("0", .dim), Styled("failed", .bad)])
        table.add([Styled(""), Styled(""), Styled("")])
        return table
    }

    @Test func columnsAreAsWideAsTheirWidest() {
        #expect(
            Self.table().lines(Self.plain, width: 100) == [
                "plugin              records  state", "driver            1,234,567  running",
                "a very long name          0  failed", "                             ",
            ]
        )
    }

    @Test func aTitleMayBeTheWidest() {
        var table = TextTable([("a long title", .right), ("another", .right)])
        table.add([Styled("1"), Styled("2")])
        #expect(table.lines(Self.plain, width: 80) == ["a long title  another", "           1        2"])
    }

    @Test func withoutRowsThereIsTheHead() {
        #expect(TextTable([("a", .left), ("b", .right)]).lines(Self.plain, width: 80) == ["a  b"])
        #expect(TextTable([]).lines(Self.plain, width: 80) == [""])
    }

    /// No blanks behind a line that ends with words.
    @Test func theLastColumnIsNotPadded() {
        var table = TextTable([("x", .left)])
        table.add([Styled("long")])
        #expect(table.lines(Self.plain, width: 80) == ["x", "long"])
    }

    /// No line is longer than the terminal: each is the beginning of what it would be with room.
    @Test(arguments: 0...40)
    func whatDoesNotFitIsCut(width: Int) {
        let whole = Self.table().lines(Self.plain, width: 1000)
        for (line, full) in zip(Self.table().lines(Self.plain, width: width), whole) {
            #expect(line.count <= width, "\"\(line)\"")
            #expect(full.hasPrefix(line), "\"\(line)\"")
            // But for blanks nothing is left out that has room.
            #expect(full.prefix(width).dropFirst(line.count).allSatisfy { $0 == " " }, "\"\(line)\"")
        }
    }

    /// What colours a cell has no width, and ends where the cell is cut.
    @Test(arguments: [1000, 10, 3])
    func coloursHaveNoWidth(width: Int) {
        var table = TextTable([("name", .left), ("state", .left)])
        table.add([Styled("ab", .strong), Styled("running", .good)])
        let lines = table.lines(Style(isColoured: true), width: width)
        let plain = table.lines(Self.plain, width: width)
        let escapes = ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[32m", "\u{1b}[0m"]
        for (line, plain) in zip(lines, plain) {
            var bare = line
            for escape in escapes {
                while let range = bare.firstRange(of: escape) { bare.removeSubrange(range) }
            }
            #expect(bare == plain)
            #expect(line.count { $0 == "\u{1b}" } % 2 == 0, "every colour is ended")
        }
        #expect(lines[1].hasPrefix("\u{1b}[1mab\u{1b}[0m"))
    }

    @Test func widthIsCountedInCharacters() {
        var table = TextTable([("n", .left), ("v", .right)])
        table.add([Styled("ü"), Styled("é")])
        table.add([Styled("e\u{301}x"), Styled("10")])
        #expect(table.lines(Self.plain, width: 80) == ["n    v", "ü    é", "e\u{301}x  10"])
    }
}
