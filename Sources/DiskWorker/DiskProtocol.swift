// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Syscalls

/// The bytes between the agent and its worker: a length (u32, of what follows), a number (u64) and a body. Integers are
/// little-endian: both ends are the same program on the same machine.
enum DiskProtocol {
    /// Of a file's content, or of a question: a batch of the spool can be one record of 8 MiB.
    static let maximumBytes = 10 << 20
    static let maximumPath = 4095
    /// Of a frame without its length.
    static let maximumFrame = maximumBytes + (64 << 10)
    static let headerSize = 4

    static func encode(_ operation: DiskOperation, number: UInt64) -> [UInt8] {
        var writer = FrameWriter(number: number)
        switch operation {
        case .writeFile(let path, let bytes, let mode):
            writer.integer(1)
            writer.text(path)
            writer.integer(Int64(mode))
            writer.bytes(bytes)
        case .rotate(let path):
            writer.integer(2)
            writer.text(path)
        case .compress(let path):
            writer.integer(3)
            writer.text(path)
        case .prune(let directory, let stem, let keep, let maximumAge):
            writer.integer(4)
            writer.text(directory)
            writer.text(stem)
            writer.integer(Int64(keep))
            writer.integer(maximumAge)
        case .directorySize(let path, let excluding):
            writer.integer(5)
            writer.text(path)
            writer.integer(Int64(excluding.count))
            for name in excluding { writer.text(name) }
        case .read(let path, let offset, let count, let inode):
            writer.integer(6)
            writer.text(path)
            writer.integer(offset)
            writer.integer(Int64(count))
            writer.integer(Int64(bitPattern: inode))
        case .cut(let path, let keep):
            writer.integer(8)
            writer.text(path)
            writer.integer(Int64(keep))
        case .call(let service, let argument):
            writer.integer(7)
            writer.text(service)
            writer.bytes(argument)
        }
        return writer.frame
    }

    /// - Parameter frame: without its length. Nil when it makes no sense.
    static func decodeOperation(_ frame: [UInt8]) -> (number: UInt64, operation: DiskOperation)? {
        var reader = FrameReader(frame)
        guard let number = reader.integer(), let kind = reader.integer() else { return nil }
        let operation: DiskOperation
        switch kind {
        case 1:
            guard let path = reader.path(), let mode = reader.integer(), let bytes = reader.bytes() else { return nil }
            operation = .writeFile(path: path, bytes: bytes, mode: UInt32(truncatingIfNeeded: mode))
        case 2:
            guard let path = reader.path() else { return nil }
            operation = .rotate(path: path)
        case 3:
            guard let path = reader.path() else { return nil }
            operation = .compress(path: path)
        case 4:
            guard let directory = reader.path(), let stem = reader.path(), let keep = reader.integer(),
                let age = reader.integer()
            else { return nil }
            operation = .prune(directory: directory, stem: stem, keep: Int(keep), maximumAge: age)
        case 5:
            guard let path = reader.path(), let count = reader.integer(), (0...64).contains(count) else { return nil }
            var names: [String] = []
            for _ in 0..<count {
                guard let name = reader.path() else { return nil }
                names.append(name)
            }
            operation = .directorySize(path: path, excluding: names)
        case 6:
            guard let path = reader.path(), let offset = reader.integer(), offset >= 0, let count = reader.integer(),
                (0...Int64(maximumBytes)).contains(count), let inode = reader.integer()
            else { return nil }
            operation = .read(path: path, offset: offset, count: Int(count), inode: UInt64(bitPattern: inode))
        case 8:
            guard let path = reader.path(), let keep = reader.integer(), (0...Int64(maximumBytes)).contains(keep) else {
                return nil
            }
            operation = .cut(path: path, keep: Int(keep))
        case 7:
            guard let service = reader.path(), let argument = reader.bytes() else { return nil }
            operation = .call(service: service, argument: argument)
        default: return nil
        }
        return reader.isAtEnd ? (UInt64(bitPattern: number), operation) : nil
    }

