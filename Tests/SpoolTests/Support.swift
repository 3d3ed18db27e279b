// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport
import Syscalls
import TestSupport

/// Something that must not be. A test that makes thousands of checks ends with the first one that fails.
struct Contradiction: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

func check(_ condition: Bool, _ what: @autoclosure () -> String) throws(Contradiction) {
    guard condition else { throw Contradiction(what()) }
}

/// Makes the batches of one lane, one behind the other.
struct BatchLine {
    var end = SpoolPosition.zero

    init(from place: SpoolPosition = .zero) { end = place }

    mutating func next(size: Int, records: UInt32 = 1) -> SpoolBatch {
        let payload = [UInt8].pattern(size, from: 1_000_000 * Int(end.sequence))
        let batch = SpoolBatch(position: end, records: records, payload: payload)
        end = batch.end
        return batch
    }

    mutating func next(_ count: Int, size: Int) -> [SpoolBatch] {
        (0..<count).map { next(size: size, records: UInt32(1 + $0 % 3)) }
    }
}

extension SpoolBatch {
    func isSame(_ other: SpoolBatch) -> Bool {
        position == other.position && records == other.records && areEqual(payload, other.payload)
    }
}

/// Compares at the speed of memory, also in a debug build.
func areSame(_ left: some Sequence<SpoolBatch>, _ right: some Sequence<SpoolBatch>) -> Bool {
    left.elementsEqual(right) { $0.isSame($1) }
}

/// The places of batches as text.
func places(_ batches: some Sequence<SpoolBatch>) -> String {
    "[" + batches.map { String($0.position.sequence) }.joined(separator: " ") + "]"
}

extension SpoolStore {
    /// Everything that can be read from `place` on.
    func readAll(_ lane: SpoolLane, from place: SpoolPosition, maximum: Int = 1 << 20) throws -> [SpoolBatch] {
        var batches: [SpoolBatch] = []
        var place = place
        while true {
            let piece = try read(lane, from: place, maximum: maximum)
            batches += piece.batches
            guard piece.next > place else { return batches }
            place = piece.next
        }
    }

    func contents(of lane: SpoolLane) -> SpoolContents? { contents.first { $0.lane == lane } }
}

extension MemoryDisk {
    /// All files by their names.
    func snapshot() throws -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        for name in try names() { files[name] = contents(of: name) }
        return files
    }

    /// Names of the segments of the lane whose files begin with `stem`.
    func segments(_ stem: String) throws -> [String] {
        try names().filter { $0.hasPrefix(stem + "-") && $0.hasSuffix(".spool") }.sorted()
    }
}

/// A disk that counts what is read, and that stops in the middle of a request when it is told to.
final class WatchedDisk: SpoolDisk {
    struct Read: Equatable {
        var name: String
        var count: Int
    }

    private let disk: MemoryDisk
    private(set) var reads: [Read] = []
    /// Operations that are still done; nil is all of them.
    private var left: Int?
    /// What is still written of the bytes that come next.
    private var part: Int?

    init(_ disk: MemoryDisk) { self.disk = disk }

    /// After so many operations nothing works any more. With a part, the write that would come next is begun: its
    /// process dies over it.
    func stop(after operations: Int, writing part: Int? = nil) {
        left = operations
        self.part = part
    }

    /// From now on everything works, and counting begins anew.
    func heal() {
        left = nil
        part = nil
        reads = []
    }

    private func check(_ operation: String, _ name: String) throws(SpoolError) {
        guard let left else { return }
        // EIO
        guard left > 0 else { throw SpoolError(operation, name, Errno(rawValue: 5)) }
        self.left = left - 1
    }

    func names() throws(SpoolError) -> [String] {
        try check("list", "")
        return try disk.names()
    }

    func size(of name: String) throws(SpoolError) -> Int {
        try check("measure", name)
        return try disk.size(of: name)
    }

    func read(_ name: String, at offset: Int, count: Int) throws(SpoolError) -> [UInt8] {
        try check("read", name)
        let bytes = try disk.read(name, at: offset, count: count)
        reads.append(Read(name: name, count: bytes.count))
        return bytes
    }

    func write(_ name: String, at offset: Int, _ bytes: [UInt8]) throws(SpoolError) {
        if left == 0, let part {
            self.part = nil
            try disk.write(name, at: offset, Array(bytes.prefix(part)))
        }
        try check("write", name)
        try disk.write(name, at: offset, bytes)
    }

    func truncate(_ name: String, to size: Int) throws(SpoolError) {
        try check("cut", name)
        try disk.truncate(name, to: size)
    }

    func sync(_ name: String) throws(SpoolError) {
        try check("sync", name)
        try disk.sync(name)
    }

    func syncFolder() throws(SpoolError) {
        try check("sync", "")
        try disk.syncFolder()
    }

    func remove(_ name: String) throws(SpoolError) {
        try check("remove", name)
        try disk.remove(name)
    }

    func rename(_ name: String, to target: String) throws(SpoolError) {
        try check("rename", name)
        try disk.rename(name, to: target)
    }
}
