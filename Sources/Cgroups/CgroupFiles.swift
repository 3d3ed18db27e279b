// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Syscalls

/// Files of the kernel's cgroup file systems: short texts, written whole.
public enum CgroupFiles {
    public static func write(_ text: String, to path: String) throws(Errno) {
        let file = try FileDescriptor.open(path, .write)
        unsafe try file.writeAll(Array(text.utf8).span.bytes)
    }

    /// Nil where it cannot be read.
    public static func read(_ path: String) -> String? {
        (try? FileDescriptor.readFile(path)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// A file of one number; nil for "max" and where there is none.
    public static func number(_ path: String) -> Int64? {
        read(path).flatMap { Int64($0.prefix { $0 != "\n" }) }
    }

    /// The value of a line "NAME VALUE".
    public static func value(_ name: String, in path: String) -> Int64? {
        for line in read(path)?.split(separator: "\n") ?? [] {
            let fields = line.split(separator: " ")
            if fields.count == 2, fields[0] == name { return Int64(fields[1]) }
        }
        return nil
    }

    /// The controllers that a cgroup of version 2 has to give to those below it.
    public static func controllers(_ directory: String) -> [CgroupController] {
        let names = (read("\(directory)/cgroup.controllers") ?? "").split { $0 == " " || $0 == "\n" }
        return CgroupController.allCases.filter { names.contains(Substring($0.rawValue)) }
    }

    /// The processes in a cgroup, those below it not among them.
    public static func processes(_ directory: String) -> [Int32] {
        (read("\(directory)/cgroup.procs") ?? "").split(separator: "\n").compactMap { Int32($0) }
    }

    /// mkdir(2); one that is there is good.
    public static func make(_ directory: String) throws(Errno) {
        if unsafe mkdir(directory, 0o755) != 0 && errno != EEXIST { throw Errno.current }
    }

    public static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
}
