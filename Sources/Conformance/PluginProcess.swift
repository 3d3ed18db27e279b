// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Reactor
import Syscalls

/// A plugin that was started as the agent starts it, and our ends of its pipes.
final class PluginProcess {
    /// What is different from start to start.
    struct Wishes {
        enum HighPriority { case none, pipeOnly, offered }
        /// `pipeOnly`: descriptor 5 is there, but the environment does not say so.
        var highPriority = HighPriority.none
        /// Of the record pipe, in bytes; nil: the kernel's.
        var pipeSize: Int?
        /// Standard output is a file rather than /dev/null.
        var capturesOutput = false
    }

    static let tokenPrefix = "conformance-"
    /// How long the pipes are read on after the process has ended.
    private static let drainLimit = 1.0

    let pid: Int32
    let startedAt: MonotonicTime
    let records: RecordIntake
    let urgent: RecordIntake?
    let output: CapturedOutput?
    let errors: CapturedOutput
    /// Writing end of descriptor 3.
    private var tasks: FileDescriptor?
    private var unsent: [UInt8] = []
    /// The plugin has closed its end of descriptor 3.
    private(set) var refusesTasks = false

    private var exitEvent: FileDescriptor?
    private let interruption: Interruption?
    /// Nil while it runs.
    private(set) var status: ExitStatus?
    private(set) var endedAt: MonotonicTime?
    /// Processes that were still in its group when it had ended.
    private(set) var leftovers = 0
    /// Somebody outside of the group has the record pipe open after its end.
    private(set) var isHeldOpen = false
    /// Of the ended process.
    private(set) var processorSeconds = 0.0
    private(set) var residentPeak = 0

    init(
        _ place: PluginPlace,
        detail: String,
        wishes: Wishes,
        interruption: Interruption?
    ) throws(ConformanceError) {
        self.interruption = interruption
        errors = try CapturedOutput()
        output = wishes.capturesOutput ? try CapturedOutput() : nil
        do throws(Errno) {
            let null = try FileDescriptor.open("/dev/null", .readWrite)
            var taskPipe = try Pipe(nonBlockingWrite: true)
            var recordPipe = try Pipe(nonBlockingRead: true)
            var urgentPipe = try Pipe(nonBlockingRead: true)
            guard let taskEnd = taskPipe.read.take(), let recordEnd = recordPipe.write.take(),
                let urgentEnd = urgentPipe.write.take(), let ourRecords = recordPipe.read.take(),
                let ourUrgent = urgentPipe.read.take()
            else { throw Errno.again }
            if let size = wishes.pipeSize { ourRecords.growPipe(to: size) }
            var descriptors = [
                null.rawValue, output?.descriptor.rawValue ?? null.rawValue, errors.descriptor.rawValue,
                taskEnd.rawValue, recordEnd.rawValue,
            ]
            if wishes.highPriority != .none { descriptors.append(urgentEnd.rawValue) }
            let environment = Self.environment(place, detail, isOffered: wishes.highPriority == .offered)
            var spawn = Spawn(place.program, [place.program], environment: environment, descriptors: descriptors)
            spawn.directory = place.folder
            spawn.family = .ownGroup
            // Should this program be killed, nobody else would end it.
            spawn.parentDeathSignal = SIGKILL
            startedAt = MonotonicTime.now()
            do throws(Spawn.Failure) { pid = try spawn.start() } catch {
                throw error.errno
            }
            tasks = taskPipe.write.take()
            records = RecordIntake(ourRecords)
            urgent = wishes.highPriority == .none ? nil : RecordIntake(ourUrgent)
            let event = CLinux_pidfd_open(pid)
            exitEvent = event >= 0 ? FileDescriptor(owning: event) : nil
        } catch {
            throw .launch("\(place.program) cannot be started: \(error)")
        }
    }

    private static func environment(_ place: PluginPlace, _ detail: String, isOffered: Bool) -> [String] {
        let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
        let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        var result = ["PATH=\(path.isEmpty ? usual : path)", "PWD=\(place.folder)"]
        if !detail.isEmpty { result.append("DETAIL=\(detail)") }
        if isOffered { result.append("ELKEID_PLUGIN_HIGH_PRIORITY_PIPE=1") }
        return result
    }

    /// Since its start.
    var age: Double { (MonotonicTime.now() - startedAt).seconds }
    /// It has ended, and nothing can come any more.
    var isOver: Bool { status != nil }
    var figures: ProcessFigures? { status == nil ? ProcessFigures(pid) : nil }
    /// Of frames that are not complete.
    var pending: Int { records.stream.pending + (urgent?.stream.pending ?? 0) }
    var recordCount: Int { records.tally.records + (urgent?.tally.records ?? 0) }

    func answer(_ token: String) -> MonotonicTime? { records.answers[token] ?? urgent?.answers[token] }

    // MARK: Tasks

    /// Bytes that the plugin has not taken from descriptor 3.
    var unreadTaskBytes: Int { tasks == nil ? 0 : unsent.count + unreadBytes(tasks?.rawValue ?? -1) }

