// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// An error number of the kernel, with the text of strerror_r(3).
public struct Errno: Error, Equatable, Hashable, Sendable, RawRepresentable, CustomStringConvertible {
    public let rawValue: CInt

    public init(rawValue: CInt) { self.rawValue = rawValue }

    /// The calling thread's `errno`; read it at once after the call that failed.
    public static var current: Errno { Errno(rawValue: errno) }

    public static let accessDenied = Errno(rawValue: EACCES)
    public static let addressInUse = Errno(rawValue: EADDRINUSE)
    public static let again = Errno(rawValue: EAGAIN)
    public static let exists = Errno(rawValue: EEXIST)
    public static let inProgress = Errno(rawValue: EINPROGRESS)
    public static let notFound = Errno(rawValue: ENOENT)
    public static let notImplemented = Errno(rawValue: ENOSYS)
    public static let notPermitted = Errno(rawValue: EPERM)
    public static let brokenPipe = Errno(rawValue: EPIPE)
    public static let noSuchProcess = Errno(rawValue: ESRCH)
    public static let tooLarge = Errno(rawValue: EFBIG)
    public static let timedOut = Errno(rawValue: ETIMEDOUT)
    public static let connectionReset = Errno(rawValue: ECONNRESET)

    public var description: String {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            guard let base = buffer.baseAddress, unsafe strerror_r(rawValue, base, 128) == 0 else {
                return "error \(rawValue)"
            }
            return unsafe String(cString: base)
        }
    }
}

/// What a non-blocking read or write did. Would-block is a value, not an error: it is the ordinary end of a burst.
public enum IOResult: Equatable, Sendable {
    /// Bytes moved; 0 from a read means end of file.
    case bytes(Int)
    case wouldBlock
    case failed(Errno)
}

/// Runs a system call until it is not interrupted (EINTR), and gives its result or its error.
@inline(always)
func retrying<T: FixedWidthInteger>(_ call: () -> T) -> Result<T, Errno> {
    while true {
        let result = call()
        if result != -1 { return .success(result) }
        let error = Errno.current
        if error.rawValue == EINTR { continue }
        // These two mean that this program passed a wrong descriptor or pointer: a bug, not an event.
        precondition(error.rawValue != EBADF && error.rawValue != EFAULT, "system call misused: \(error)")
        return .failure(error)
    }
}

@inline(always)
func transfer(_ call: () -> Int) -> IOResult {
    switch retrying(call) {
    case .success(let count): return .bytes(count)
    case .failure(let error):
        return error.rawValue == EAGAIN || error.rawValue == EWOULDBLOCK ? .wouldBlock : .failed(error)
    }
}
