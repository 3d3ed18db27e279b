// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Syscalls

/// The controllers that limit plugins.
public enum CgroupController: String, CaseIterable, Sendable {
    case memory, cpu, pids
}

/// Where a process is in the host's cgroups: cgroups(7).
public struct CgroupTree: Equatable, Sendable {
    /// A directory of a controller, of either version.
    public struct Place: Equatable, Sendable {
        public enum Version: Sendable { case v1, v2 }
        public var version: Version
        public var directory: String

        public init(version: Version, directory: String) {
            self.version = version
            self.directory = directory
        }
    }

    /// Of the controllers that have a hierarchy of version 1.
    public private(set) var separate: [CgroupController: String] = [:]
    /// Of version 2, where it is mounted.
    public private(set) var unified: String?

    /// - Parameters:
    ///   - membership: the text of /proc/PID/cgroup.
    ///   - mounts: the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
    public init(membership: String, mounts: String) {
        let mounted = mounts.split(separator: "\n").compactMap(Mount.init)
        for line in membership.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let path = String(fields[2])
            if fields[0] == "0" && fields[1].isEmpty {
                unified = mounted.lazy.filter { $0.type == "cgroup2" }.compactMap { $0.directory(of: path) }.first
                continue
            }
            for controller in CgroupController.allCases
            where fields[1].split(separator: ",").contains(Substring(controller.rawValue)) {
                separate[controller] =
                    mounted.lazy.filter { $0.type == "cgroup" && $0.options.contains(controller.rawValue) }
                    .compactMap { $0.directory(of: path) }.first
            }
        }
    }

    /// This process's.
    public static func current() throws(Errno) -> CgroupTree {
        CgroupTree(
            membership: String(decoding: try FileDescriptor.readFile("/proc/self/cgroup"), as: UTF8.self),
            mounts: String(
                decoding: try FileDescriptor.readFile("/proc/self/mountinfo", limit: 16 << 20),
                as: UTF8.self
            )
        )
    }

    /// One line of mountinfo.
    private struct Mount {
        let root: String
        let point: String
        let type: Substring
        let options: [String]

        init?(_ line: Substring) {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else { return nil }
            root = Self.unescaped(fields[3])
            point = Self.unescaped(fields[4])
            type = fields[dash + 1]
            guard type == "cgroup" || type == "cgroup2" else { return nil }
            options = fields[dash + 3].split(separator: ",").map(String.init)
        }

        /// Where the cgroup `path` is visible by this mount, if it is.
        func directory(of path: String) -> String? {
            guard !path.hasPrefix("/..") else { return nil }
            if root == "/" { return path == "/" ? point : point + path }
            if path == root { return point }
            return path.hasPrefix(root + "/") ? point + path.dropFirst(root.count) : nil
        }

        /// "\040" is a blank: three octal digits.
        private static func unescaped(_ text: Substring) -> String {
            guard text.contains("\\") else { return String(text) }
            var bytes: [UInt8] = []
            var rest = text.utf8[...]
            while let byte = rest.popFirst() {
                if byte == UInt8(ascii: "\\"),
                    let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
                {
                    bytes.append(code)
                    rest = rest.dropFirst(3)
                } else {
                    bytes.append(byte)
                }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
