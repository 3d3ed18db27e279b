// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

internal import CZlib
internal import Glibc

/// Reads one or more RFC 1952 members with zlib, which verifies header checksum, CRC-32 and length of each.
@safe
final class GzipDecoder: Coder {
    /// On the heap, since zlib keeps a pointer to it.
    private let stream: UnsafeMutablePointer<z_stream>
    private let isReady: Bool
    /// The input so far ends with a whole member.
    private var atMemberEnd = false

    init() {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe inflateInit2_(
            stream,
            Zlib.gzipWindowBits,
            ZLIB_VERSION,
            CInt(MemoryLayout<z_stream>.size)
        )
        isReady = status == Z_OK
    }

    deinit {
        if isReady { unsafe inflateEnd(stream) }
        unsafe stream.deallocate()
    }

    func reset() {
        if isReady { unsafe inflateReset(stream) }
        atMemberEnd = false
    }

    func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError.Reason) -> CoderProgress {
        guard isReady else { throw .outOfMemory }
        unsafe Zlib.attach(input, output, to: stream)
        while true {
            if atMemberEnd {
                guard unsafe stream.pointee.avail_in > 0 else { break }
                unsafe inflateReset(stream)
                atMemberEnd = false
            }
            let status = unsafe inflate(stream, Z_NO_FLUSH)
            if status == Z_STREAM_END {
                atMemberEnd = true
                continue
            }
            // Z_BUF_ERROR means that there was nothing to do, which is no error.
            guard status == Z_OK || status == Z_BUF_ERROR else { throw reason(for: status) }
            if unsafe stream.pointee.avail_in == 0 || stream.pointee.avail_out == 0 { break }
        }
        let left = unsafe Int(stream.pointee.avail_in)
        let room = unsafe Int(stream.pointee.avail_out)
        let needsOutput = !atMemberEnd && room == 0
        if isLast, left == 0, !atMemberEnd, !needsOutput { throw .truncated }
        return CoderProgress(
            consumed: input.count - left,
            produced: output.count - room,
            needsOutput: needsOutput,
            finished: isLast && left == 0 && atMemberEnd
        )
    }

    private func reason(for status: CInt) -> CompressionError.Reason {
        switch status {
        case Z_MEM_ERROR: return .outOfMemory
        case Z_DATA_ERROR:
            // zlib has one code for all bad data; these are the texts that inflate.c gives to failed checks.
            let checks = ["incorrect data check", "incorrect length check", "header crc mismatch"]
            guard let message = unsafe stream.pointee.msg else { return .malformed }
            return checks.contains { unsafe strcmp(message, $0) == 0 } ? .checksumMismatch : .malformed
        case Z_NEED_DICT: return .unsupported
        default: return .libraryFailure
        }
    }
}
