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

func isOpen(_ descriptor: CInt) -> Bool {
    fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF
}

/// Keeps the descriptor from the plugin's own children: a child that holds it would hide the plugin's end.
func setCloseOnExec(_ descriptor: CInt) {
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
}

func setNonBlocking(_ descriptor: CInt) throws(PluginError) {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 else {
        throw .system(.fcntl, errno: errno)
    }
}

/// Whether the environment variable is set and not empty.
func isSet(environmentVariable name: String) -> Bool {
    unsafe getenv(name).map { unsafe $0.pointee != 0 } ?? false
}

/// What a wait for a descriptor ended with.
enum Readiness {
    case ready
    case latched
    case timedOut
}

/// Waits until the descriptor is ready for `events` or has an error, the latch is set, or `deadline` has passed.
func waitUntilReady(
    _ descriptor: CInt,
    for events: Int32,
    or latch: Latch? = nil,
    until deadline: MonotonicTime? = nil
) throws(PluginError) -> Readiness {
    while true {
        // `poll` passes over a descriptor of -1.
        var entries: [2 of pollfd] = [
            pollfd(fd: descriptor, events: CShort(events), revents: 0),
            pollfd(fd: latch?.reader ?? -1, events: CShort(POLLIN), revents: 0),
        ]
        let timeout = deadline?.millisecondsFromNow() ?? -1
        var span = entries.mutableSpan
        let count = unsafe span.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, 2, timeout) }
        if count > 0 { return span[1].revents != 0 ? .latched : .ready }
        if count < 0, errno != EINTR { throw .system(.poll, errno: errno) }
        if let deadline, MonotonicTime.now >= deadline { return .timedOut }
    }
}
