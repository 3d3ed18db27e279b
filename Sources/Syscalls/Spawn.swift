// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// What a child process is to be, with an empty signal mask, default dispositions, umask 022 and no descriptor that is
/// not named.
public struct Spawn: Sendable {
    /// Absolute.
    public var path: String
    /// With the name that the program is called by, the first.
    public var arguments: [String]
    /// "NAME=value" each.
    public var environment: [String]
    /// Its working directory; nil: ours.
    public var directory: String?
    /// `descriptors[i]` becomes its descriptor i; -1 leaves i closed.
    public var descriptors: [CInt]
    /// RLIMIT_NOFILE; nil: ours.
    public var openFiles: (soft: UInt64, hard: UInt64)?
    public var family = Family.ours
    /// Sent to it when this process ends (PR_SET_PDEATHSIG of prctl(2)); 0: nothing is.
    public var parentDeathSignal: CInt = 0
    /// Open `cgroup.procs` files of the cgroups that it enters before it executes the program.
    public var cgroups: [CInt] = []
    /// What `path` must still be.
    public var identity: FileIdentity?

    /// Whom it gets signals with.
    public enum Family: Sendable { case ours, ownGroup, ownSession }

    /// Which step of the child's failed: "execve", "chdir", …
    public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
        public let step: String
        public let errno: Errno
        public var description: String { "\(step): \(errno)" }
    }

    public init(_ path: String, _ arguments: [String], environment: [String], descriptors: [CInt]) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.descriptors = descriptors
    }

    /// Starts it, and waits until it has executed the program or failed to.
    ///
    /// - Returns: its pid.
    public func start() throws(Failure) -> Int32 { try start(report: 0) }

    /// Starts it, and does not wait: entering a cgroup takes longer than a loop may stand still.
    ///
    /// - Returns: its pid, and what becomes readable when there is an outcome, for `outcome(of:)`.
    public func startUnawaited() throws(Failure) -> (pid: Int32, outcome: Outcome) {
        do throws(Errno) {
            var pipe = try Pipe(nonBlockingRead: true)
            guard let read = pipe.read.take(), let write = pipe.write.take() else { throw Errno.again }
            let outcome = Outcome(read)
            let pid: Int32
            do throws(Failure) { pid = try start(report: write.rawValue) } catch { throw error.errno }
            return (pid, outcome)
        } catch {
            throw Failure(step: "fork", errno: error)
        }
    }

    private func start(report: CInt) throws(Failure) -> Int32 {
        var failedStep: UnsafePointer<CChar>?
        var kernelForm = identity?.kernelForm ?? CLinux_file()
        let pid = unsafe withCStrings(arguments) { argv in
            unsafe withCStrings(environment) { envp in
                // A list of one: its string lives as long.
                unsafe withCStrings([path, directory ?? ""]) { paths in
                    unsafe withUnsafePointer(to: &kernelForm) { identity in
                        unsafe descriptors.withUnsafeBufferPointer { descriptors in
                            unsafe cgroups.withUnsafeBufferPointer { cgroups in
                                var spec = unsafe CLinux_spawn()
                                unsafe spec.argv = argv
                                unsafe spec.envp = envp
                                if let paths = unsafe paths {
                                    unsafe spec.path = UnsafePointer(paths[0])
                                    unsafe spec.directory = directory == nil ? nil : UnsafePointer(paths[1])
                                }
                                unsafe spec.fds = descriptors.baseAddress
                                unsafe spec.fd_count = CInt(descriptors.count)
                                unsafe spec.nofile_soft = openFiles?.soft ?? 0
                                unsafe spec.nofile_hard = openFiles?.hard ?? 0
                                unsafe spec.new_group = family == .ownGroup ? 1 : 0
                                unsafe spec.new_session = family == .ownSession ? 1 : 0
                                unsafe spec.parent_death_signal = parentDeathSignal
                                unsafe spec.cgroups = cgroups.baseAddress
                                unsafe spec.cgroup_count = CInt(cgroups.count)
                                unsafe spec.report = report
                                unsafe spec.identity = self.identity == nil ? nil : identity
                                return unsafe CLinux_spawn_process(&spec, &failedStep)
                            }
                        }
                    }
                }
            }
        }
        if pid > 0 { return pid }
        let error = Errno.current
        throw Failure(step: unsafe failedStep.map { unsafe String(cString: $0) } ?? "spawn", errno: error)
    }

    /// How the start of a child goes that was not waited for. A class, since it is handed over in a tuple.
    public final class Outcome {
        private var owned: FileDescriptor?

        init(_ descriptor: consuming FileDescriptor) { owned = consume descriptor }

        /// Gives the descriptor to its watcher, once.
        public func take() -> FileDescriptor? { owned.take() }
    }

    /// What a readable outcome says: nothing when the program is executed.
    public static func check(_ outcome: borrowing FileDescriptor) throws(Failure) {
        var failedStep: UnsafePointer<CChar>?
        let result = unsafe CLinux_spawn_outcome(outcome.rawValue, &failedStep)
        guard result != 0 else { return }
        let error = result < 0 ? Errno.current : Errno(rawValue: result)
        throw Failure(step: unsafe failedStep.map { unsafe String(cString: $0) } ?? "reading the outcome", errno: error)
    }
}
