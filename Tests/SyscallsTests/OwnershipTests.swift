// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Syscalls
import TestSupport
import Testing

private let hasPython = (try? output(of: Child("/usr/bin/env", ["python3", "-c", ""])).status) == 0

/// Locks that tell who has them, between processes: within one there is none.
@Suite("Files with an owner", .enabled(if: hasPython, "there is no python3 to be the other process"))
final class OwnershipTests {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("owned-" + UUID().uuidString).path

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Another process that runs a script: it says something, and goes on when it hears something.
    final class Other {
        let pid: CInt
        private var input: FileDescriptor?
        private let output: FileDescriptor
        private var isReaped = false

        init(_ script: String, _ path: String) throws {
            var toChild = try Syscalls.Pipe()
            var fromChild = try Syscalls.Pipe()
            let read = try take(&toChild.read)
            let write = try take(&fromChild.write)
            input = try take(&toChild.write)
            output = try take(&fromChild.read)
            let child = Child(
                "/usr/bin/env",
                ["python3", "-c", "import fcntl,os,sys\nf=open(sys.argv[1],'r+')\n" + script, path]
            )
            pid = try child.start([read.rawValue, write.rawValue, -1])
        }

        deinit { end() }

        /// What it says next.
        func line() throws -> String {
            var bytes: [UInt8] = []
            while bytes.last != 10 {
                let before = bytes.count
                try output.readChunk(appendingTo: &bytes, capacity: 1)
                if bytes.count == before { break }
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        /// Lets it go on, to its end.
        func end(killing: Bool = false) {
            if isReaped { return }
            if killing { kill(pid, SIGKILL) }
            input = nil
            _ = Child.reap(pid)
            isReaped = true
        }
    }

    static let holds = "fcntl.lockf(f,fcntl.LOCK_EX)\nprint(os.getpid(),flush=True)\nsys.stdin.read()\n"

    @Test(arguments: [false, true])
    func anotherHasIt(isKilled: Bool) throws {
        let file = try FileDescriptor.open(path, .readWrite)
        let other = try Other(Self.holds, path)
        let pid = try #require(CInt(try other.line().dropLast()))
        #expect(try FileDescriptor.lockHolder(path) == pid)
        for _ in 0..<2 { #expect(try !file.tryOwn()) }
        #expect(try FileDescriptor.lockHolder(path) == pid, "to look does not matter")
        // However it ends, what it had is free: no file has to be removed.
        other.end(killing: isKilled)
        #expect(try FileDescriptor.lockHolder(path) == nil)
        #expect(try file.tryOwn())
    }

    /// The other way round: this process has it, again and again, and the other does not get it.
    @Test func thisOneHasIt() throws {
        let file = try FileDescriptor.open(path, .readWrite)
        for _ in 0..<2 { #expect(try file.tryOwn()) }
        let tries = """
            import struct
            def look():
                try:
                    fcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB)
                    print('free',flush=True)
                except OSError:
                    l=fcntl.fcntl(f,fcntl.F_GETLK,struct.pack('hhqqi4x',fcntl.F_WRLCK,0,0,0,0))
                    print(struct.unpack('hhqqi4x',l)[4],flush=True)
            look()
            sys.stdin.readline()
            """
        let other = try Other(tries, path)
        #expect(try other.line() == "\(getpid())\n")
        other.end()
        // Closed, it is anybody's.
        try file.close()
        let next = try Other(tries, path)
        #expect(try next.line() == "free\n")
    }

    /// A lock for reading keeps others from owning, and has a holder as well.
    @Test func somebodyReads() throws {
        let file = try FileDescriptor.open(path, .readWrite)
        let other = try Other(Self.holds.replacingOccurrences(of: "LOCK_EX", with: "LOCK_SH"), path)
        let pid = try #require(CInt(try other.line().dropLast()))
        #expect(try !file.tryOwn())
        #expect(try FileDescriptor.lockHolder(path) == pid)
    }

    @Test func nobodyHasIt() throws {
        #expect(try FileDescriptor.lockHolder(path) == nil, "there is no file")
        _ = try FileDescriptor.open(path, .readWrite)
        #expect(try FileDescriptor.lockHolder(path) == nil)
        #expect(throws: Errno(rawValue: ENOTDIR)) { _ = try FileDescriptor.lockHolder("\(self.path)/x") }
        // Only who may write may own.
        let file = try FileDescriptor.open(path, .read)
        #expect(throws: (any Error).self) { _ = try file.tryOwn() }
    }
}
