// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// A socket with a path in the file system (unix(7)).
public enum LocalSocket {
    /// Listens at `path` as a file that only its owner can connect to. A file that nobody listens at any more, which a
    /// killed process left, is replaced.
    ///
    /// - Throws: `Errno`; EADDRINUSE when somebody listens there.
    public static func listen(at path: String) throws(Errno) -> FileDescriptor {
        var raw = unsafe CLinux_local_listen(path, 0o600)
        if raw < 0, errno == EADDRINUSE, isAbandoned(path) {
            unsafe _ = unlink(path)
            raw = unsafe CLinux_local_listen(path, 0o600)
        }
        if raw < 0 { throw Errno.current }
        return FileDescriptor(owning: raw)
    }

    /// Only a socket may be taken away: the path may have been mistaken.
    private static func isAbandoned(_ path: String) -> Bool {
        defer { errno = EADDRINUSE }
        var status = stat()
        guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return false }
        let raw = unsafe CLinux_local_connect(path, 100)
        if raw >= 0 {
            _ = close(raw)
            return false
        }
        return errno == ECONNREFUSED
    }

    /// Connects, and gives up after `milliseconds`, as all reading and writing then does (`Errno.again`). The descriptor
    /// blocks.
    public static func connect(to path: String, milliseconds: Int) throws(Errno) -> FileDescriptor {
        let raw = unsafe CLinux_local_connect(path, UInt32(clamping: milliseconds))
        if raw < 0 { throw Errno.current }
        return FileDescriptor(owning: raw)
    }
}

extension FileDescriptor {
    /// The user at the other end of a local socket.
    public func peerUser() throws(Errno) -> UInt32 {
        var user: uid_t = 0
        if unsafe CLinux_peer_user(rawValue, &user) != 0 { throw Errno.current }
        return user
    }

    /// Waits for input, or an end, at most for so long; false when there was none.
    public func waitReadable(milliseconds: Int) -> Bool {
        CLinux_wait_readable(rawValue, CInt(clamping: milliseconds)) > 0
    }

    /// Locks the whole file for this process, as long as it lives and closes no descriptor of this file; false when
    /// another has it. Unlike a lock by `tryLock`, it tells everybody who has it: `lockHolder(_:)`.
    public func tryOwn() throws(Errno) -> Bool {
        if CLinux_lock(rawValue) == 0 { return true }
        guard errno == EAGAIN || errno == EACCES else { throw Errno.current }
        return false
    }

    /// The process that owns a file by `tryOwn`; nil when none does. The kernel says so, not the file: a pid that was
    /// given to another process meanwhile is no concern. Not for the owner itself, which would lose the lock by asking.
    public static func lockHolder(_ path: String) throws(Errno) -> Int32? {
        let pid = unsafe CLinux_lock_holder(path)
        if pid < 0 { throw Errno.current }
        return pid == 0 ? nil : pid
    }
}
