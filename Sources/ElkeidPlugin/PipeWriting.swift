// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Writes all bytes, waiting for the reader as long as it takes.
/// - Throws: `agentGone` when nobody reads any more; no SIGPIPE is raised.
func writeAll(_ descriptor: CInt, _ bytes: RawSpan) throws(PluginError) {
    var written = 0
    while true {
        written += try writeAvailable(descriptor, bytes.extracting(droppingFirst: written))
        guard written < bytes.byteCount else { return }
        _ = try waitUntilReady(descriptor, for: POLLOUT)
    }
}

/// Writes until all bytes are written or, with a descriptor in non-blocking mode, the reader takes no more.
///
/// SIGPIPE is blocked in the calling thread meanwhile, and one that the write caused is consumed: the process's own
/// disposition for it stays as it is, and so does that of programs it starts.
/// - Returns: how many bytes were written.
/// - Throws: `agentGone` when nobody reads any more.
func writeAvailable(_ descriptor: CInt, _ bytes: RawSpan) throws(PluginError) -> Int {
    var pipeSignal = sigset_t()
    unsafe sigemptyset(&pipeSignal)
    unsafe sigaddset(&pipeSignal, SIGPIPE)
    var pending = sigset_t()
    unsafe sigpending(&pending)
    let wasPending = unsafe sigismember(&pending, SIGPIPE) == 1
    var previousMask = sigset_t()
    unsafe pthread_sigmask(SIG_BLOCK, &pipeSignal, &previousMask)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &previousMask, nil) }

    var written = 0
    while written < bytes.byteCount {
        let count = unsafe bytes.extracting(droppingFirst: written).withUnsafeBytes { (rest) in
            unsafe write(descriptor, rest.baseAddress, rest.count)
        }
        if count >= 0 {
            written += count
            continue
        }
        let code = errno
        switch code {
        case EINTR:
            continue
        case EAGAIN:
            return written
        case EPIPE:
            if !wasPending {
                var noWait = timespec()
                unsafe sigtimedwait(&pipeSignal, nil, &noWait)
            }
            throw .agentGone
        default:
            throw .system(.write, errno: code)
        }
    }
    return written
}
