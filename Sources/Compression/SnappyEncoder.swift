// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

internal import CSnappy

/// Writes snappy's framing format, chunk for chunk as golang/snappy does: blocks of 65,536 bytes, left uncompressed if
/// compression saves less than an eighth.
final class SnappyEncoder: Coder {
    /// Input that is not a whole block yet.
    private var gathered = ByteStore(capacity: SnappyFraming.maximumBlock)
    /// A chunk that did not fit into the output.
    private var pending: ByteStore
    /// The largest chunk: headers, and the most that a block can grow to.
    private let maximumChunk: Int
    private var wroteIdentifier = false

    init() {
        maximumChunk =
            SnappyFraming.headerSize + SnappyFraming.checksumSize
            + snappy_max_compressed_length(SnappyFraming.maximumBlock)
        pending = ByteStore(capacity: maximumChunk)
    }

    func reset() {
        gathered.removeAll()
        pending.removeAll()
        wroteIdentifier = false
    }

    func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError.Reason) -> CoderProgress {
        var source = unsafe InputCursor(input)
        var target = unsafe OutputCursor(output)
        if !wroteIdentifier {
            stageIdentifier()
        }
        while true {
            pending.drain(into: &target)
            if !pending.isEmpty { break }
            let block = SnappyFraming.maximumBlock
            if gathered.isEmpty, source.remaining >= block || (isLast && source.remaining > 0) {
                try unsafe writeChunk(source.take(min(source.remaining, block)), into: &target)
                continue
            }
            gathered.fill(to: block, from: &source)
            guard gathered.count == block || (isLast && !gathered.isEmpty) else { break }
            try unsafe writeChunk(gathered.contents, into: &target)
            gathered.removeAll()
        }
        let done = isLast && source.remaining == 0 && gathered.isEmpty && pending.isEmpty
        return CoderProgress(
            consumed: source.offset,
            produced: target.offset,
            needsOutput: !pending.isEmpty,
            finished: done
        )
    }

    private func stageIdentifier() {
        for index in SnappyFraming.streamIdentifier.indices {
            unsafe pending.rest[index] = SnappyFraming.streamIdentifier[index]
        }
        pending.append(written: SnappyFraming.streamIdentifier.count)
        wroteIdentifier = true
    }

    /// Writes one chunk to the output if the largest one would fit, else to `pending`, which is empty.
    private func writeChunk(
        _ block: UnsafeRawBufferPointer,
        into output: inout OutputCursor
    ) throws(CompressionError.Reason) {
        if output.room >= maximumChunk {
            output.advance(by: try unsafe encode(block, into: output.rest))
        } else {
            pending.append(written: try unsafe encode(block, into: pending.rest))
        }
    }

    /// Returns the size of the chunk.
    private func encode(
        _ block: UnsafeRawBufferPointer,
        into chunk: UnsafeMutableRawBufferPointer
    ) throws(CompressionError.Reason) -> Int {
        var crc = CRC32C()
        unsafe crc.update(block)
        let prefix = SnappyFraming.headerSize + SnappyFraming.checksumSize
        let body = unsafe UnsafeMutableRawBufferPointer(rebasing: chunk[prefix...])
        var size = body.count
        let status = unsafe snappy_compress(
            block.baseAddress?.assumingMemoryBound(to: CChar.self),
            block.count,
            body.baseAddress?.assumingMemoryBound(to: CChar.self),
            &size
        )
        guard status == SNAPPY_OK else { throw .libraryFailure }
        var type: UInt32 = 0x00
        if size >= block.count - block.count / 8 {
            type = 0x01
            size = block.count
            unsafe body.copyMemory(from: block)
        }
        let header = type | UInt32(size + SnappyFraming.checksumSize) << 8
        unsafe chunk.storeBytes(of: header.littleEndian, as: UInt32.self)
        unsafe chunk.storeBytes(
            of: crc.masked.littleEndian,
            toByteOffset: SnappyFraming.headerSize,
            as: UInt32.self
        )
        return prefix + size
    }
}
