// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
public import Cgroups
import Glibc
public import Syscalls

/// A program whose checksum was found to be right, and which file that was. The same file is started, or none.
public struct VerifiedProgram: Equatable, Sendable {
    public var file: FileIdentity
    public init(file: FileIdentity) { self.file = file }
}

/// The agent's own limits and environment, as children get them.
public struct ChildDefaults: Sendable {
    /// RLIMIT_NOFILE as the agent found it.
    public var softFiles: UInt64
    public var hardFiles: UInt64
    /// "NAME=value".
    public var environment: [String]

    /// Raises the agent's own soft limit of open files to the hard one, and remembers what it was.
    public init(environment: [String]) {
        softFiles = 0
        hardFiles = 0
        self.environment = environment
        // Where it cannot be raised the agent lives with what it has; the values are filled in all the same.
        _ = unsafe CLinux_raise_nofile(&softFiles, &hardFiles)
    }
}

/// Why a plugin did not start.
public struct LaunchError: Error, Equatable, Sendable, CustomStringConvertible {
    /// As CLinux calls the step.
    static let enteringGroup = "entering its cgroup"
    public let step: String
    public let path: String
    public let errno: Errno
    /// Is the program to blame, or a passing shortage of the host?
    public var isProgramsFault: Bool {
        step == "execve" && [ENOEXEC, ENOENT, EACCES, EINVAL, ELIBBAD, ENOTDIR, EPERM].contains(errno.rawValue)
    }
    /// The file is not the one whose checksum was right.
    public var isProgramChanged: Bool { errno.rawValue == ESTALE }
    public var description: String { isProgramChanged ? "\(path): \(step)" : "\(path): \(step): \(errno)" }
}

/// A started plugin: its process, and our ends of its pipes.
public struct LaunchedProcess: ~Copyable {
    public let pid: Int32
    /// Tells whether the program is executed, when that was not waited for: at its end, or with what failed.
    public var outcome: FileDescriptor?
    public var tasks: FileDescriptor?
    public var records: FileDescriptor?
    public var urgentRecords: FileDescriptor?
    /// Limits that are not in effect, and why.
    public var limitProblems: [String] = []
}

/// How a plugin is started, as its libraries expect it (the contract of the original agent).
public struct ProcessLaunch {
    public var name: String
    /// Holds the program, `<directory>/<name>`, and is its working directory.
    public var directory: String
    /// What the server's configuration says in `detail`; empty: no DETAIL.
    public var detail: String
    public var offersUrgentPipe: Bool
    public var defaults: ChildDefaults
    /// What the program must be, whatever has been put in its place meanwhile.
    public var verified: VerifiedProgram
    /// The cgroup that it runs in; nil: the agent's.
    public var group: PluginGroup?
    /// A plugin that is not limited is better than none: set to false when its cgroup cannot be entered.
    public var isConfined = true

    public init(
        name: String,
        directory: String,
        detail: String,
        offersUrgentPipe: Bool,
        defaults: ChildDefaults,
        verified: VerifiedProgram,
        group: PluginGroup? = nil
    ) {
        self.name = name
        self.directory = directory
        self.detail = detail
        self.offersUrgentPipe = offersUrgentPipe
        self.defaults = defaults
        self.verified = verified
        self.group = group
    }

    var standardError: StandardErrorFile { StandardErrorFile(path: "\(directory)/\(name).stderr") }

    public var program: String { "\(directory)/\(name)" }

