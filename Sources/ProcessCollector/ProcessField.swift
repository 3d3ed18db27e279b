// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The fields of a process record (data type 5050), named as the original collector names them.
public enum ProcessField: Int, CaseIterable, Sendable {
    /// The thread group id, as seen from the collector's pid namespace.
    case pid
    /// The arguments joined by spaces, at most 4 KiB; cut between characters where they are UTF-8.
    case cmdline
    case cwd
    /// The path of the executable; ends with " (deleted)" when the file is gone.
    case exe
    /// 16 hex digits: XXH64 (seed 0) of the executable's size (8 bytes, little-endian) and its first 32 KiB,
    /// the same as the original's.
    case exeHash
    /// Always empty: the original's MD5 of the whole file costs a read of every executable on the host.
    case checksum
    case comm
    /// One letter, see proc_pid_stat(5).
    case state
    case ppid
    case pgid
    case sid
    /// Seconds since 1970.
    case startTime
    /// Four octal digits; empty before Linux 4.7.
    case umask
    /// The tracer's pid, or 0.
    case tcpid
    case ruid
    case euid
    case suid
    case fsuid
    case rgid
    case egid
    case sgid
    case fsgid
    /// User names are those of /etc/passwd, empty for unknown ids. (The original overwrites them by group names.)
    case rusername
    case eusername
    case susername
    case fsusername
    /// Outermost value that /proc shows; empty before Linux 4.1, as the two below.
    case nspid
    case nspgid
    case nssid
    /// "true" when the process is in another pid namespace than the collector, empty when that cannot be read.
    case differentNamespace
    /// Namespaces are inode numbers, empty when they cannot be read.
    case cgroupNamespace
    case ipcNamespace
    case mountNamespace
    case networkNamespace
    case pidNamespace
    case timeNamespace
    case userNamespace
    case utsNamespace
    /// 64 hex digits, from the control group's path; empty outside of a container.
    case containerID
    /// Always empty: only the container runtime knows it.
    case containerName
    /// Always empty: "true" or "false" would claim a check of the package database, which is not made.
    case integrity

    /// The key in the record.
    public var name: String {
        switch self {
        case .exeHash: "exe_hash"
        case .startTime: "start_time"
        case .differentNamespace: "dns"
        case .cgroupNamespace: "cns"
        case .ipcNamespace: "ins"
        case .mountNamespace: "mns"
        case .networkNamespace: "nns"
        case .pidNamespace: "pns"
        case .timeNamespace: "tns"
        case .userNamespace: "uns"
        case .utsNamespace: "utns"
        case .containerID: "container_id"
        case .containerName: "container_name"
        case .pid: "pid"
        case .cmdline: "cmdline"
        case .cwd: "cwd"
        case .exe: "exe"
        case .checksum: "checksum"
        case .comm: "comm"
        case .state: "state"
        case .ppid: "ppid"
        case .pgid: "pgid"
        case .sid: "sid"
        case .umask: "umask"
        case .tcpid: "tcpid"
        case .ruid: "ruid"
        case .euid: "euid"
        case .suid: "suid"
        case .fsuid: "fsuid"
        case .rgid: "rgid"
        case .egid: "egid"
        case .sgid: "sgid"
        case .fsgid: "fsgid"
        case .rusername: "rusername"
        case .eusername: "eusername"
        case .susername: "susername"
        case .fsusername: "fsusername"
        case .nspid: "nspid"
        case .nspgid: "nspgid"
        case .nssid: "nssid"
        case .integrity: "integrity"
        }
    }
}