    static func encode(_ result: Result<DiskAnswer, DiskError>, number: UInt64) -> [UInt8] {
        var writer = FrameWriter(number: number)
        switch result {
        case .success(.done): writer.integer(1)
        case .success(.path(let path)):
            writer.integer(2)
            writer.text(path)
        case .success(.size(let size)):
            writer.integer(3)
            writer.integer(Int64(clamping: size.bytes))
            writer.integer(Int64(size.entries))
            writer.integer(size.isPartial ? 1 : 0)
        case .success(.part(let part)):
            writer.integer(5)
            writer.bytes(part.bytes)
            writer.integer(part.size)
            writer.integer(Int64(bitPattern: part.inode))
        case .success(.bytes(let bytes)):
            writer.integer(6)
            writer.bytes(bytes)
        case .failure(let error):
            writer.integer(4)
            writer.text(error.operation)
            writer.text(error.path)
            writer.integer(Int64(error.errno?.rawValue ?? 0))
            writer.text(error.detail)
        }
        return writer.frame
    }

    static func decodeAnswer(_ frame: [UInt8]) -> (number: UInt64, result: Result<DiskAnswer, DiskError>)? {
        var reader = FrameReader(frame)
        guard let number = reader.integer(), let kind = reader.integer() else { return nil }
        let result: Result<DiskAnswer, DiskError>
        switch kind {
        case 1: result = .success(.done)
        case 2:
            guard let path = reader.path() else { return nil }
            result = .success(.path(path))
        case 3:
            guard let bytes = reader.integer(), let entries = reader.integer(), let partial = reader.integer() else {
                return nil
            }
            let size = DirectorySize(bytes: UInt64(max(0, bytes)), entries: Int(entries), isPartial: partial != 0)
            result = .success(.size(size))
        case 4:
            guard let operation = reader.path(), let path = reader.path(), let code = reader.integer(),
                let detail = reader.path()
            else { return nil }
            let error =
                code == 0
                ? DiskError(operation, path, detail: detail)
                : DiskError(operation, path, Errno(rawValue: CInt(truncatingIfNeeded: code)))
            result = .failure(error)
        case 5:
            guard let bytes = reader.bytes(), let size = reader.integer(), let inode = reader.integer() else {
                return nil
            }
            result = .success(.part(FilePart(bytes: bytes, size: size, inode: UInt64(bitPattern: inode))))
        case 6:
            guard let bytes = reader.bytes() else { return nil }
            result = .success(.bytes(bytes))
        default: return nil
        }
        return reader.isAtEnd ? (UInt64(bitPattern: number), result) : nil
    }

    /// The length that the first four bytes announce; nil when it is beyond the limit.
    static func length(_ header: ArraySlice<UInt8>) -> Int? {
        let length = header.reversed().reduce(0) { $0 << 8 | Int($1) }
        return length <= maximumFrame ? length : nil
    }
}

private struct FrameWriter {
    private var body: [UInt8] = []

    init(number: UInt64) { integer(Int64(bitPattern: number)) }

    mutating func integer(_ value: Int64) {
        for shift in stride(from: 0, to: 64, by: 8) { body.append(UInt8(truncatingIfNeeded: value >> Int64(shift))) }
    }

    mutating func bytes(_ value: [UInt8]) {
        integer(Int64(value.count))
        body += value
    }

    mutating func text(_ value: String) { bytes(Array(value.utf8)) }

    var frame: [UInt8] {
        let count = UInt32(body.count)
        return (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * UInt32($0))) } + body
    }
}

private struct FrameReader {
    private let body: [UInt8]
    private var position = 0

    init(_ body: [UInt8]) { self.body = body }

    var isAtEnd: Bool { position == body.count }

    mutating func integer() -> Int64? {
        guard body.count - position >= 8 else { return nil }
        defer { position += 8 }
        return body[position..<(position + 8)].reversed().reduce(0) { $0 << 8 | Int64($1) }
    }

    mutating func bytes(limit: Int = DiskProtocol.maximumBytes) -> [UInt8]? {
        guard let count = integer(), count >= 0, count <= limit, count <= Int64(body.count - position) else {
            return nil
        }
        defer { position += Int(count) }
        return Array(body[position..<(position + Int(count))])
    }

    /// A path, or other text no longer than one.
    mutating func path() -> String? {
        bytes(limit: DiskProtocol.maximumPath).map { String(decoding: $0, as: UTF8.self) }
    }
}
