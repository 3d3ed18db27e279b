// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport
import Testing

/// Files of another version, and bytes that look like a frame.
@Suite("Foreign bytes in a spool")
struct SpoolForeignTests {
    private static let lane = SmallSpool.lanes[0]

    /// Both copies of its header say that it is of another version: it is kept as it is, and the others are read.
    @Test(arguments: SmallSpool.segments, [0, 2, 0xffff_ffff] as [UInt64])
    func anotherVersionIsSetAside(file: String, version: UInt64) throws {
        let spool = try SmallSpool()
        var bytes = spool.disk.contents(of: file)
        Bytes.changeVersion(&bytes, to: version, at: [0, Bytes.copySize], size: Bytes.copySize)
        let damage = Damage(spool, file, "version \(version)", bytes, isSegmentGone: true)
        try damage.checkInspection()
        #expect(damage.disk.contents(of: file) == bytes)

        let store = try SpoolStore(disk: damage.disk) { 0 }
        #expect(store.notes.contains { $0.hasPrefix(file) && $0.contains("version \(version)") }, "\(store.notes)")
        #expect(damage.disk.contents(of: "\(file).aside") == bytes && damage.disk.contents(of: file).isEmpty)
        try damage.checkOpening(goesOn: true)
        #expect(damage.disk.contents(of: "\(file).aside") == bytes)
    }

    /// One copy can be wrong: the other says what it is.
    @Test(arguments: [0, 384])
    func oneCopyDoesNotMakeItAnotherVersion(start: Int) throws {
        let spool = try SmallSpool()
        for file in SmallSpool.segments {
            var bytes = spool.disk.contents(of: file)
            Bytes.changeVersion(&bytes, to: 2, at: [start], size: Bytes.copySize)
            let damage = Damage(spool, file, "version in copy \(start)", bytes)
            #expect(damage.lost.isEmpty)
            try damage.checkInspection()
            try damage.checkOpening(goesOn: true)
        }
    }

    /// As a segment of another version is: the newer program finds it when it is back.
    @Test func aCursorOfAnotherVersionIsKept() throws {
        let spool = try SmallSpool()
        var bytes = spool.disk.contents(of: "a.cursor")
        Bytes.changeVersion(&bytes, to: 2, at: [0, Bytes.slotDistance], size: Bytes.slotSize)
        let damage = Damage(spool, "a.cursor", "version 2", bytes)
        try damage.checkInspection()
        try damage.checkOpening(goesOn: true)
        let store = try SpoolStore(disk: damage.disk) { 0 }
        let end = try #require(store.contents(of: Self.lane)).end
        _ = try store.advance(Self.lane, to: end, isFinal: false)
        let files = try damage.disk.snapshot()
        #expect(files.values.contains(bytes), "\(files.keys.sorted())")
    }

    // MARK: Forged frames

    /// A plugin that writes frames into its records, and damage in front of them. It does not know the segment's salt;
    /// if it did, the frame would be taken, so this test can fail.
    @Test(arguments: [nil, [], [UInt8](repeating: 0, count: 8)] as [[UInt8]?])
    func aForgedFrameIsNoFrame(salt: [UInt8]?) throws {
        let disk = MemoryDisk()
        let store = try SpoolStore(disk: disk) { 0 }
        var line = BatchLine()
        let first = line.next(size: 100)
        _ = try store.append([first], to: Self.lane, attempt: 0)
        let file = SmallSpool.files[0]
        let real = Array(disk.contents(of: file)[40..<48])
        let isForged = salt == nil
        let forged = SpoolBatch(position: line.end, records: 1, payload: Array("forged".utf8))
        let frame = Bytes.frame(forged, salt: salt ?? real)
        var batch = line.next(size: 30)
        batch.payload += frame + frame.dropLast(2) + [UInt8](repeating: 0x45, count: 50) + frame
        let last = line.next(size: 100)
        _ = try store.append([batch, last], to: Self.lane, attempt: 0)
        try store.sync()
        // The description of the format is right: a frame is what the spool writes.
        let own = Bytes.frame(first, salt: real)
        let bytes = disk.contents(of: file)
        #expect(Array(bytes[Bytes.headerSize..<(Bytes.headerSize + own.count)]) == own)

        for offset in 0..<Bytes.frameHeaderSize {
            var damaged = bytes
            damaged[Bytes.headerSize + own.count + offset] ^= 1
            let copy = disk.copy()
            copy.set(file, damaged)
            let losses = try SpoolStore.inspecting(copy).verify()
            let found = try SpoolStore(disk: copy) { 0 }.readAll(Self.lane, from: .zero)
            if isForged {
                #expect(found.contains { $0.isSame(forged) } && losses.isEmpty)
            } else {
                #expect(areSame(found, [first, last]), "\(places(found))")
                #expect(losses.map(\.first) == [batch.position] && losses.map(\.end) == [batch.end], "\(losses)")
            }
        }
    }

    /// Nor where a file ends within it.
    @Test func aForgedFrameAtTheEndIsNoFrame() throws {
        let disk = MemoryDisk()
        let store = try SpoolStore(disk: disk) { 0 }
        var line = BatchLine()
        let first = line.next(size: 100)
        var batch = line.next(size: 30)
        let forged = SpoolBatch(position: batch.position, records: 1, payload: Array("forged".utf8))
        batch.payload += Bytes.frame(forged, salt: [])
        _ = try store.append([first, batch], to: Self.lane, attempt: 0)
        try store.sync()
        let file = SmallSpool.files[0]
        let bytes = disk.contents(of: file)
        for isCut in [false, true] {
            var damaged = Array(bytes.dropLast(isCut ? 1 : 0))
            damaged[Bytes.headerSize + first.payload.count + Bytes.frameHeaderSize] ^= 1
            let copy = disk.copy()
            copy.set(file, damaged)
            let next = try SpoolStore(disk: copy) { 0 }
            #expect(try areSame(next.readAll(Self.lane, from: .zero), [first]))
            #expect(next.contents(of: Self.lane)?.end == batch.end, "it is missed")
        }
    }
}
