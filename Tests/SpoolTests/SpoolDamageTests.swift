// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport
import Testing

/// Every byte of every file may be wrong, and every file may end anywhere: it is opened, what is whole is read, and
/// what is not is told.
@Suite("Damaged spool")
struct SpoolDamageTests {
    /// One wrong byte in a frame costs that batch, anywhere else nothing.
    @Test(arguments: SmallSpool.files)
    func aWrongByteCostsItsBatch(file: String) throws {
        let spool = try SmallSpool()
        let bytes = spool.disk.contents(of: file)
        for offset in bytes.indices {
            for mask: UInt8 in [0xff, 1 << UInt8(offset % 8)] {
                var damaged = bytes
                damaged[offset] ^= mask
                let damage = Damage(spool, file, "byte \(offset) xor \(mask)", damaged)
                try damage.checkInspection()
                try damage.checkOpening(goesOn: offset % 23 == 0)
            }
        }
    }

    /// An end that is missing costs the batches in it, and they are missed.
    @Test(arguments: SmallSpool.files)
    func aFileThatIsCutCostsItsEnd(file: String) throws {
        let spool = try SmallSpool()
        let bytes = spool.disk.contents(of: file)
        for length in bytes.indices {
            let damage = Damage(spool, file, "cut to \(length) bytes", Array(bytes.prefix(length)))
            try damage.checkInspection()
            try damage.checkOpening(goesOn: length % 23 == 0)
        }
    }

    @Test(arguments: SmallSpool.files)
    func aFileThatIsGoneCostsWhatWasInIt(file: String) throws {
        let damage = Damage(try SmallSpool(), file, "removed", nil)
        try damage.checkInspection()
        try damage.checkOpening(goesOn: true)
    }

    /// With both its headers a segment has lost its meaning; it is kept for who wants to look at it.
    @Test(arguments: SmallSpool.segments)
    func aSegmentWithoutAHeaderIsSetAside(file: String) throws {
        let spool = try SmallSpool()
        var bytes = spool.disk.contents(of: file)
        for start in [0, Bytes.copySize] { bytes[start + 50] ^= 1 }
        let damage = Damage(spool, file, "both headers", bytes, isSegmentGone: true)
        try damage.checkInspection()
        let store = try SpoolStore(disk: damage.disk) { 0 }
        #expect(damage.disk.contents(of: "\(file).aside") == bytes && damage.disk.contents(of: file).isEmpty)
        #expect(store.asideBytes == bytes.count && store.notes.contains { $0.hasPrefix(file) })
        try damage.checkOpening(goesOn: true)
    }

    /// An operator who reads where it is looks at the right file, and for the right thing.
    @Test func theLossNamesItsFile() throws {
        let spool = try SmallSpool()
        for frame in spool.frames {
            let places: [(Int, SpoolLoss.Cause)] = [(0, .missing), (Bytes.frameHeaderSize, .damaged)]
            for (offset, cause) in places {
                var bytes = spool.disk.contents(of: frame.file)
                bytes[frame.range.lowerBound + offset] ^= 1
                let disk = spool.disk.copy()
                disk.set(frame.file, bytes)
                let losses = try SpoolStore.inspecting(disk).verify()
                #expect(losses.map(\.file) == [frame.file] && losses.map(\.cause) == [cause], "\(losses)")
                #expect(losses.map(\.records) == [UInt64(frame.batch.records)])
            }
        }
    }

    /// Bytes of a batch, and the header of the next: two neighbours, and no other.
    @Test func damageOverABorderCostsTwoBatches() throws {
        let spool = try SmallSpool()
        for (frame, next) in zip(spool.frames, spool.frames.dropFirst()) where frame.file == next.file {
            var bytes = spool.disk.contents(of: frame.file)
            for offset in (next.range.lowerBound - 3)..<(next.range.lowerBound + 3) {
                bytes[offset] ^= 0xff
            }
            let damage = Damage(spool, frame.file, "around \(next.range.lowerBound)", bytes)
            #expect(damage.lost.count == 2)
            try damage.checkInspection()
            try damage.checkOpening(goesOn: true)
        }
    }
}
