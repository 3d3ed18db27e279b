// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Refuses a descriptor that cannot be an end of one of the contract's pipes. Changes nothing.
func checkDescriptor(_ descriptor: CInt, isReadable: Bool) throws(PluginError) {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0 else {
        if errno == EBADF { throw .descriptorNotOpen(descriptor) }
        throw .system(.fcntl, errno: errno)
    }
    var status = stat()
    let kind = unsafe fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0
    let access = flags & O_ACCMODE
    let isRightWay = access == O_RDWR || access == (isReadable ? O_RDONLY : O_WRONLY)
    guard kind == S_IFIFO || kind == S_IFSOCK, isRightWay else { throw .descriptorUnusable(descriptor) }
}

/// Keeps the descriptor from the plugin's own children: a child that holds it would hide the plugin's end.
func setCloseOnExec(_ descriptor: CInt) {
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
}

/// Waits until the descriptor is ready for `events`, has an error, or `deadline` has passed.
/// - Returns: false when the deadline has passed.
func waitUntilReady(_ descriptor: CInt, for events: Int32, until deadline: MonotonicTime?) throws(PluginError) -> Bool {
    while true {
        var entry = pollfd(fd: descriptor, events: CShort(events), revents: 0)
        let timeout = deadline?.millisecondsFromNow() ?? -1
        let count = unsafe poll(&entry, 1, timeout)
        if count > 0 { return true }
        if count < 0, errno != EINTR { throw .system(.poll, errno: errno) }
        if let deadline, MonotonicTime.now >= deadline { return false }
    }
}

/// Writes all bytes, waiting for the reader as long as it takes.
///
/// SIGPIPE is blocked in the calling thread meanwhile, and one that the write caused is consumed: the process's own
/// disposition for it stays as it is, and so does that of programs it starts.
/// - Throws: `agentGone` when nobody reads any more.
func writeAll(_ descriptor: CInt, _ bytes: RawSpan) throws(PluginError) {
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
            _ = try waitUntilReady(descriptor, for: POLLOUT, until: nil)
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
}
