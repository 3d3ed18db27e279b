// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Dispatch
import ElkeidPlugin
import Foundation
import Glibc
import Synchronization

/// The pipes of one plugin, with the agent's ends for the test. The test closes what it holds; `deinit` does the rest.
final class AgentSide: Sendable {
    let tasks: Pipe
    let records: Pipe
    let highPriorityRecords: Pipe
    let plugin: PluginDescriptors

    init(withHighPriority: Bool = false) throws {
        (tasks, records, highPriorityRecords) = (try Pipe(), try Pipe(), try Pipe())
        plugin = PluginDescriptors(
            tasks: tasks.takeReader(),
            records: records.takeWriter(),
            highPriorityRecords: withHighPriority ? highPriorityRecords.takeWriter() : nil
        )
    }
}

/// A pipe whose ends are closed at most once.
final class Pipe: Sendable {
    private let ends: Mutex<[CInt?]>

    init() throws {
        var descriptors: [CInt] = [-1, -1]
        guard unsafe pipe(&descriptors) == 0 else { throw POSIXError(.EMFILE) }
        // Keeps children that other tests start from holding these ends open.
        for descriptor in descriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        ends = Mutex(descriptors)
    }

    deinit {
        closeReader()
        closeWriter()
    }

    var reader: CInt { ends.withLock { $0[0] ?? -1 } }
    var writer: CInt { ends.withLock { $0[1] ?? -1 } }
    func takeReader() -> CInt { take(0) ?? -1 }
    func takeWriter() -> CInt { take(1) ?? -1 }
    func closeReader() { _ = take(0).map { close($0) } }
    func closeWriter() { _ = take(1).map { close($0) } }

    private func take(_ index: Int) -> CInt? {
        ends.withLock { (ends) in
            defer { ends[index] = nil }
            return ends[index]
        }
    }

    func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(writer, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// What one read returns, empty at the end.
    func readSome(limit: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(reader, $0.baseAddress, $0.count) }
        return Array(bytes.prefix(max(count, 0)))
    }

    /// Exactly this many bytes, fewer only at the end.
    func read(exactly count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let more = readSome(limit: count - bytes.count)
            if more.isEmpty { break }
            bytes += more
        }
        return bytes
    }

    /// One frame with its length, or what there is of it at the end.
    func readFrame() -> [UInt8] {
        let length = read(exactly: 4)
        guard length.count == 4 else { return length }
        return length + read(exactly: length.enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) })
    }

    func readToEnd(chunk: Int = 1 << 16) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let more = readSome(limit: chunk)
            if more.isEmpty { return bytes }
            bytes += more
        }
    }
}

/// Runs on a thread of its own: what blocks must not hold up the threads that tests run on.
final class Background<Result: Sendable>: Sendable {
    private let result = Mutex<Result?>(nil)
    private let hasEnded = DispatchSemaphore(value: 0)

    init(_ body: @escaping @Sendable () -> Result) {
        Thread.detachNewThread {
            let value = body()
            self.result.withLock { $0 = value }
            self.hasEnded.signal()
        }
    }

    /// Waits for the end.
    func value() -> Result? {
        hasEnded.wait()
        // For the next caller.
        hasEnded.signal()
        return result.withLock { $0 }
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

func frame(_ body: [UInt8]) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: body.count >> (8 * $0)) } + body
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { String(format: "%02x", $0) }.joined()
}

func bytes(hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// Raises the signal and returns when it has been handled: threads that tests run on block signals.
func deliver(_ signal: CInt) {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, signal)
    unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    raise(signal)
}
