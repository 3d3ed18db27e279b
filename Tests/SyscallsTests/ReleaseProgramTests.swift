// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Syscalls
import TestSupport
import Testing

/// Variables of the program's file, with pages around them that nothing else writes to: those that were written to are the
/// process's own, the others the file's.
private nonisolated(unsafe) var written: UInt64 = 0x1122_3344_5566_7788
private nonisolated(unsafe) var untouched: UInt64 = 0x99aa_bbcc_ddee_ff00
private nonisolated(unsafe) var zero: UInt64 = 0

/// In processes of their own, since what one thread writes between the question and the answer would be lost.
@Suite("CLinux: release of the program's pages")
struct ReleaseProgramTests {
    /// In KiB. What statm(5) says may lag behind.
    private static func resident() throws -> Int {
        let text = try FileDescriptor.readFile("/proc/self/smaps_rollup")
        for line in text.split(separator: UInt8(ascii: "\n")) where line.starts(with: "Rss:".utf8) {
            return Int(String(decoding: line.filter { 0x30...0x39 ~= $0 }, as: UTF8.self)) ?? 0
        }
        return 0
    }

    /// Changed variables keep their values, through several releases; so does what the loader wrote, or nothing after it
    /// would run.
    @Test func writtenPagesStay() async {
        await #expect(processExitsWith: .success) {
            for round in 1...5 as ClosedRange<UInt64> {
                unsafe written &+= round
                unsafe zero += round
                let expected = unsafe (written, zero)
                CLinux_release_program()
                guard unsafe written == expected.0, unsafe zero == expected.1 else { exit(2) }
            }
            guard unsafe written == 0x1122_3344_5566_7788 + 15, unsafe zero == 15 else { exit(3) }
            guard unsafe untouched == 0x99aa_bbcc_ddee_ff00 else { exit(4) }
            // Code and tables that have not been used yet come back from the file.
            guard "\(Errno.notFound)".isEmpty == false, [3, 1, 2].sorted() == [1, 2, 3] else { exit(5) }
            exit(0)
        }
    }

    /// Linux 4.0 and 4.1 give the page map to the privileged only.
    @Test(.enabled(if: (try? FileDescriptor.open("/proc/self/pagemap", .read)) != nil, "there is no page map"))
    func residentMemoryShrinks() async {
        await #expect(processExitsWith: .success) {
            let before = try Self.resident()
            CLinux_release_program()
            let after = try Self.resident()
            // Starting alone has touched more than that of the libraries.
            guard before > 0, after > 0, after < before - 1000 else { exit(2) }
            exit(0)
        }
    }

    /// Without /proc, or any descriptor for it, nothing is released.
    @Test func doesNothingWithoutThePageMap() async {
        await #expect(processExitsWith: .success) {
            let before = try Self.resident()
            var limit = rlimit(rlim_cur: 0, rlim_max: 0)
            guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { exit(2) }
            let old = limit.rlim_cur
            limit.rlim_cur = 0
            guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { exit(3) }
            CLinux_release_program()
            limit.rlim_cur = old
            guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { exit(4) }
            guard try Self.resident() >= before - 200 else { exit(5) }
            exit(0)
        }
    }
}
