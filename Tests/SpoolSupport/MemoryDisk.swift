// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Spool
public import Syscalls
public import TestSupport

/// A disk in memory that loses power: what was not synced is then there, not there, or there in part.
public final class MemoryDisk: SpoolDisk {
    private struct File {
        /// What a program sees.
        var bytes: [UInt8] = []
        /// What is on the disk for certain, and the writes that may or may not be, in order.
        var durable: [UInt8] = []
        var unsynced: [Change] = []
        /// Is the name in the folder for certain?
        var isNamed = false
    }
    private enum Change {
        case write(Int, [UInt8])
        case truncate(Int)
    }

    private var files: [String: File] = [:]
    /// Files that were removed since the folder was synced: they can come back.
    private var removed: [String: File] = [:]
    /// Bytes that all files together may have; writes beyond it fail like those of a full disk, in their middle.
    public var capacity = Int.max
    /// Every operation fails while it is set.
    public var failure: Errno?
    public private(set) var syncs = 0

    public init() {}

    public var bytes: Int { files.values.reduce(0) { $0 + $1.bytes.count } }
    public func contents(of name: String) -> [UInt8] { files[name]?.bytes ?? [] }

    /// Replaces a file as somebody else would.
    public func set(_ name: String, _ bytes: [UInt8]) {
        files[name] = File(bytes: bytes, durable: bytes, isNamed: true)
    }

    public func copy() -> MemoryDisk {
        let copy = MemoryDisk()
        copy.files = files
        return copy
    }

    /// Loses power: of what was not synced, chance decides.
    public func losePower(_ random: inout SeededRandom) {
        var left: [String: File] = [:]
        for name in (Array(files.keys) + Array(removed.keys)).sorted() {
            guard let file = files[name] ?? removed[name] else { continue }
            if files[name] == nil && Bool.random(using: &random) { continue }
            if !file.isNamed && Bool.random(using: &random) { continue }
            var bytes = file.durable
            for change in file.unsynced {
                switch Int.random(in: 0..<4, using: &random) {
                case 0: continue
                case 1:
                    if case .write(let offset, let written) = change {
                        let part = Int.random(in: 0...written.count, using: &random)
                        Self.apply(.write(offset, Array(written.prefix(part))), to: &bytes)
                    }
                default: Self.apply(change, to: &bytes)
                }
            }
            left[name] = File(bytes: bytes, durable: bytes, isNamed: true)
        }
        files = left
        removed = [:]
    }

    private static func apply(_ change: Change, to bytes: inout [UInt8]) {
        switch change {
        case .write(let offset, let written):
            if bytes.count < offset { bytes += [UInt8](repeating: 0, count: offset - bytes.count) }
            let over = min(bytes.count - offset, written.count)
            if over > 0 { bytes.replaceSubrange(offset..<(offset + over), with: written.prefix(over)) }
            bytes += written.dropFirst(over)
        case .truncate(let size):
            if bytes.count > size {
                bytes.removeSubrange(size...)
            } else {
                bytes += [UInt8](repeating: 0, count: size - bytes.count)
            }
        }
    }

    private func check(_ operation: String, _ name: String) throws(SpoolError) {
        if let failure { throw SpoolError(operation, name, failure) }
    }

    // MARK: SpoolDisk

    public func names() throws(SpoolError) -> [String] {
        try check("list", "")
        return Array(files.keys)
    }

    public func size(of name: String) throws(SpoolError) -> Int {
        try check("measure", name)
        guard let file = files[name] else { throw SpoolError("measure", name, .notFound) }
        return file.bytes.count
    }

    public func read(_ name: String, at offset: Int, count: Int) throws(SpoolError) -> [UInt8] {
        try check("read", name)
        guard let file = files[name] else { throw SpoolError("read", name, .notFound) }
        return Array(file.bytes.dropFirst(offset).prefix(count))
    }

    public func write(_ name: String, at offset: Int, _ bytes: [UInt8]) throws(SpoolError) {
        try check("write", name)
        let isNew = files[name] == nil
        let room = capacity == .max ? Int.max : capacity - self.bytes
        // Taken out, so that its bytes are not copied when they change.
        var file = files.removeValue(forKey: name) ?? File()
        let growth = max(0, offset + bytes.count - file.bytes.count)
        let taken = growth <= room ? bytes : Array(bytes.prefix(max(0, bytes.count - growth + max(0, room))))
        if !taken.isEmpty {
            Self.apply(.write(offset, taken), to: &file.bytes)
            file.unsynced.append(.write(offset, taken))
        }
        if !isNew || !taken.isEmpty || growth <= room { files[name] = file }
        if taken.count < bytes.count { throw SpoolError("write", name, Errno(rawValue: 28)) }
    }

    public func truncate(_ name: String, to size: Int) throws(SpoolError) {
        try check("cut", name)
        guard var file = files[name] else { throw SpoolError("cut", name, .notFound) }
        Self.apply(.truncate(size), to: &file.bytes)
        file.unsynced.append(.truncate(size))
        files[name] = file
    }

    public func sync(_ name: String) throws(SpoolError) {
        try check("sync", name)
        syncs += 1
        guard var file = files[name] else { throw SpoolError("sync", name, .notFound) }
        file.durable = file.bytes
        file.unsynced = []
        files[name] = file
    }

    public func syncFolder() throws(SpoolError) {
        try check("sync", "")
        for name in files.keys { files[name]?.isNamed = true }
        removed = [:]
    }

    public func remove(_ name: String) throws(SpoolError) {
        try check("remove", name)
        if let file = files.removeValue(forKey: name), file.isNamed { removed[name] = file }
    }

    public func rename(_ name: String, to target: String) throws(SpoolError) {
        try check("rename", name)
        guard let file = files.removeValue(forKey: name) else { throw SpoolError("rename", name, .notFound) }
        files[target] = file
    }
}
