// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Testing

/// What is made of /proc/PID/cgroup and /proc/PID/mountinfo, as they are on hosts of all kinds.
@Suite("Cgroups: where a process is")
struct TreeTests {
    struct Host: Sendable, CustomTestStringConvertible {
        var name: String
        var membership: String
        var mounts: String
        var separate: [CgroupController: String] = [:]
        var unified: String?
        var testDescription: String { name }
    }

    /// A line of mountinfo.
    static func mount(
        _ root: String,
        _ point: String,
        _ type: String,
        _ options: String,
        optional: String = "shared:9"
    ) -> String {
        let fields = optional.isEmpty ? "" : "\(optional) "
        return "31 23 0:28 \(root) \(point) rw,nosuid,nodev,noexec,relatime \(fields)- \(type) \(type) rw,\(options)\n"
    }

    static let others = """
        22 27 0:21 / /proc rw,relatime - proc proc rw
        31 23 0:28 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:8 - tmpfs tmpfs ro,mode=755

        """

    static let v1 = Host(
        name: "version 1 only, as CentOS 7",
        membership: """
            11:blkio:/system.slice/elkeid-agent.service
            10:pids:/system.slice/elkeid-agent.service
            4:cpuacct,cpu:/system.slice/elkeid-agent.service
            2:memory:/system.slice/elkeid-agent.service
            1:name=systemd:/system.slice/elkeid-agent.service

            """,
        mounts: others + mount("/", "/sys/fs/cgroup/systemd", "cgroup", "xattr,name=systemd")
            + mount("/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "cpuacct,cpu")
            + mount("/", "/sys/fs/cgroup/memory", "cgroup", "memory")
            + mount("/", "/sys/fs/cgroup/pids", "cgroup", "pids"),
        separate: [
            .memory: "/sys/fs/cgroup/memory/system.slice/elkeid-agent.service",
            .cpu: "/sys/fs/cgroup/cpu,cpuacct/system.slice/elkeid-agent.service",
            .pids: "/sys/fs/cgroup/pids/system.slice/elkeid-agent.service",
        ]
    )

    static let v2 = Host(
        name: "version 2 only, as Debian 12",
        membership: "0::/system.slice/elkeid-agent.service\n",
        mounts: others
            + mount("/", "/sys/fs/cgroup", "cgroup2", "nsdelegate,memory_recursiveprot", optional: "shared:4 master:1"),
        unified: "/sys/fs/cgroup/system.slice/elkeid-agent.service"
    )

    static let hosts: [Host] = [
        v1, v2,
        Host(
            name: "hybrid, as Debian 10 under nspawn",
            membership: """
                9:memory:/
                5:cpu,cpuacct:/
                3:pids:/machine.slice/x.scope
                1:name=systemd:/machine.slice/x.scope
                0::/machine.slice/x.scope

                """,
            mounts: mount("/", "/sys/fs/cgroup/unified", "cgroup2", "nsdelegate")
                + mount("/", "/sys/fs/cgroup/systemd", "cgroup", "name=systemd")
                + mount("/", "/sys/fs/cgroup/memory", "cgroup", "memory")
                + mount("/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "cpu,cpuacct")
                + mount("/", "/sys/fs/cgroup/pids", "cgroup", "pids"),
            separate: [
                .memory: "/sys/fs/cgroup/memory", .cpu: "/sys/fs/cgroup/cpu,cpuacct",
                .pids: "/sys/fs/cgroup/pids/machine.slice/x.scope",
            ],
            unified: "/sys/fs/cgroup/unified/machine.slice/x.scope"
        ),
        Host(
            name: "docker with a cgroup namespace",
            membership: "0::/\n",
            mounts: mount("/", "/sys/fs/cgroup", "cgroup2", "nsdelegate"),
            unified: "/sys/fs/cgroup"
        ),
        Host(
            name: "the host's tree in another cgroup namespace",
            membership: "5:memory:/../../user.slice\n4:pids:/\n0::/../init.scope\n",
            mounts: mount("/../..", "/host/cgroup", "cgroup2", "x")
                + mount("/../..", "/host/memory", "cgroup", "memory")
                + mount("/../../..", "/host/pids", "cgroup", "pids")
                + mount("/", "/sys/fs/cgroup/memory", "cgroup", "memory")
        ),
        Host(
            name: "docker without a cgroup namespace: its subtree alone is mounted",
            membership: "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc/elkeid-agent\n2:pids:/docker/abcdef\n",
            mounts: mount("/docker/abc", "/sys/fs/cgroup/memory", "cgroup", "memory", optional: "master:12")
                + mount("/docker/abc", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "cpu,cpuacct", optional: "")
                + mount("/docker/abc", "/sys/fs/cgroup/pids", "cgroup", "pids", optional: ""),
            separate: [.memory: "/sys/fs/cgroup/memory", .cpu: "/sys/fs/cgroup/cpu,cpuacct/elkeid-agent"]
        ),
        Host(
            name: "mounted twice: where it can be seen, and the first of these",
            membership: "4:memory:/a/b\n0::/a\n",
            mounts: mount("/other", "/one", "cgroup", "memory") + mount("/a", "/two", "cgroup", "memory")
                + mount("/", "/three", "cgroup", "memory") + mount("/b", "/four", "cgroup2", "x")
                + mount("/", "/five", "cgroup2", "x"),
            separate: [.memory: "/two/b"],
            unified: "/five/a"
        ),
        Host(
            name: "escaped mount points",
            membership: "4:memory:/a b\n0::/a\\b\n",
            mounts: mount("/", #"/my\040cgroups\011\134x"#, "cgroup", "memory")
                + mount(#"/a\134b"#, #"/\303\274"#, "cgroup2", "x"),
            separate: [.memory: "/my cgroups\t\\x/a b"],
            unified: "/ü"
        ),
        Host(
            name: "controllers that are mounted nowhere",
            membership: "4:memory:/a\n3:cpu,cpuacct:/a\n2:pids:/a\n0::/a\n",
            mounts: others + mount("/", "/sys/fs/cgroup/pids", "cgroup", "pids"),
            separate: [.pids: "/sys/fs/cgroup/pids/a"]
        ),
        Host(
            name: "names that only look alike",
            membership: "4:memory2,cpuset,cpuacct:/a\n3:name=memory:/b\n2:pids:/c\n",
            mounts: mount("/", "/x", "cgroup", "memory2") + mount("/", "/y", "cgroup", "cpuset,cpuacct")
                + mount("/", "/z", "cgroup", "name=memory") + mount("/", "/w", "cgroup2", "pids"),
        ),
        Host(
            name: "a name with a colon",
            membership: "4:memory:/a:b/c\n0::/d:e\n",
            mounts: mount("/", "/m", "cgroup", "memory") + mount("/", "/u", "cgroup2", "x"),
            separate: [.memory: "/m/a:b/c"],
            unified: "/u/d:e"
        ),
        Host(name: "nothing at all", membership: "", mounts: ""),
        Host(name: "mounts of nothing", membership: "", mounts: v1.mounts),
        Host(name: "no mounts", membership: v1.membership + v2.membership, mounts: ""),
        Host(
            name: "garbage",
            membership: "\n:\n::\n0:\n0::\u{0}\nmemory\n4:memory\n:::\n4:memory:/a\n\u{fffd}\n",
            mounts: "\n-\n- cgroup cgroup rw,memory\n1 2 3 / /x rw - cgroup\n1 2 3 / /x rw - cgroup cgroup\n"
                + "1 2 3 4 5 - cgroup cgroup rw,memory\n31 23 0:28 /\n \n"
                + mount(#"/\9"#, #"/\x\"#, "cgroup", "memory")
                + mount("/", "/good", "cgroup", "memory"),
            separate: [.memory: "/good/a"]
        ),
    ]

    @Test(arguments: hosts)
    func tree(host: Host) {
        let tree = CgroupTree(membership: host.membership, mounts: host.mounts)
        #expect(tree.separate == host.separate)
        #expect(tree.unified == host.unified)
    }

    /// Line by line cut off: whatever is missing, what is found is among what there is.
    @Test(arguments: [v1, v2])
    func textsThatBreakOff(host: Host) {
        let whole = CgroupTree(membership: host.membership, mounts: host.mounts)
        for count in 0...host.mounts.count {
            let tree = CgroupTree(membership: host.membership, mounts: String(host.mounts.prefix(count)))
            for (controller, directory) in tree.separate { #expect(whole.separate[controller] == directory) }
            if let unified = tree.unified { #expect(whole.unified == unified) }
        }
    }

    /// This process's own: what is found is there.
    @Test func thisProcess() throws {
        let tree = try CgroupTree.current()
        for directory in tree.separate.values {
            #expect(CgroupFiles.exists("\(directory)/cgroup.procs"), "\(directory)")
        }
        if let unified = tree.unified { #expect(CgroupFiles.exists("\(unified)/cgroup.procs"), "\(unified)") }
    }
}
