// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

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
        var failedStep = ""
        do throws(Errno) {
            let input = try FileDescriptor.open("/dev/null", .read)
            let output = try FileDescriptor.open(log, .append)
            let standard = [input.rawValue, output.rawValue, output.rawValue]
            let count = max(standard.count, (descriptors.keys.max() ?? 0) + 1)
            let descriptors = (0..<count).map { index in
                descriptors[index] ?? (index < standard.count ? standard[index] : input.rawValue)
            }
            var spawn = Spawn(path, arguments, environment: environment, descriptors: descriptors)
            spawn.directory = directory
            spawn.family = .ownGroup
            spawn.parentDeathSignal = SIGTERM
            do throws(Spawn.Failure) { pid = try spawn.start() } catch {
                failedStep = "\(error.step): "
                throw error.errno
            }
        } catch {
            throw CenterError("\(path): \(failedStep)\(error)")
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

    /// Sends a signal, if it still runs.
    public func signal(_ number: CInt) {
        if status == nil { _ = kill(pid, number) }
    }
}
