// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

internal import CZstd

/// Reads RFC 8878 frames, one or several, skippable ones included.
///
/// libzstd keeps the window of the largest frame, and gives it back after more than a hundred steps that needed far
/// less.
@safe
final class ZstdDecoder: Coder {
    private static let frameMagic: UInt32 = 0xFD2F_B528
    private static let skippableMagics: ClosedRange<UInt32> = 0x184D_2A50...0x184D_2A5F
    private static let magicSize = 4

    private let context: OpaquePointer?
    /// The first bytes of the frame at hand, little-endian, and how many of them came; none between two frames.
    private var magic: UInt32 = 0
    private var magicCount = 0
    /// A frame has begun and not ended.
    private var inFrame = false
    /// The last call stopped at the end of its room, so libzstd may hold more.
    private var mayHoldOutput = false
    /// It can do nothing, whatever the input, before there is room.
    private var isBlocked = false

    init() {
        unsafe context = ZSTD_createDCtx()
        let windowLog = CInt(Decompressor.maximumZstdWindow.trailingZeroBitCount)
        unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, windowLog)
    }

    deinit {
        unsafe ZSTD_freeDCtx(context)
    }

    func reset() {
        unsafe ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
        endFrame()
        mayHoldOutput = false
        isBlocked = false
    }

    func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError.Reason) -> CoderProgress {
        guard let context = unsafe context else { throw .outOfMemory }
        var source = unsafe ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = unsafe ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        // After a few calls in a row that could do nothing libzstd returns an error, so none is made.
        isBlocked = isBlocked && output.count == 0
        while unsafe !isBlocked && (source.pos < source.size || (mayHoldOutput && target.pos < target.size)) {
            let magicBytes = try unsafe checkMagic(in: input, at: source.pos)
            let before = unsafe (source.pos, target.pos)
            let wanted = try unsafe Zstd.checked(ZSTD_decompressStream(context, &target, &source))
            mayHoldOutput = unsafe target.pos == target.size
            if wanted == 0 {
                endFrame()
                mayHoldOutput = false
            } else {
                inFrame = true
                magicCount += magicBytes
            }
            if unsafe before == (source.pos, target.pos) {
                isBlocked = output.count == 0
                break
            }
        }
        let inputDone = unsafe source.pos == source.size
        let needsOutput = unsafe mayHoldOutput && target.pos == target.size
        if isLast, inputDone, inFrame, !needsOutput { throw .truncated }
        return unsafe CoderProgress(
            consumed: source.pos,
            produced: target.pos,
            needsOutput: needsOutput,
            finished: isLast && inputDone && !inFrame
        )
    }

    private func endFrame() {
        inFrame = false
        magic = 0
        magicCount = 0
    }

    /// Refuses a frame of another format. libzstd may be built to read those of its first versions, with code that few
    /// look at and that knows no window limit.
    ///
    /// Returns how many bytes of the magic number are at `start` of the input.
    private func checkMagic(
        in input: UnsafeRawBufferPointer,
        at start: Int
    ) throws(CompressionError.Reason) -> Int {
        let count = min(Self.magicSize - magicCount, input.count - start)
        guard count > 0 else { return 0 }
        for index in 0..<count {
            magic |= unsafe UInt32(input[start + index]) << UInt32(8 * (magicCount + index))
        }
        if magicCount + count == Self.magicSize {
            guard magic == Self.frameMagic || Self.skippableMagics.contains(magic) else { throw .malformed }
        }
        return count
    }
}
