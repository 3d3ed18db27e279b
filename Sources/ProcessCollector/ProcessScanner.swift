// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidPlugin
public import Glibc

/// Why the processes of this host cannot be read.
public enum ScanError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A directory or file that every sweep needs cannot be opened or read.
    case unreadable(path: String, errno: CInt)
    /// The boot time is missing in the system's stat file.
    case noBootTime(path: String)

    public var description: String {
        switch self {
        case .unreadable(let path, let code): "cannot read \(path) (errno \(code)): is /proc mounted?"
        case .noBootTime(let path): "\(path) has no line \"btime\": is it a /proc file system?"
        }
    }
}

/// Reads processes from a /proc file system, one at a time, into one reused buffer.
///
/// Works for an ordinary user too: what may not be read of other users' processes is left empty. Threads of the kernel
/// are left out, as the original collector does.
public struct ProcessScanner: ~Copyable {
    private let root: String
    private let rootDescriptor: CInt
    private let bootTime: UInt64
    private let ticksPerSecond: UInt64
    /// The collector's own pid namespace; empty when it cannot be read.
    private let ownPidNamespace: [UInt8]
    private var users: UserNames
    private var hashes = ExecutableHash()
    private var snapshot: ProcessSnapshot

    /// Bytes read at most of each kind of file. `status` holds up to 65,536 groups; what is used stands before or is
    /// given up with so many.
    private enum Limit {
        static let stat = 2 << 10
        static let status = 16 << 10
        static let cgroup = 16 << 10
        static let cmdline = 4 << 10
        static let path = 4 << 10
    }

    /// - Parameters:
    ///   - root: where the /proc file system is.
    ///   - passwd: the file with the user names, see passwd(5).
    /// - Throws: when `root` does not look like a /proc file system.
    public init(root: String = "/proc", passwd: String = "/etc/passwd") throws(ScanError) {
        let bootTime = try Self.readBootTime(root: root)
        let directory = unsafe open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw .unreadable(path: root, errno: errno) }
        let ticks = sysconf(CInt(_SC_CLK_TCK))
        var snapshot = ProcessSnapshot()
        let own = snapshot.readNamespace(at: directory, "self/ns/pid")

