// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A folder that looks like /proc, removed with this object.
final class ProcFixture {
    let root: String
    let bootTime = 1_700_000_000
    var passwd: String { root + "/passwd" }

    init() throws {
        root = FileManager.default.temporaryDirectory.appendingPathComponent("proc-" + UUID().uuidString).path
        try makeFolder(root)
        try write("cpu  1 2 3\nintr 5 0 0\nbtime \(bootTime)\nprocesses 9\n", to: "stat")
        let users = ["root:x:0:0:root:/root:/bin/sh", "broken line", "web:x:33:33::/:/bin/false", "web2:x:33:33::/:"]
        try write(users.map { $0 + "\n" }.joined(), to: "passwd")
        try link("pid:[4026531836]", at: "self/ns/pid")
    }

    deinit {
        try? FileManager.default.removeItem(atPath: root)
    }

    func write(_ content: some Collection<UInt8>, to path: String) throws {
        let full = root + "/" + path
        try makeFolder((full as NSString).deletingLastPathComponent)
        try Data(content).write(to: URL(fileURLWithPath: full))
    }

    func write(_ content: String, to path: String) throws {
        try write(content.utf8, to: path)
    }

    func link(_ target: String, at path: String) throws {
        let full = root + "/" + path
        try makeFolder((full as NSString).deletingLastPathComponent)
        try FileManager.default.createSymbolicLink(atPath: full, withDestinationPath: target)
    }

    /// `/proc/<pid>/stat` with the fields that matter.
    func writeStat(_ pid: Int, comm: String = "name", flags: UInt = 0x40_0000, startTicks: UInt64 = 1234) throws {
        let fields = "S 1 2 3 0 -1 \(flags) 10 11 12 13 14 15 16 17 20 0 1 0 \(startTicks) 22 23 24"
        try write("\(pid) (\(comm)) \(fields)\n", to: "\(pid)/stat")
    }

    private func makeFolder(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
}

/// A reproducible sequence (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
