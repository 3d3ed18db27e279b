// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

internal import CZlib

/// Writes one RFC 1952 member with zlib.
@safe
final class GzipEncoder: Coder {
    /// On the heap, since zlib keeps a pointer to it.
    private let stream: UnsafeMutablePointer<z_stream>
    private let isReady: Bool

    init() {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe deflateInit2_(
            stream,
            Zlib.level,
            Z_DEFLATED,
            Zlib.gzipWindowBits,
            Zlib.memoryLevel,
            Z_DEFAULT_STRATEGY,
            ZLIB_VERSION,
            CInt(MemoryLayout<z_stream>.size)
        )
        isReady = status == Z_OK
    }

    deinit {
        if isReady { unsafe deflateEnd(stream) }
        unsafe stream.deallocate()
    }

    func reset() {
        if isReady { unsafe deflateReset(stream) }
    }

    func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError.Reason) -> CoderProgress {
        guard isReady else { throw .outOfMemory }
        guard output.count > 0 else {
            return CoderProgress(consumed: 0, produced: 0, needsOutput: true, finished: false)
        }
        unsafe Zlib.attach(input, output, to: stream)
        let status = unsafe deflate(stream, isLast ? Z_FINISH : Z_NO_FLUSH)
        let finished = status == Z_STREAM_END
        // Z_BUF_ERROR means that there was nothing to do, which is no error.
        guard finished || status == Z_OK || status == Z_BUF_ERROR else { throw .libraryFailure }
        return CoderProgress(
            consumed: input.count - Int(unsafe stream.pointee.avail_in),
            produced: output.count - Int(unsafe stream.pointee.avail_out),
            needsOutput: unsafe !finished && stream.pointee.avail_out == 0,
            finished: finished
        )
    }
}

/// What both directions tell zlib.
enum Zlib {
    /// The fastest level: the agent spends the host's time, not its own.
    static let level: CInt = 1
    /// zlib's default. The encoder takes 256 KiB with it.
    static let memoryLevel: CInt = 8
    /// The largest window, 32 KiB (15), with the gzip wrapper (16).
    static let gzipWindowBits: CInt = 15 + 16

    /// Points the stream at the bytes of one step. Neither is ever over 4 GiB.
    static func attach(
        _ input: UnsafeRawBufferPointer,
        _ output: UnsafeMutableRawBufferPointer,
        to stream: UnsafeMutablePointer<z_stream>
    ) {
        // zlib does not write through next_in; its type lacks a const that the ABI could not take on later. It refuses
        // null even for no bytes, and then any other address will do.
        let source = unsafe UnsafeMutableRawPointer(mutating: input.baseAddress) ?? UnsafeMutableRawPointer(stream)
        let target = unsafe output.baseAddress ?? UnsafeMutableRawPointer(stream)
        unsafe stream.pointee.next_in = source.assumingMemoryBound(to: Bytef.self)
        unsafe stream.pointee.avail_in = uInt(input.count)
        unsafe stream.pointee.next_out = target.assumingMemoryBound(to: Bytef.self)
        unsafe stream.pointee.avail_out = uInt(output.count)
    }
}
