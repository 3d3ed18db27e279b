// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
public import Syscalls

/// This program, started again as a child with a socket to it: for what must not happen in the agent itself.
public struct SelfProcess: ~Copyable {
    /// The socket's descriptor in the child.
    public static let childDescriptor: CInt = 3
    /// This program, wherever it was started from, and even when its file was replaced meanwhile.
    public static let program = "/proc/self/exe"

    public let pid: Int32
    /// Our end, non-blocking.
    public var socket: FileDescriptor?

    /// Starts `program` with one argument. Its standard error is ours, its input and output /dev/null; it has a process
    /// group of its own.
    ///
    /// - Parameter endsWithUs: whether the kernel kills it as soon as this process has ended.
    public static func start(
        _ program: String = Self.program,
        argument: String,
        endsWithUs: Bool
    ) throws(Errno) -> SelfProcess {
        var ends: [CInt] = [-1, -1]
        if unsafe CLinux_socketpair(&ends) != 0 { throw Errno.current }
        let ours = FileDescriptor(owning: ends[0])
        let theirs = FileDescriptor(owning: ends[1])
        let null = try FileDescriptor.open("/dev/null", .readWrite)
        let descriptors = [null.rawValue, null.rawValue, 2, theirs.rawValue]
        var limit = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        var spawn = Spawn(
            program,
            ["elkeid-agent", argument],
            environment: processEnvironment(),
            descriptors: descriptors
        )
        spawn.openFiles = (UInt64(limit.rlim_cur), UInt64(limit.rlim_max))
        spawn.family = .ownGroup
        spawn.parentDeathSignal = endsWithUs ? SIGKILL : 0
        let pid: Int32
        do throws(Spawn.Failure) { pid = try spawn.start() } catch { throw error.errno }
        return SelfProcess(pid: pid, socket: consume ours)
    }
}
