// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import TestSupport
import Testing

@Suite("Control: lines of a stream")
struct LineBufferTests {
    /// Everything that comes out of `stream` when it is cut into pieces; nil at the end: a line was too long.
    static func lines(_ pieces: [[UInt8]], limit: Int) -> (lines: [[UInt8]], isTooLong: Bool, left: Int) {
        var buffer = LineBuffer(limit: limit)
        var lines: [[UInt8]] = []
        do throws(LineBuffer.TooLong) {
            for piece in pieces {
                piece.withBytes { buffer.append($0) }
                while let line = try buffer.next() { lines.append(line) }
            }
        } catch {
            return (lines, true, buffer.count)
        }
        return (lines, false, buffer.count)
    }

    static let streams: [(String, lines: [String], left: Int)] = [
        ("", [], 0), ("a", [], 1), ("\n", [""], 0), ("a\n", ["a"], 0), ("a\nb", ["a"], 1), ("\n\n\n", ["", "", ""], 0),
        ("ab\n\ncd\r\n", ["ab", "", "cd\r"], 0), ("\na\n\nb\nlast", ["", "a", "", "b"], 4),
        ("ü\n\u{0}\n\u{2028}\n", ["ü", "\u{0}", "\u{2028}"], 0),
    ]

    /// However the stream is cut, the lines are the same.
    @Test(arguments: streams.indices)
    func aLineIsALineWhereverTheStreamIsCut(index: Int) {
        let (text, expected, left) = Self.streams[index]
        let bytes = [UInt8](text.utf8)
        let whole = Self.lines([bytes], limit: 100)
        #expect(whole.lines == expected.map { [UInt8]($0.utf8) } && whole.left == left && !whole.isTooLong)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                let pieces = [bytes[..<first], bytes[first..<second], bytes[second...]].map { [UInt8]($0) }
                let result = Self.lines(pieces, limit: 100)
                #expect(result.lines == whole.lines && result.left == left && !result.isTooLong, "\(first), \(second)")
            }
        }
        #expect(Self.lines(bytes.map { [$0] }, limit: 100).lines == whole.lines)
    }

    /// A length of a line, whether it is complete, and whether it is taken with a limit of 8 bytes.
    @Test(arguments: [(0, true), (7, true), (8, true), (9, false), (10, false), (5000, false)])
    func theLimitIsWithoutTheLineFeed(length: Int, isTaken: Bool) {
        let line = [UInt8](repeating: 0x61, count: length)
        for pieces in [[line + [10]], [line, [10]], line.map { [$0] } + [[10]]] {
            let result = Self.lines(pieces, limit: 8)
            #expect(result.isTooLong == !isTaken)
            #expect(result.lines == (isTaken ? [line] : []))
        }
        // Without its line feed it may still become a good one, or not.
        let open = Self.lines([line], limit: 8)
        #expect(open.isTooLong == !isTaken && open.lines.isEmpty)
    }

    @Test func aLimitOfNothingLeavesEmptyLines() {
        let result = Self.lines([[10, 10]], limit: 0)
        #expect(result.lines == [[], []] && !result.isTooLong)
        #expect(Self.lines([[0x61]], limit: 0).isTooLong)
    }

    /// What came before the long line is given back first; then it stays refused, whatever follows.
    @Test func afterALineThatIsTooLongNothingFollows() throws {
        var buffer = LineBuffer(limit: 3)
        [UInt8]("ab\nabcd\nx\n".utf8).withBytes { buffer.append($0) }
        #expect(try buffer.next() == [UInt8]("ab".utf8))
        for _ in 0..<3 { #expect(throws: LineBuffer.TooLong.self) { _ = try buffer.next() } }
        [UInt8]("\n\n".utf8).withBytes { buffer.append($0) }
        #expect(throws: LineBuffer.TooLong.self) { _ = try buffer.next() }
    }

    /// What is counted is what is still there: many lines do not add up.
    @Test func linesThatWereGivenBackAreGone() throws {
        var buffer = LineBuffer(limit: 10)
        for _ in 0..<1000 {
            [UInt8]("12345678\n9".utf8).withBytes { buffer.append($0) }
            #expect(try buffer.next() != nil)
            #expect(buffer.count == 1)
            #expect(try buffer.next() == nil)
            [UInt8]("\n".utf8).withBytes { buffer.append($0) }
            #expect(try buffer.next() == [UInt8(ascii: "9")])
            #expect(buffer.count == 0)
        }
    }

    /// Against the library's own splitting, with bytes of any kind.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func garbageIsSplitAtLineFeedsOnly(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let stream = random.bytes(random.int(0...3000)).map { $0 < 8 ? 10 : $0 }
        var pieces: [[UInt8]] = []
        var at = 0
        while at < stream.count {
            let end = min(stream.count, at + random.int(0...200))
            pieces.append([UInt8](stream[at..<end]))
            at = end
        }
        let expected = stream.split(separator: 10, omittingEmptySubsequences: false).map { [UInt8]($0) }
        let result = Self.lines(pieces, limit: 4000)
        #expect(result.lines == [[UInt8]](expected.dropLast()), "seed \(seed)")
        #expect(result.left == expected.last?.count && !result.isTooLong)
    }
}