    /// Environment of the child: the agent's, so that PATH is there, and what belongs to this plugin.
    var environment: [String] {
        let own = ["DETAIL=", "ELKEID_PLUGIN_HIGH_PRIORITY_PIPE=", "PWD=", "\(Orphan.variable)="]
        var result = defaults.environment.filter { entry in !own.contains { entry.hasPrefix($0) } }
        if !result.contains(where: { $0.hasPrefix("PATH=") }) {
            result.append("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        }
        result.append("PWD=\(directory)")
        result.append("\(Orphan.variable)=\(directory)")
        if !detail.isEmpty { result.append("DETAIL=\(detail)") }
        if offersUrgentPipe { result.append("ELKEID_PLUGIN_HIGH_PRIORITY_PIPE=1") }
        return result
    }

    /// Starts the process. The file is looked at before execve(2), in the child, and once more behind it: what is the same both
    /// times, down to its time of change, is what was executed. (To execute the descriptor that was hashed would be
    /// simpler, and give the process a number for its name in ps(1) and the kernel's messages: before Linux 6.14 that is
    /// taken from the path.) The second look is the caller's: `isProgramChanged`, once it is executed.
    ///
    /// Descriptors 0 and 1 are /dev/null, 2 is `<name>.stderr` (emptied first), 3 the task pipe,
    /// 4 the record pipe, 5 the urgent one if offered, and no other is open.
    public func start() throws(LaunchError) -> LaunchedProcess {
        let stderrPath = standardError.path
        for old in [stderrPath, "\(directory)/\(name).stdout"] { unsafe _ = unlink(old) }
        let ends: Ends
        do throws(Errno) {
            ends = try Ends(stderrPath: stderrPath, urgent: offersUrgentPipe)
        } catch {
            throw LaunchError(step: "preparing the pipes and \(stderrPath)", path: program, errno: error)
        }
        var problems: [String] = []
        var entrances: PluginGroup.Entrances?
        if let group, isConfined {
            do throws(Errno) { (entrances, problems) = try group.open() } catch {
                problems = ["its cgroup cannot be made: \(error)"]
            }
        }
        let (pid, outcome) = try spawn(ends.childDescriptors, entrances?.descriptors ?? [])
        withExtendedLifetime(entrances) {}
        return LaunchedProcess(
            pid: pid,
            outcome: outcome?.take(),
            tasks: ends.ours[0].take(),
            records: ends.ours[1].take(),
            urgentRecords: ends.ours[2].take(),
            limitProblems: problems
        )
    }

    private func spawn(_ descriptors: [CInt], _ cgroups: [CInt]) throws(LaunchError) -> (Int32, Spawn.Outcome?) {
        var spawn = Spawn(program, [program], environment: environment, descriptors: descriptors)
        spawn.directory = directory
        spawn.openFiles = (defaults.softFiles, defaults.hardFiles)
        spawn.family = .ownGroup
        spawn.identity = verified.file
        spawn.cgroups = cgroups
        do throws(Spawn.Failure) {
            return cgroups.isEmpty ? (try spawn.start(), nil) : try spawn.startUnawaited()
        } catch {
            throw LaunchError(step: error.step, path: program, errno: error.errno)
        }
    }

    /// May the file that was executed not be the one that was checked? It was changed or replaced meanwhile.
    public var isProgramChanged: Bool { FileIdentity(program) != verified.file }

    /// What `outcome` says, once it is readable: nil when the program is executed.
    ///
    /// - Throws: what failed, of the child's.
    public func check(_ outcome: borrowing FileDescriptor) throws(LaunchError) {
        do throws(Spawn.Failure) { try Spawn.check(outcome) } catch {
            throw LaunchError(step: error.step, path: program, errno: error.errno)
        }
    }

    /// Everything that must be open for a start. The child's ends are closed with this object, ours are taken.
    private final class Ends {
        /// Task pipe, record pipe, urgent pipe.
        var ours: [3 of FileDescriptor?] = [nil, nil, nil]
        /// What becomes descriptor 0, 1, 2, … of the child.
        private(set) var childDescriptors: [CInt] = []

        init(stderrPath: String, urgent: Bool) throws(Errno) {
            keep(try FileDescriptor.open("/dev/null", .readWrite))
            childDescriptors.append(childDescriptors[0])
            // Appending, so that a file that has grown too large can be emptied under the plugin's hands.
            keep(try FileDescriptor.open(stderrPath, .append))
            var tasks = try Pipe(nonBlockingWrite: true)
            keep(tasks.read.take())
            ours[0] = tasks.write.take()
            var records = try Pipe(nonBlockingRead: true)
            keep(records.write.take())
            ours[1] = records.read.take()
            guard urgent else { return }
            var urgentRecords = try Pipe(nonBlockingRead: true)
            keep(urgentRecords.write.take())
            ours[2] = urgentRecords.read.take()
        }

        private func keep(_ descriptor: consuming FileDescriptor?) {
            if let raw = descriptor?.release() { childDescriptors.append(raw) }
        }

        deinit {
            for raw in Set(childDescriptors) { _ = FileDescriptor(owning: raw) }
        }
    }
}