        self.root = root
        self.bootTime = bootTime
        rootDescriptor = directory
        ticksPerSecond = ticks > 0 ? UInt64(ticks) : 100
        ownPidNamespace = snapshot.bytes(in: own)
        users = UserNames(path: passwd)
        self.snapshot = snapshot
    }

    deinit {
        close(rootDescriptor)
    }

    /// The ids of all processes there are now, and news of the user names.
    public mutating func processIdentifiers() throws(ScanError) -> [pid_t] {
        users.update()
        guard let directory = unsafe opendir(root) else { throw .unreadable(path: root, errno: errno) }
        defer { unsafe closedir(directory) }
        var identifiers: [pid_t] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { (bytes) in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let pid = pid_t(name), pid > 0 { identifiers.append(pid) }
        }
        return identifiers
    }

    /// Reads one process.
    /// - Returns: false when it has ended, or is a thread of the kernel.
    public mutating func load(_ pid: pid_t) -> Bool {
        snapshot.removeAll()
        // All is read relative to this descriptor: once the process has ended nothing of a new one with the same id
        // can get in.
        let directory = unsafe openat(rootDescriptor, "\(pid)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return false }
        defer { close(directory) }

        let content = snapshot.readFile(at: directory, "stat", limit: Limit.stat)
        guard let stat = ProcessStat(snapshot.span, in: content), !stat.isKernelThread else { return false }
        snapshot[.pid] = snapshot.append(decimal: UInt64(pid))
        snapshot[.comm] = stat.comm
        snapshot[.state] = stat.state
        snapshot[.ppid] = stat.ppid
        snapshot[.pgid] = stat.pgid
        snapshot[.sid] = stat.sid
        let (startTime, overflow) = bootTime.addingReportingOverflow(stat.startTicks / ticksPerSecond)
        snapshot[.startTime] = overflow ? 0..<0 : snapshot.append(decimal: startTime)
        loadStatus(at: directory)
        loadCommand(at: directory)
        loadExecutable(at: directory)
        loadNamespaces(at: directory)
        let groups = snapshot.readFile(at: directory, "cgroup", limit: Limit.cgroup)
        snapshot[.containerID] = containerIdentifier(snapshot.span, in: groups) ?? 0..<0
        return true
    }

    /// The value of a field of the process loaded last.
    public func value(of field: ProcessField) -> [UInt8] {
        snapshot.bytes(in: snapshot[field])
    }

    /// Adds all fields of the process loaded last to a record.
    public func write(to record: inout FieldWriter) {
        snapshot.write(to: &record)
    }

    // MARK: Parts of a process

    private mutating func loadStatus(at directory: CInt) {
        let content = snapshot.readFile(at: directory, "status", limit: Limit.status)
        let status = ProcessStatus(snapshot.span, in: content)
        snapshot[.umask] = status.umask
        snapshot[.tcpid] = status.tracer
        snapshot[.nspid] = status.nspid
        snapshot[.nspgid] = status.nspgid
        snapshot[.nssid] = status.nssid
        let userFields: [4 of ProcessField] = [.ruid, .euid, .suid, .fsuid]
        let nameFields: [4 of ProcessField] = [.rusername, .eusername, .susername, .fsusername]
        let groupFields: [4 of ProcessField] = [.rgid, .egid, .sgid, .fsgid]
        for index in 0..<4 {
            snapshot[userFields[index]] = status.users[index]
            snapshot[groupFields[index]] = status.groups[index]
            guard let user = snapshot.span.decimal(in: status.users[index]) else { continue }
            snapshot[nameFields[index]] = snapshot.append(users.name(of: user).prefix(256))
        }
    }

    private mutating func loadCommand(at directory: CInt) {
        var command = snapshot.readFile(at: directory, "cmdline", limit: Limit.cmdline)
        if command.count == Limit.cmdline { command = snapshot.span.withoutCutCharacter(command) }
        snapshot.replace(0, by: UInt8(ascii: " "), in: command)
        snapshot[.cmdline] = snapshot.span.trimmed(command)
        snapshot[.cwd] = snapshot.readLink(at: directory, "cwd", limit: Limit.path)
    }

    private mutating func loadExecutable(at directory: CInt) {
        snapshot[.exe] = snapshot.readLink(at: directory, "exe", limit: Limit.path)
        guard !snapshot[.exe].isEmpty else { return }
        let executable = unsafe openat(directory, "exe", O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard executable >= 0 else { return }
        defer { close(executable) }
        if let hash = hashes.hash(of: executable) {
            snapshot[.exeHash] = snapshot.append(hexDigits(hash, count: 16))
        }
    }

    private mutating func loadNamespaces(at directory: CInt) {
        snapshot[.cgroupNamespace] = snapshot.readNamespace(at: directory, "ns/cgroup")
        snapshot[.ipcNamespace] = snapshot.readNamespace(at: directory, "ns/ipc")
        snapshot[.mountNamespace] = snapshot.readNamespace(at: directory, "ns/mnt")
        snapshot[.networkNamespace] = snapshot.readNamespace(at: directory, "ns/net")
        snapshot[.pidNamespace] = snapshot.readNamespace(at: directory, "ns/pid")
        snapshot[.timeNamespace] = snapshot.readNamespace(at: directory, "ns/time")
        snapshot[.userNamespace] = snapshot.readNamespace(at: directory, "ns/user")
        snapshot[.utsNamespace] = snapshot.readNamespace(at: directory, "ns/uts")
        let pidNamespace = snapshot[.pidNamespace]
        guard !pidNamespace.isEmpty, !ownPidNamespace.isEmpty else { return }
        let isOwn =
            pidNamespace.count == ownPidNamespace.count
            && zip(pidNamespace, ownPidNamespace).allSatisfy { snapshot.span[$0] == $1 }
        snapshot[.differentNamespace] = snapshot.append((isOwn ? "false" : "true").utf8)
    }

    /// The second of boot, from `<root>/stat`, see proc_stat(5).
    private static func readBootTime(root: String) throws(ScanError) -> UInt64 {
        let path = root + "/stat"
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path: path, errno: errno) }
        defer { close(descriptor) }
        // The line of interrupt counts before it can be long on large machines.
        var content = [UInt8](repeating: 0, count: 1 << 20)
        let count = unsafe content.withUnsafeMutableBytes { unsafe readAll(descriptor, into: $0) }
        guard let count else { throw .unreadable(path: path, errno: errno) }
        var rest = 0..<count
        while let line = content.span.takePart(of: &rest, upTo: UInt8(ascii: "\n")) {
            guard content.span.hasPrefix("btime ", in: line) else { continue }
            if let time = content.span.decimal(in: line.dropFirst(6)) { return time }
        }
        throw .noBootTime(path: path)
    }
}

/// The lowest `4 * count` bits as lower-case hex digits.
func hexDigits(_ value: UInt64, count: Int) -> some Collection<UInt8> {
    let digits: StaticString = "0123456789abcdef"
    return (0..<count).lazy.map { (index) in
        unsafe digits.utf8Start[Int(value >> UInt64(4 * (count - 1 - index)) & 15)]
    }
}

extension ProcessSnapshot {
    /// The content of a file below a directory, empty when it cannot be read.
    fileprivate mutating func readFile(at directory: CInt, _ name: String, limit: Int) -> Range<Int> {
        let descriptor = unsafe openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return 0..<0 }
        defer { close(descriptor) }
        return unsafe append(limit: limit) { (room) in unsafe readAll(descriptor, into: room) ?? 0 }
    }

    /// Where a symbolic link points, empty when it cannot be read.
    fileprivate mutating func readLink(at directory: CInt, _ name: String, limit: Int) -> Range<Int> {
        unsafe append(limit: limit) { (room) in
            guard let start = room.baseAddress else { return 0 }
            return unsafe readlinkat(directory, name, start.assumingMemoryBound(to: CChar.self), room.count)
        }
    }

    /// The number in a link like `pid:[4026531836]`, see namespaces(7); empty when it cannot be read.
    fileprivate mutating func readNamespace(at directory: CInt, _ name: String) -> Range<Int> {
        let link = readLink(at: directory, name, limit: 64)
        guard let open = span.firstIndex(of: UInt8(ascii: "["), in: link),
            let close = span.lastIndex(of: UInt8(ascii: "]"), in: link), open < close
        else { return 0..<0 }
        return (open + 1)..<close
    }
}
