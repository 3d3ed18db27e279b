// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Syscalls

/// Starts child processes the way the agent does (`Spawn`).
public struct Child: Sendable {
    public var path: String
    public var arguments: [String]
    public var environment = ["PATH=/usr/bin:/bin", "LC_ALL=C"]
    public var directory: String?
    public var newGroup = false
    public var softLimit: UInt64 = 0
    public var hardLimit: UInt64 = 0

    /// What could not be done, and why.
    public struct Failure: Error, Equatable {
        public let step: String
        public let error: Errno
    }

    public init(_ path: String, _ arguments: [String]) {
        self.path = path
        self.arguments = arguments
    }

    /// /bin/sh with a script.
    public static func shell(_ script: String) -> Child { Child("/bin/sh", ["-c", script]) }

    /// Starts it with `descriptors[i]` as its descriptor i; -1 leaves i closed.
    public func start(_ descriptors: [CInt] = [-1, -1, -1]) throws(Failure) -> CInt {
        var spawn = Spawn(path, [path] + arguments, environment: environment, descriptors: descriptors)
        spawn.directory = directory
        spawn.openFiles = (softLimit, hardLimit)
        spawn.family = newGroup ? .ownGroup : .ours
        do throws(Spawn.Failure) { return try spawn.start() } catch {
            throw Failure(step: error.step, error: error.errno)
        }
    }

    /// Waits until `pid` has ended, and leaves it to be reaped by somebody else.
    public static func awaitEnd(of pid: CInt) {
        var info = unsafe siginfo_t()
        while unsafe waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
    }

    /// Waits until `pid` has ended, and reaps it: its exit code, or 128 + the signal.
    public static func reap(_ pid: CInt) -> CInt {
        var status: CInt = 0
        while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
    }
}

/// Writes a script that is to be executed. A child does it: a descriptor here, open for writing, would be copied into
/// whatever child another test starts at that moment, and the program be "busy" until that one executes its own.
public func writeScript(_ text: String, to path: String) throws {
    let writer = Child("/bin/sh", ["-c", #"printf '#!/bin/sh\n%s\n' "$1" >"$2" && chmod 700 "$2""#, "sh", text, path])
    let outcome = try output(of: writer)
    guard outcome.status == 0 else { throw Missing() }
}

/// Runs a child to its end and gives what it wrote to its standard output.
public func output(of child: Child, extra descriptors: [CInt] = []) throws -> (status: CInt, text: String) {
    var pipe = try Pipe()
    let read = try take(&pipe.read)
    let write = try take(&pipe.write)
    let pid = try child.start([-1, write.rawValue, -1] + descriptors)
    try write.close()
    var bytes: [UInt8] = []
    var before = -1
    while bytes.count != before {
        before = bytes.count
        try read.readChunk(appendingTo: &bytes, capacity: 4096)
    }
    return (Child.reap(pid), String(decoding: bytes, as: UTF8.self))
}

/// Nothing was there to be taken.
public struct Missing: Error {}

/// The descriptor that an optional holds, which is empty then.
public func take(_ descriptor: inout FileDescriptor?) throws(Missing) -> FileDescriptor {
    switch descriptor.take() {
    case .some(let taken): return taken
    case .none: throw Missing()
    }
}

/// The descriptor that an optional holds.
public func require(_ descriptor: consuming FileDescriptor?) throws(Missing) -> FileDescriptor {
    var descriptor = consume descriptor
    return try take(&descriptor)
}
