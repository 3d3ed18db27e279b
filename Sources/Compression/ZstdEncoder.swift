// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

internal import CZstd

/// Writes one RFC 8878 frame with a content checksum.
@safe
final class ZstdEncoder: Coder {
    /// The fastest of the ordinary levels.
    private static let level: CInt = 1

    private let context: OpaquePointer?
    private var began = false

    init() {
        unsafe context = ZSTD_createCCtx()
        unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Self.level)
        unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit {
        unsafe ZSTD_freeCCtx(context)
    }

    func reset() {
        unsafe ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
        began = false
    }

    func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError.Reason) -> CoderProgress {
        guard let context = unsafe context else { throw .outOfMemory }
        var source = unsafe ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = unsafe ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        if !began {
            // A frame that begins with its end tells libzstd its size. It would then allocate its tables anew whenever
            // short messages follow long ones, and the reverse.
            _ = try unsafe Zstd.checked(ZSTD_compressStream2(context, &target, &source, ZSTD_e_continue))
            began = true
        }
        var left = 0
        repeat {
            let operation = isLast ? ZSTD_e_end : ZSTD_e_continue
            left = try unsafe Zstd.checked(ZSTD_compressStream2(context, &target, &source, operation))
        } while unsafe target.pos < target.size && (source.pos < source.size || (isLast && left > 0))
        let finished = unsafe isLast && left == 0 && source.pos == source.size
        return unsafe CoderProgress(
            consumed: source.pos,
            produced: target.pos,
            needsOutput: !finished && target.pos == target.size,
            finished: finished
        )
    }
}

/// What both directions share.
enum Zstd {
    /// The result of a call, unless it is an error.
    static func checked(_ result: Int) throws(CompressionError.Reason) -> Int {
        guard ZSTD_isError(result) == 0 else { throw reason(for: result) }
        return result
    }

    private static func reason(for result: Int) -> CompressionError.Reason {
        switch ZSTD_getErrorCode(result) {
        case ZSTD_error_memory_allocation: .outOfMemory
        case ZSTD_error_frameParameter_windowTooLarge: .windowTooLarge
        case ZSTD_error_checksum_wrong: .checksumMismatch
        case ZSTD_error_dictionary_wrong, ZSTD_error_version_unsupported: .unsupported
        case ZSTD_error_frameParameter_unsupported: .unsupported
        case ZSTD_error_GENERIC, ZSTD_error_parameter_unsupported, ZSTD_error_parameter_outOfBound: .libraryFailure
        case ZSTD_error_stage_wrong, ZSTD_error_init_missing, ZSTD_error_workSpace_tooSmall: .libraryFailure
        default: .malformed
        }
    }
}
