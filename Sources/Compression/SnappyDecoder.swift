// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

internal import CSnappy

/// Reads snappy's framing format.
final class SnappyDecoder: Coder {
    private enum State {
        /// Within a chunk's header.
        case header
        /// Within the body of a chunk that must be complete to be used.
        case body(SnappyFraming.ChunkType, size: Int)
        /// Within the body of a chunk that does not matter.
        case skip(Int)
    }

    private var state = State.header
    private var sawIdentifier = false
    private var header = ByteStore(capacity: SnappyFraming.headerSize)
    /// The part of a chunk's body that came with earlier steps.
    private var body: ByteStore
    /// Decompressed data that did not fit into the output.
    private var pending = ByteStore(capacity: SnappyFraming.maximumBlock)

    init() {
        body = ByteStore(
            capacity: SnappyFraming.checksumSize + snappy_max_compressed_length(SnappyFraming.maximumBlock)
        )
    }

    func reset() {
        state = .header
        sawIdentifier = false
        header.removeAll()
        body.removeAll()
        pending.removeAll()
    }

    func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError.Reason) -> CoderProgress {
        var source = unsafe InputCursor(input)
        var target = unsafe OutputCursor(output)
        pending.drain(into: &target)
        while pending.isEmpty {
            guard try advance(&source, into: &target) else { break }
            pending.drain(into: &target)
        }
        var done = false
        if isLast, source.remaining == 0, pending.isEmpty {
            guard case .header = state, header.isEmpty else { throw .truncated }
            done = true
        }
        return CoderProgress(
            consumed: source.offset,
            produced: target.offset,
            needsOutput: !pending.isEmpty,
            finished: done
        )
    }

    /// Reads one header or one body; returns false if that needs more input.
    private func advance(
        _ input: inout InputCursor,
        into output: inout OutputCursor
    ) throws(CompressionError.Reason) -> Bool {
        switch state {
        case .header:
            header.fill(to: SnappyFraming.headerSize, from: &input)
            guard header.count == SnappyFraming.headerSize else { return false }
            let word = unsafe UInt32(littleEndian: header.contents.loadUnaligned(as: UInt32.self))
            header.removeAll()
            try startChunk(SnappyFraming.ChunkType(UInt8(truncatingIfNeeded: word)), size: Int(word >> 8))
        case .skip(let size):
            let skipped = unsafe input.take(min(size, input.remaining)).count
            guard skipped == size else {
                state = .skip(size - skipped)
                return false
            }
            state = .header
        case .body(let type, let size):
            if body.isEmpty, input.remaining >= size {
                try unsafe finishChunk(type, body: input.take(size), into: &output)
            } else {
                body.fill(to: size, from: &input)
                guard body.count == size else { return false }
                try unsafe finishChunk(type, body: body.contents, into: &output)
                body.removeAll()
            }
            state = .header
        }
        return true
    }

    private func startChunk(_ type: SnappyFraming.ChunkType, size: Int) throws(CompressionError.Reason) {
        guard sawIdentifier || type == .streamIdentifier else { throw .malformed }
        switch type {
        case .skippable:
            state = .skip(size)
            return
        case .unskippable:
            throw .unsupported
        case .streamIdentifier:
            guard size == SnappyFraming.identifierBodySize else { throw .malformed }
        case .compressed:
            guard size >= SnappyFraming.checksumSize, size <= body.capacity else { throw .malformed }
        case .uncompressed:
            let data = size - SnappyFraming.checksumSize
            guard data >= 0, data <= SnappyFraming.maximumBlock else { throw .malformed }
        }
        state = .body(type, size: size)
    }

    private func finishChunk(
        _ type: SnappyFraming.ChunkType,
        body: UnsafeRawBufferPointer,
        into output: inout OutputCursor
    ) throws(CompressionError.Reason) {
        if type == .streamIdentifier {
            for index in 0..<SnappyFraming.identifierBodySize {
                let expected = SnappyFraming.streamIdentifier[SnappyFraming.headerSize + index]
                guard unsafe body[index] == expected else { throw .malformed }
            }
            sawIdentifier = true
            return
        }
        let checksum = unsafe UInt32(littleEndian: body.loadUnaligned(as: UInt32.self))
        let data = unsafe UnsafeRawBufferPointer(rebasing: body[SnappyFraming.checksumSize...])
        let size = type == .compressed ? try unsafe decodedSize(of: data) : data.count
        let direct = output.room >= size
        let room = unsafe direct ? output.rest : pending.rest
        let block = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<size])
        if type == .compressed {
            try unsafe decode(data, into: block)
        } else {
            unsafe block.copyMemory(from: data)
        }
        var crc = CRC32C()
        unsafe crc.update(UnsafeRawBufferPointer(block))
        guard crc.masked == checksum else { throw .checksumMismatch }
        if direct {
            output.advance(by: size)
        } else {
            pending.append(written: size)
        }
    }

    private func decodedSize(of data: UnsafeRawBufferPointer) throws(CompressionError.Reason) -> Int {
        var size = 0
        let status = unsafe snappy_uncompressed_length(
            data.baseAddress?.assumingMemoryBound(to: CChar.self),
            data.count,
            &size
        )
        guard status == SNAPPY_OK, size <= SnappyFraming.maximumBlock else { throw .malformed }
        return size
    }

    private func decode(
        _ data: UnsafeRawBufferPointer,
        into block: UnsafeMutableRawBufferPointer
    ) throws(CompressionError.Reason) {
        var size = block.count
        let status = unsafe snappy_uncompress(
            data.baseAddress?.assumingMemoryBound(to: CChar.self),
            data.count,
            block.baseAddress?.assumingMemoryBound(to: CChar.self),
            &size
        )
        guard status == SNAPPY_OK, size == block.count else { throw .malformed }
    }
}
