// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport
import Testing

/// After a repair nothing is wrong, all that was whole is there, and the old files are kept.
@Suite("Repaired spool")
struct SpoolRepairTests {
    @Test(arguments: SmallSpool.files)
    func wrongBytesAreRepaired(file: String) throws {
        let spool = try SmallSpool()
        let bytes = spool.disk.contents(of: file)
        for offset in stride(from: 0, to: bytes.count, by: 7) {
            var damaged = bytes
            damaged[offset] ^= 0xff
            try Damage(spool, file, "byte \(offset)", damaged).checkRepair()
        }
    }

    @Test(arguments: SmallSpool.files)
    func missingEndsAreRepaired(file: String) throws {
        let spool = try SmallSpool()
        let bytes = spool.disk.contents(of: file)
        for length in stride(from: 0, to: bytes.count, by: 7) {
            try Damage(spool, file, "cut to \(length) bytes", Array(bytes.prefix(length))).checkRepair()
        }
        try Damage(spool, file, "removed", nil).checkRepair()
    }

    @Test func whatIsWholeStays() throws {
        let disk = try SmallSpool().disk
        let before = try disk.snapshot()
        #expect(try SpoolStore.repair(disk) { 0 }.isEmpty)
        #expect(try disk.snapshot() == before)
    }

    /// What was repaired is a spool like any other, and can be damaged again.
    @Test func aRepairedSpoolGoesOn() throws {
        let spool = try SmallSpool()
        let lane = SmallSpool.lanes[0]
        var damaged = spool.disk.contents(of: SmallSpool.files[1])
        damaged[Bytes.headerSize] ^= 1
        spool.disk.set(SmallSpool.files[1], damaged)
        #expect(try SpoolStore.repair(spool.disk) { 0 }.count == 1)

        let store = try SpoolStore(disk: spool.disk) { 0 }
        let own = try #require(store.contents(of: lane))
        #expect(own.segments == 1 && store.asideBytes > 0)
        var line = BatchLine(from: own.end)
        let new = line.next(3, size: 100)
        _ = try store.append(new, to: lane, attempt: 0)
        try store.sync()
        let next = try SpoolStore(disk: spool.disk) { 0 }
        let all = try next.readAll(lane, from: own.first)
        #expect(all.count == 9 && areSame(all.suffix(3), new))

        let segments = try spool.disk.segments("a")
        let file = try #require(segments.first)
        var again = spool.disk.contents(of: file)
        again[Bytes.headerSize] ^= 1
        spool.disk.set(file, again)
        #expect(try SpoolStore.repair(spool.disk) { 0 }.count == 1)
        #expect(try SpoolStore.inspecting(spool.disk).verify().isEmpty)
        let last = try SpoolStore(disk: spool.disk) { 0 }
        #expect(try last.contents(of: lane).map { try last.readAll(lane, from: $0.first).count } == 8)
    }

    /// What a repair cannot read it does not write over: that segment's number is not given again.
    @Test(arguments: SmallSpool.segments)
    func aSegmentWithoutAHeaderIsNotReplaced(file: String) throws {
        let disk = try SmallSpool().disk
        var bytes = disk.contents(of: file)
        for start in [0, Bytes.copySize] { bytes[start + 50] ^= 1 }
        disk.set(file, bytes)
        _ = try SpoolStore.repair(disk) { 0 }
        let files = try disk.snapshot()
        #expect(files.values.contains(bytes), "\(files.keys.sorted())")
        #expect(try SpoolStore.inspecting(disk).verify().isEmpty)
    }

    /// Two files can have had the same name: a lane that was empty begins at the first number again.
    @Test func whatIsAsideIsNotReplaced() throws {
        let file = SmallSpool.files[0]
        for repairs in [false, true] {
            let disk = try SmallSpool().disk
            let earlier: [UInt8] = Array("of an earlier repair".utf8)
            disk.set("\(file).aside", earlier)
            var bytes = disk.contents(of: file)
            if repairs {
                bytes[Bytes.headerSize] ^= 1
            } else {
                for start in [0, Bytes.copySize] { bytes[start + 50] ^= 1 }
            }
            disk.set(file, bytes)
            if repairs { _ = try SpoolStore.repair(disk) { 0 } }
            let store = try SpoolStore(disk: disk) { 0 }
            let files = try disk.snapshot()
            #expect(files.values.contains(earlier) && files.values.contains(bytes), "\(files.keys.sorted())")
            let aside = files.filter { $0.key.hasSuffix(".aside") }
            #expect(store.asideBytes == aside.values.reduce(0) { $0 + $1.count })
        }
    }
}
