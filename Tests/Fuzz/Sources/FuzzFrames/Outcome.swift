// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import ElkeidWire
import FuzzSupport

/// What a splicer made of a stream.
struct Outcome: Equatable {
    /// The bytes of each batch.
    var batches: [[UInt8]] = []
    var records: [SeenRecord] = []
    var accepted = 0
    var malformed = 0
    var lastMalformed: MalformedRecord?
    var lost = false
    var isAtFrameBoundary = true
    /// Held of a frame that is not complete.
    var partialBytes = 0

    /// Reads `pieces` one after the other into slabs, as an agent does.
    init(_ pieces: [ArraySlice<UInt8>], slabSize: Int, messageSize: Int) {
        let pool = SlabPool(slabSize: slabSize)
        do {
            let arena = Arena(pool: pool)
            var splicer = FrameSplicer(messageSize: messageSize)
            splice(pieces, &splicer, arena, messageSize)
            if let batch = splicer.cut() { add(batch, messageSize) }
            expect(splicer.cut() == nil && splicer.openBytes == 0, "a cut leaves something behind")
            accepted = Int(splicer.accepted)
            malformed = Int(splicer.malformed)
            lastMalformed = splicer.lastMalformed
            isAtFrameBoundary = splicer.isAtFrameBoundary
            partialBytes = splicer.partialBytes
            expect(records.count == accepted, "\(records.count) records came out, \(accepted) were accepted")
        }
        expect(pool.outstanding == 0, "\(pool.outstanding) slabs are never given back")
    }

    private mutating func splice(
        _ pieces: [ArraySlice<UInt8>],
        _ splicer: inout FrameSplicer,
        _ arena: Arena,
        _ messageSize: Int
    ) {
        for piece in pieces {
            var rest = piece
            while !rest.isEmpty {
                guard let slab = arena.slab(room: 1) else { fatalError("a pool without a limit has no slab") }
                let part = rest.prefix(slab.room)
                let segment = slab.append(unsafe part.span.bytes)
                rest = rest.dropFirst(segment.count)
                do throws(StreamLost) {
                    try splicer.splice(segment, arena: arena) { add($0, messageSize) }
                } catch {
                    lost = true
                    return
                }
            }
        }
    }

    /// Reads a batch as the message that it becomes.
    private mutating func add(_ batch: RecordBatch, _ messageSize: Int) {
        expect(batch.count > 0, "an empty batch")
        expect(batch.bytes.count <= messageSize || batch.count == 1, "a batch over the message size")
        let bytes = batch.bytes.toArray()
        expect(bytes.count == batch.bytes.count, "a chain that miscounts its bytes")
        guard let message = try? PackagedData(decoding: bytes) else { fatalError("a batch that cannot be read") }
        expect(message.header == PackagedDataHeader(), "a batch with other fields than records")
        expect(message.records.count == batch.count, "a batch that miscounts its records")
        for record in message.records {
            records.append(
                SeenRecord(dataType: record.dataType, timestamp: record.timestamp, payload: Array(bytes[record.data]))
            )
        }
        batches.append(bytes)
    }
}
