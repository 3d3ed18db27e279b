// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
public import Reactor
import Syscalls

/// A program that we started and answer for.
public final class ChildProcess {
    public let pid: Int32
    /// Nil while it runs.
    public private(set) var status: ExitStatus?

    /// Starts `arguments[0]`, an absolute path, with its output in the file `log`. It gets SIGTERM should we end without
    /// having stopped it, and is in a process group of its own, so that Ctrl-C reaches us alone.
    ///
    /// - Parameter descriptors: its descriptors 0, 3, 4, …; /dev/null where there is none. They stay the caller's.
    public init(
        _ arguments: [String],
        environment: [String],
        directory: String,
        log: String,
        descriptors: [Int: CInt] = [:],
        watcher: ChildWatcher,
        onExit: @escaping (ExitStatus) -> Void
    ) throws(CenterError) {
        let path = arguments.first ?? ""
        var step: String?
        do throws(Errno) {
            let input = try FileDescriptor.open("/dev/null", .read)
            let output = try FileDescriptor.open(log, .append)
            let standard = [input.rawValue, output.rawValue, output.rawValue]
            let count = max(standard.count, (descriptors.keys.max() ?? 0) + 1)
            let descriptors = (0..<count).map { index in
                descriptors[index] ?? (index < standard.count ? standard[index] : input.rawValue)
            }
            pid = try Self.spawn(arguments, environment, directory, descriptors, &step)
        } catch {
            throw CenterError("\(path): \(step.map { "\($0): " } ?? "")\(error)")
        }
        do throws(Errno) {
            try watcher.watch(pid) { [weak self] status in
                self?.status = status
                onExit(status)
            }
        } catch {
            _ = kill(pid, SIGKILL)
            throw CenterError("\(path) cannot be watched: \(error)")
        }
    }

    private static func spawn(
        _ arguments: [String],
        _ environment: [String],
        _ directory: String,
        _ descriptors: [CInt],
        _ step: inout String?
    ) throws(Errno) -> Int32 {
        var failed: UnsafePointer<CChar>?
        let pid = unsafe CStrings.with(arguments) { argv in
            unsafe CStrings.with(environment) { envp in
                unsafe descriptors.withUnsafeBufferPointer { fds in
                    unsafe directory.withCString { directory in
                        var spec = unsafe CLinux_spawn()
                        unsafe spec.path = argv[0].map { unsafe UnsafePointer($0) }
                        unsafe spec.argv = UnsafePointer(argv)
                        unsafe spec.envp = UnsafePointer(envp)
                        unsafe spec.directory = directory
                        unsafe spec.fds = fds.baseAddress
                        unsafe spec.fd_count = CInt(fds.count)
                        unsafe spec.new_group = 1
                        unsafe spec.parent_death_signal = SIGTERM
                        return unsafe CLinux_spawn_process(&spec, &failed)
                    }
                }
            }
        }
        if pid < 0 {
            let error = Errno.current
            step = unsafe failed.map { unsafe String(cString: $0) }
            throw error
        }
        return pid
    }

    /// Sends a signal, if it still runs.
    public func signal(_ number: CInt) {
        if status == nil { _ = kill(pid, number) }
    }
}

/// A NULL-terminated list of C strings for the duration of a call.
@safe
private enum CStrings {
    static func with<R>(
        _ strings: [String],
        _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) -> R {
        let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: strings.count + 1)
        for (index, string) in strings.enumerated() { unsafe (list + index).initialize(to: strdup(string)) }
        unsafe (list + strings.count).initialize(to: nil)
        defer {
            for index in strings.indices { unsafe free(list[index]) }
            unsafe list.deallocate()
        }
        return unsafe body(list)
    }
}
