// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import ProcessCollector
import Testing

/// What is read of a process, from a made-up /proc and from the real one.
@Suite
struct ProcessScannerTests {
    /// All fields that are not empty, as text.
    private func values(_ fixture: ProcFixture, pid: pid_t) throws -> [String: String] {
        var scanner = try ProcessScanner(root: fixture.root, passwd: fixture.passwd)
        _ = try scanner.processIdentifiers()
        let isLoaded = scanner.load(pid)
        try #require(isLoaded)
        var values: [String: String] = [:]
        for field in ProcessField.allCases where !scanner.value(of: field).isEmpty {
            values[field.name] = String(decoding: scanner.value(of: field), as: UTF8.self)
        }
        return values
    }

    @Test func allFields() throws {
        let fixture = try ProcFixture()
        let ticks = UInt64(sysconf(CInt(_SC_CLK_TCK)))
        try fixture.writeStat(42, comm: "a) (b", startTicks: 77 * ticks + ticks - 1)
        try fixture.write(
            """
            Name:\ta) (b\nUmask:\t0027\nState:\tS (sleeping)\nPid:\t42\nTracerPid:\t7
            Uid:\t0\t33\t1000\t33\nGid:\t5\t6\t7\t8\nFDSize:\t64\nGroups:\t1 2 3
            NStgid:\t42\t1\nNSpid:\t42\t1\nNSpgid:\t40\t1\nNSsid:\t39\t0\nVmPeak:\t1 kB\n
            """,
            to: "42/status"
        )
        try fixture.write("/bin/sh\0-c\0true \0", to: "42/cmdline")
        try fixture.write("#!/bin/sh\n", to: "program")
        try fixture.link(fixture.root + "/program", at: "42/exe")
        try fixture.link("/var/empty", at: "42/cwd")
        for (number, name) in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"].enumerated() {
            try fixture.link("\(name):[\(100 + number)]", at: "42/ns/\(name)")
        }
        let id = String(repeating: "0123456789abcdef", count: 4)
        try fixture.write("0::/system.slice/docker-\(id).scope\n", to: "42/cgroup")
        #expect(
            try values(fixture, pid: 42) == [
                "pid": "42", "cmdline": "/bin/sh -c true", "cwd": "/var/empty", "exe": fixture.root + "/program",
                "exe_hash": "ef801bb21c98c835", "comm": "a) (b", "state": "S", "ppid": "1", "pgid": "2", "sid": "3",
                "start_time": "\(fixture.bootTime + 77)", "umask": "0027", "tcpid": "7",
                "ruid": "0", "euid": "33", "suid": "1000", "fsuid": "33",
                "rgid": "5", "egid": "6", "sgid": "7", "fsgid": "8",
                "rusername": "root", "eusername": "web", "fsusername": "web",
                "nspid": "42", "nspgid": "40", "nssid": "39", "dns": "true",
                "cns": "100", "ins": "101", "mns": "102", "nns": "103", "pns": "104", "tns": "105", "uns": "106",
                "utns": "107", "container_id": id,
            ]
        )
    }

    /// What another user's process, an old kernel or one that just ended leaves.
    @Test func whatCannotBeReadIsEmpty() throws {
        let fixture = try ProcFixture()
        try fixture.writeStat(42)
        #expect(
            try values(fixture, pid: 42) == [
                "pid": "42", "comm": "name", "state": "S", "ppid": "1", "pgid": "2", "sid": "3",
                "start_time": "\(fixture.bootTime + 1234 / Int(sysconf(CInt(_SC_CLK_TCK))))",
            ]
        )
    }

    @Test func whatIsNoProcessIsLeftOut() throws {
        let fixture = try ProcFixture()
        try fixture.writeStat(2, comm: "kthreadd", flags: 0x0020_8040)
        try fixture.writeStat(42)
        try fixture.write("12 (short) S 1", to: "12/stat")
        try fixture.write("", to: "13/stat")
        try fixture.write("x", to: "12x/stat")
        try fixture.write("x", to: "-5/stat")
        var scanner = try ProcessScanner(root: fixture.root, passwd: fixture.passwd)
        let pids = try scanner.processIdentifiers()
        #expect(pids.sorted() == [2, 12, 13, 42])
        var loaded: [pid_t] = []
        for pid in [2, 12, 13, 42, 99] as [pid_t] where scanner.load(pid) { loaded.append(pid) }
        #expect(loaded == [42])
    }

    private static let commandLines: [([UInt8], [UInt8])] = [
        ([], []),
        ([0], []),
        (Array("a\0b\0\0c\0".utf8), Array("a b  c".utf8)),
        (Array("rewritten by the process".utf8), Array("rewritten by the process".utf8)),
        (Array("\n\t a\0".utf8), Array("a".utf8)),
        ([0xFF, 0x00, 0xC3, 0x28, 0x00], [0xFF, 0x20, 0xC3, 0x28]),
        ([UInt8](repeating: 0x61, count: 5000), [UInt8](repeating: 0x61, count: 4096)),
        // Cut inside of a character of 2, 3 and 4 bytes; and bytes that never were one.
        ([UInt8](repeating: 0x61, count: 4095) + [0xC3, 0xA9], [UInt8](repeating: 0x61, count: 4095)),
        ([UInt8](repeating: 0x61, count: 4094) + [0xE2, 0x82, 0xAC], [UInt8](repeating: 0x61, count: 4094)),
        ([UInt8](repeating: 0x61, count: 4093) + [0xF0, 0x9F, 0x98, 0x80], [UInt8](repeating: 0x61, count: 4093)),
        (
            [UInt8](repeating: 0x61, count: 4094) + [0xC3, 0xA9, 0x61],
            [UInt8](repeating: 0x61, count: 4094) + [0xC3, 0xA9]
        ),
        ([UInt8](repeating: 0x80, count: 5000), [UInt8](repeating: 0x80, count: 4096)),
    ]

    @Test(arguments: commandLines)
    func oddCommandLines(content: [UInt8], expected: [UInt8]) throws {
        let fixture = try ProcFixture()
        try fixture.writeStat(42)
        try fixture.write(content, to: "42/cmdline")
        var scanner = try ProcessScanner(root: fixture.root, passwd: fixture.passwd)
        let isLoaded = scanner.load(42)
        try #require(isLoaded)
        let commandLine = scanner.value(of: .cmdline)
        #expect(commandLine == expected)
    }

    private static let identifier = String(repeating: "ab12", count: 16)

    @Test(arguments: [
        ("12:pids:/docker/\(identifier)\n", true),
        ("0::/system.slice/docker-\(identifier).scope\n", true),
        ("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-\(identifier).scope\n", true),
        ("0::/kubepods/besteffort/pod1/\(identifier)\n", true),
        ("0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:\(identifier)\n", true),
        ("0::/kubepods.slice/crio-\(identifier).scope\n", true),
        ("0::/machine.slice/libpod-\(identifier).scope/container\n", true),
        ("3:cpu:/\n2:memory:/docker/\(identifier)\n0::/", true),
        // In a container of a container it is the inner one.
        ("0::/docker/\(String(repeating: "c", count: 64))/docker/\(identifier)\n", true),
        ("0::/kubepods.slice/crio-conmon-\(identifier).scope\n", false),
        ("0::/machine.slice/libpod-conmon-\(identifier).scope\n", false),
        ("0::/docker/\(identifier.dropLast())\n", false),
        ("0::/docker/\(identifier)0\n", false),
        ("0::/docker/\(identifier.uppercased())\n", false),
        ("0::/user.slice/user-0.slice/session-1.scope\n", false),
        ("\(identifier)\n", false),
        ("", false),
    ])
    func containers(content: String, isFound: Bool) throws {
        let fixture = try ProcFixture()
        try fixture.writeStat(42)
        try fixture.write(content, to: "42/cgroup")
        #expect(try values(fixture, pid: 42)["container_id"] == (isFound ? Self.identifier : nil))
    }

    /// XXH64 over the size and the first 32 KiB, by an independent implementation.
    @Test(arguments: [
        (0, "34c96acdcadb1bbb"), (32767, "bdd4851ce3a7f2b9"), (40000, "5c3c5cf5c52f6348"),
    ])
    func executableHash(size: Int, expected: String) throws {
        let fixture = try ProcFixture()
        try fixture.writeStat(42)
        try fixture.write((0..<size).map { UInt8(truncatingIfNeeded: $0 * 7) }, to: "program")
        try fixture.link(fixture.root + "/program", at: "42/exe")
        #expect(try values(fixture, pid: 42)["exe_hash"] == expected)
    }

    @Test func changedExecutableIsHashedAgain() throws {
        let fixture = try ProcFixture()
        try fixture.writeStat(42)
        try fixture.link(fixture.root + "/program", at: "42/exe")
        var scanner = try ProcessScanner(root: fixture.root, passwd: fixture.passwd)
        var hashes: [String] = []
        for content in ["", "#!/bin/sh\n", ""] {
            try fixture.write(content, to: "program")
            let isLoaded = scanner.load(42)
            try #require(isLoaded)
            hashes.append(String(decoding: scanner.value(of: .exeHash), as: UTF8.self))
        }
        #expect(hashes == ["34c96acdcadb1bbb", "ef801bb21c98c835", "34c96acdcadb1bbb"])
    }

    @Test func userNamesFollowTheFile() throws {
        let fixture = try ProcFixture()
        try fixture.writeStat(42)
        try fixture.write("Uid:\t33\t33\t33\t33\n", to: "42/status")
        var scanner = try ProcessScanner(root: fixture.root, passwd: fixture.passwd)
        var names: [String] = []
        for content in ["web:x:33:\n", "www-data:x:33:\n", "another:x:34:\n"] {
            try fixture.write(content, to: "passwd")
            _ = try scanner.processIdentifiers()
            let isLoaded = scanner.load(42)
            try #require(isLoaded)
            names.append(String(decoding: scanner.value(of: .rusername), as: UTF8.self))
        }
        #expect(names == ["web", "www-data", ""])
    }

    @Test func thisProcess() throws {
        var scanner = try ProcessScanner()
        let pids = try scanner.processIdentifiers()
        #expect(pids.contains(getpid()))
        let isLoaded = scanner.load(getpid())
        try #require(isLoaded)
        var values: [ProcessField: String] = [:]
        for field in ProcessField.allCases {
            values[field] = String(decoding: scanner.value(of: field), as: UTF8.self)
        }
        #expect(values[.pid] == "\(getpid())")
        #expect(values[.ppid] == "\(getppid())")
        #expect(values[.pgid] == "\(getpgrp())")
        #expect(values[.sid] == "\(getsid(0))")
        #expect(values[.ruid] == "\(getuid())")
        #expect(values[.euid] == "\(geteuid())")
        #expect(values[.rgid] == "\(getgid())")
        #expect(values[.egid] == "\(getegid())")
        #expect(values[.cwd] == FileManager.default.currentDirectoryPath)
        #expect(values[.exe] == (try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")))
        #expect(values[.exeHash]?.count == 16)
        #expect(values[.cmdline]?.hasPrefix(CommandLine.arguments[0]) == true)
        #expect(values[.differentNamespace] == "false")
        let start = try #require(values[.startTime].flatMap { Int($0) })
        #expect(start > 1_000_000_000 && start <= time(nil) + 1)
    }

    @Test func unusableRootsAreReported() throws {
        #expect(throws: ScanError.unreadable(path: "/nonexistent/stat", errno: ENOENT)) {
            _ = try ProcessScanner(root: "/nonexistent")
        }
        let fixture = try ProcFixture()
        try fixture.write("cpu 1 2 3\nbtime x\n", to: "stat")
        #expect(throws: ScanError.noBootTime(path: fixture.root + "/stat")) {
            _ = try ProcessScanner(root: fixture.root)
        }
    }

    /// Damaged and random content never traps, and what is loaded keeps within its bounds.
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func randomContent(seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        let fixture = try ProcFixture()
        let templates = [
            "stat": "42 (na me) S 1 2 3 0 -1 4194304 10 11 12 13 14 15 16 17 20 0 1 0 1234 22 23",
            "status": "Umask:\t0022\nTracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nNSpid:\t1\nNSsid:\t1\n",
            "cgroup": "1:a:/docker/\(Self.identifier)\n0::/x-\(Self.identifier).scope\n",
            "cmdline": "a\0b\0",
        ]
        var scanner = try ProcessScanner(root: fixture.root, passwd: fixture.passwd)
        var loaded = 0
        for _ in 0..<150 {
            for (name, template) in templates {
                var content = Array(template.utf8)
                for _ in 0..<Int.random(in: 0...4, using: &generator) {
                    let index = Int.random(in: 0..<content.count, using: &generator)
                    switch Int.random(in: 0...3, using: &generator) {
                    case 0: content.insert(contentsOf: [0x39, 0x39, 0x39, 0x39, 0x39, 0x39, 0x39, 0x39], at: index)
                    case 1: content[index] = UInt8(truncatingIfNeeded: generator.next())
                    case 2: content = Array(content[...index])
                    default: content += (0..<40_000).map { UInt8(truncatingIfNeeded: $0 / 3) }
                    }
                }
                try fixture.write(content, to: "42/" + name)
            }
            guard scanner.load(42) else { continue }
            loaded += 1
            for field in ProcessField.allCases {
                let size = scanner.value(of: field).count
                #expect(size <= 16 << 10)
            }
        }
        #expect(loaded > 0)
    }
}
