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
        var step: UnsafePointer<CChar>?
        let pid = unsafe withCStrings(["elkeid-agent", argument]) { argv in
            unsafe program.withCString { path in
                unsafe descriptors.withUnsafeBufferPointer { fds in
                    var spec = unsafe CLinux_spawn()
                    unsafe spec.path = path
                    unsafe spec.argv = argv
                    unsafe spec.envp = UnsafePointer(environ)
                    unsafe spec.fds = fds.baseAddress
                    unsafe spec.fd_count = CInt(fds.count)
                    unsafe spec.nofile_soft = UInt64(limit.rlim_cur)
                    unsafe spec.nofile_hard = UInt64(limit.rlim_max)
                    unsafe spec.new_group = 1
                    unsafe spec.parent_death_signal = endsWithUs ? SIGKILL : 0
                    return unsafe CLinux_spawn_process(&spec, &step)
                }
            }
        }
        if pid < 0 { throw Errno.current }
        return SelfProcess(pid: pid, socket: consume ours)
    }
}
