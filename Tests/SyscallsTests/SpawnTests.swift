// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Syscalls
import TestSupport
import Testing

@Suite("Child processes")
struct SpawnTests {
    /// The descriptors that a child begins with, as "number>target". The shell looks at each number by itself: listing
    /// the folder would open one more.
    static let listing = """
        i=0
        while [ $i -lt 1024 ]; do
            [ -e /proc/$$/fd/$i ] && echo "$i>$(readlink /proc/$$/fd/$i)"
            i=$((i + 1))
        done
        exit 0
        """

    /// What a child has with `map` from descriptor 3 on, besides the pipe that it writes to.
    func descriptors(_ map: [CInt]) throws -> [String] {
        let result = try output(of: .shell(Self.listing), extra: map)
        #expect(result.status == 0)
        let lines = result.text.split(separator: "\n").map(String.init)
        #expect(lines.first?.hasPrefix("1>pipe:") == true)
        return [String](lines.dropFirst())
    }

    /// The child has what was mapped, and nothing else, however many descriptors the agent has open.
    @Test func inheritsExactlyWhatIsMapped() throws {
        let zero = try FileDescriptor.open("/dev/zero", .read)
        let null = try FileDescriptor.open("/dev/null", .read)
        // Open, and not even close-on-exec.
        let leaked = fcntl(zero.rawValue, F_DUPFD, 650)
        defer { _ = FileDescriptor(owning: leaked) }
        #expect(leaked >= 650)
        #expect(try descriptors([zero.rawValue, null.rawValue]) == ["3>/dev/zero", "4>/dev/null"])
        #expect(try descriptors([-1, null.rawValue]) == ["4>/dev/null"])
        let three = try descriptors([null.rawValue, null.rawValue, zero.rawValue])
        #expect(three == ["3>/dev/null", "4>/dev/null", "5>/dev/zero"])
        #expect(try descriptors([]) == [])
    }

    /// The numbers in the agent may be those in the child in another order: nothing is overwritten before it is moved.
    @Test func collidingDescriptorsAreMoved() throws {
        let files = ["/dev/zero", "/dev/null", "/dev/full", "/dev/random"]
        var open: [CInt] = []
        defer { for raw in open { _ = FileDescriptor(owning: raw) } }
        for file in files { open.append(try FileDescriptor.open(file, .read).release()) }
        // A child whose descriptors 0 … n are the agent's, so that each target is another's source.
        let lowest = try #require(open.min())
        let highest = try #require(open.max())
        var random = SeededRandom(seed: 34)
        for _ in 0..<20 {
            let order = files.indices.shuffled(using: &random)
            var map = [CInt](repeating: -1, count: 3)
            var expected: [String] = []
            // Put the files at the numbers that they have in this process, permuted, when those fit into 16 places.
            for (position, index) in order.enumerated() {
                let target = highest < 16 && lowest >= 3 ? Int(open[position]) : 3 + position
                while map.count <= target { map.append(-1) }
                map[target] = open[index]
                expected.append("\(target)>\(files[index])")
            }
            let found = try descriptors([CInt](map.dropFirst(3)))
            #expect(Set(found) == Set(expected) && found.count == expected.count, "\(map)")
        }
    }

    /// What a plugin may count on, whatever the agent did to its own signals, mask and limits.
    @Test func startsClean() throws {
        var blocked = sigset_t()
        var before = sigset_t()
        unsafe sigemptyset(&blocked)
        for signal in [SIGTERM, SIGCHLD, SIGUSR1, SIGPIPE] { unsafe sigaddset(&blocked, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &blocked, &before)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
        // By the shell itself: another program would show what it does to its signals.
        var child = Child.shell(
            """
            while read name value; do
                case $name in SigBlk:|SigIgn:) echo $name $value ;; esac
            done </proc/$$/status
            umask; ulimit -Sn; ulimit -Hn; pwd
            """
        )
        child.directory = "/dev"
        child.softLimit = 321
        child.hardLimit = 654
        let lines = try output(of: child).text.split(separator: "\n").map(String.init)
        #expect(
            lines == [
                "SigBlk: 0000000000000000", "SigIgn: 0000000000000000", "0022", "321", "654", "/dev",
            ]
        )
        var now = sigset_t()
        unsafe pthread_sigmask(SIG_BLOCK, nil, &now)
        for signal in CInt(1)...64 {
            let expected = unsafe sigismember(&before, signal) == 1 || sigismember(&blocked, signal) == 1
            #expect(unsafe (sigismember(&now, signal) == 1) == expected, "signal \(signal) in the agent's own mask")
        }
    }

    @Test(arguments: [false, true])
    func processGroup(_ own: Bool) throws {
        // Fields 1 and 5 of /proc/PID/stat: the process and its group.
        var child = Child.shell("read pid comm state parent group rest </proc/$$/stat; echo $pid $group")
        child.newGroup = own
        let numbers = try output(of: child).text.split(whereSeparator: \.isWhitespace).compactMap { CInt($0) }
        #expect(numbers.count == 2)
        #expect(numbers.last == (own ? numbers.first : getpgrp()))
    }

    @Test func argumentsAndEnvironmentAreExact() throws {
        var child = Child("/usr/bin/env", [])
        child.environment = ["A=1", "DETAIL={\"k\": \"v w\"}"]
        #expect(try output(of: child).text == "A=1\nDETAIL={\"k\": \"v w\"}\n")
        let arguments = try output(of: Child("/bin/sh", ["-c", "printf '%s|' \"$0\" \"$@\"", "a b", "", "ü"]))
        #expect(arguments.text == "a b||ü|")
    }

    @Test func failuresNameStepAndError() throws {
        let missing = Child("/no/such/program", [])
        #expect(throws: Child.Failure.self) { _ = try missing.start() }
        func failure(_ child: Child, _ descriptors: [CInt] = []) -> String {
            do throws(Child.Failure) {
                return "started: \(Child.reap(try child.start(descriptors)))"
            } catch {
                return "\(error.step): \(error.error.rawValue)"
            }
        }
        #expect(failure(missing) == "execve: \(ENOENT)")
        #expect(failure(Child("/etc/passwd", [])) == "execve: \(EACCES)")
        #expect(failure(Child("/", [])) == "execve: \(EACCES)")
        var elsewhere = Child.shell("exit 0")
        elsewhere.directory = "/no/such/folder"
        #expect(failure(elsewhere) == "chdir: \(ENOENT)")
        #expect(failure(.shell("exit 0"), [-1, -1, -1, 9999]) == "fcntl(F_DUPFD): \(EBADF)")
        #expect(failure(.shell("exit 0"), [CInt](repeating: -1, count: 17)) == "descriptor count: \(EINVAL)")
        #expect(failure(.shell("exit 7")) == "started: 7")
        #expect(failure(.shell("kill -KILL $$")) == "started: 137")
    }

    /// A child that could not be started is not left behind as a zombie, nor anything of it open.
    @Test func failedStartLeavesNothing() throws {
        func children() throws -> [UInt8] { try FileDescriptor.readFile("/proc/thread-self/children") }
        let before = try children()
        for _ in 0..<20 { #expect(throws: Child.Failure.self) { _ = try Child("/no/such/program", []).start() } }
        #expect(try children() == before)
    }
}