    /// Writes to descriptor 3; what the pipe does not take is written by `pump`.
    func send(_ bytes: [UInt8]) {
        unsent += bytes
        writeTasks()
    }

    private func writeTasks() {
        guard let raw = tasks?.rawValue, !unsent.isEmpty else { return }
        let count = unsafe unsent.withUnsafeBytes { unsafe write(raw, $0.baseAddress, $0.count) }
        if count > 0 {
            unsent.removeFirst(count)
        } else if errno != EAGAIN && errno != EINTR {
            refusesTasks = true
            unsent = []
        }
    }

    func closeTasks() { tasks = nil }

    func closeRecords() {
        records.descriptor = nil
        urgent?.descriptor = nil
    }

    /// To the whole group, as the agent and systemd do.
    func signal(_ number: CInt) {
        if status == nil { _ = kill(-pid, number) }
    }

    // MARK: Waiting

    /// Carries bytes for that long, or until `condition` holds or the plugin has ended.
    ///
    /// - Returns: whether the condition holds.
    @discardableResult
    func pump(_ seconds: Double, until condition: () -> Bool = { false }) throws(ConformanceError) -> Bool {
        let deadline = MonotonicTime.now() + TimeSpan(nanoseconds: Int64(seconds * 1e9))
        while true {
            if condition() { return true }
            let left = (deadline - MonotonicTime.now()).seconds
            guard left > 0, !isOver else { return false }
            try turn(left)
        }
    }

    private func turn(_ seconds: Double) throws(ConformanceError) {
        var events: [pollfd] = []
        func watch(_ descriptor: CInt?, _ wanted: CInt) {
            events.append(pollfd(fd: descriptor ?? -1, events: Int16(wanted), revents: 0))
        }
        watch(interruption?.descriptor.rawValue, POLLIN)
        watch(exitEvent?.rawValue, POLLIN)
        watch(records.isPaused ? nil : records.descriptor?.rawValue, POLLIN)
        watch(urgent?.isPaused ?? true ? nil : urgent?.descriptor?.rawValue, POLLIN)
        watch(unsent.isEmpty ? nil : tasks?.rawValue, POLLOUT)
        // Without pidfd_open(2) the process is looked at now and then.
        let limit = exitEvent == nil ? min(seconds, 0.02) : seconds
        let result = unsafe poll(&events, nfds_t(events.count), CInt(max(1, (limit * 1000).rounded(.up))))
        if result < 0 && errno != EINTR { throw .system("poll: \(Errno.current)") }
        if let signal = interruption?.take() { throw .interrupted(signal) }
        if result > 0 {
            if events[4].revents != 0 { writeTasks() }
            if events[2].revents != 0 { _ = records.readOnce() }
            if events[3].revents != 0 { _ = urgent?.readOnce() }
        }
        if exitEvent == nil ? StatLine.hasEnded(pid) : result > 0 && events[1].revents != 0 { try settle() }
    }

    /// The process has ended: looks at what it leaves, and reads the pipes to their end.
    private func settle() throws(ConformanceError) {
        endedAt = MonotonicTime.now()
        // As long as it is not reaped nobody else can have the number of its group.
        leftovers = ProcessFigures.members(ofGroup: pid).filter { $0 != pid && !StatLine.hasEnded($0) }.count
        _ = kill(-pid, SIGKILL)
        reap()
        let limit = MonotonicTime.now() + TimeSpan(nanoseconds: Int64(Self.drainLimit * 1e9))
        for intake in [records, urgent].compactMap(\.self) {
            while intake.descriptor != nil {
                if intake.readOnce() { continue }
                guard intake.descriptor != nil else { break }
                guard MonotonicTime.now() < limit else {
                    isHeldOpen = true
                    break
                }
                if let signal = interruption?.take() { throw .interrupted(signal) }
                var wanted = pollfd(fd: intake.descriptor?.rawValue ?? -1, events: Int16(POLLIN), revents: 0)
                _ = unsafe poll(&wanted, 1, 20)
            }
        }
    }

    private func reap() {
        var raw: CInt = 0
        var usage = rusage()
        while unsafe wait4(pid, &raw, 0, &usage) < 0 && errno == EINTR {}
        let signal = raw & 0x7f
        status = signal == 0 ? .exited(code: raw >> 8 & 0xff) : .signalled(signal)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        processorSeconds = seconds(usage.ru_utime) + seconds(usage.ru_stime)
        // Before it executes its program a child counts as large as this process is: what is not more says nothing.
        var own = rusage()
        unsafe getrusage(RUSAGE_SELF.rawValue, &own)
        residentPeak = usage.ru_maxrss > own.ru_maxrss ? Int(usage.ru_maxrss) * 1024 : 0
    }

    /// Ends the whole group, however it is.
    func end() {
        guard status == nil else { return }
        _ = kill(-pid, SIGKILL)
        reap()
    }
}
