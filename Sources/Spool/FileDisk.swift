// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// A folder of the file system. Files are 0600; each is opened once and kept open while it is in use.
public final class FileDisk: SpoolDisk {
    private final class OpenFile {
        let descriptor: FileDescriptor
        init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
    }

    /// Files kept open: more lanes than that are rare, and then cost an open each time.
    private static let openLimit = 64

    public let path: String
    private let isReadOnly: Bool
    private var files: [String: OpenFile] = [:]

    /// - Parameter isReadOnly: makes nothing and changes nothing; every attempt to is a bug.
    public init(path: String, isReadOnly: Bool = false) throws(SpoolError) {
        self.path = path
        self.isReadOnly = isReadOnly
        if !isReadOnly, unsafe mkdir(path, 0o700) != 0, errno != EEXIST {
            throw SpoolError("make", path, Errno.current)
        }
    }

    private func full(_ name: String) -> String { "\(path)/\(name)" }

    private func perform<R>(
        _ operation: String,
        _ name: String,
        _ body: () throws(Errno) -> R
    ) throws(SpoolError) -> R {
        do throws(Errno) { return try body() } catch { throw SpoolError(operation, full(name), error) }
    }

    private func file(_ name: String) throws(Errno) -> OpenFile {
        if let file = files[name] { return file }
        if files.count >= Self.openLimit { files.removeAll() }
        let file = OpenFile(try open(name))
        files[name] = file
        return file
    }

    private func open(_ name: String) throws(Errno) -> FileDescriptor {
        do throws(Errno) {
            return try FileDescriptor.open(full(name), isReadOnly ? .read : .readWrite)
        } catch {
            // Somebody has removed the folder: what is open in it is lost, and it is made again.
            guard error == .notFound, !isReadOnly, unsafe mkdir(path, 0o700) == 0 else { throw error }
            files.removeAll()
            return try FileDescriptor.open(full(name), .readWrite)
        }
    }

    /// Opens without making it, which `.readWrite` does.
    private func existing(_ name: String) throws(Errno) -> OpenFile {
        if let file = files[name] { return file }
        if unsafe access(full(name), F_OK) != 0 { throw Errno.current }
        return try file(name)
    }

    public func names() throws(SpoolError) -> [String] {
        try perform("list", "") { () throws(Errno) in
            try FileDescriptor.open(path, .directory).entries().filter { $0.kind == .file }.compactMap(\.text)
        }
    }

    public func size(of name: String) throws(SpoolError) -> Int {
        try perform("measure", name) { () throws(Errno) in try existing(name).descriptor.size() }
    }

    public func read(_ name: String, at offset: Int, count: Int) throws(SpoolError) -> [UInt8] {
        try perform("read", name) { () throws(Errno) in
            let file = try existing(name)
            do throws(Errno) {
                return try file.descriptor.read(at: offset, count: count)
            } catch {
                guard error.rawValue == EIO else { throw error }
                return try Self.readAround(file.descriptor, at: offset, count: count)
            }
        }
    }

    /// What cannot be read is zeros: the checksums say what that costs, and everything around it is saved.
    private static func readAround(
        _ file: borrowing FileDescriptor,
        at offset: Int,
        count: Int
    ) throws(Errno) -> [UInt8] {
        let end = min(offset + count, try file.size())
        var bytes: [UInt8] = []
        while offset + bytes.count < end {
            let place = offset + bytes.count
            let size = min(4096 - place % 4096, end - place)
            do throws(Errno) {
                bytes += try file.read(at: place, count: size)
            } catch {
                guard error.rawValue == EIO else { throw error }
                bytes += [UInt8](repeating: 0, count: size)
            }
        }
        return bytes
    }

    public func write(_ name: String, at offset: Int, _ bytes: [UInt8]) throws(SpoolError) {
        precondition(!isReadOnly, "writing to a spool that is only looked at")
        try perform("write", name) { () throws(Errno) in
            unsafe try file(name).descriptor.write(bytes.span.bytes, at: offset)
        }
    }

    public func truncate(_ name: String, to size: Int) throws(SpoolError) {
        precondition(!isReadOnly, "cutting a spool that is only looked at")
        try perform("cut", name) { () throws(Errno) in try existing(name).descriptor.truncate(to: size) }
    }

    public func sync(_ name: String) throws(SpoolError) {
        try perform("sync", name) { () throws(Errno) in try existing(name).descriptor.syncData() }
    }

    public func syncFolder() throws(SpoolError) {
        try perform("sync", "") { () throws(Errno) in
            try FileDescriptor.open(path, .directory).sync()
        }
    }

    public func remove(_ name: String) throws(SpoolError) {
        precondition(!isReadOnly, "removing from a spool that is only looked at")
        files[name] = nil
        if unsafe unlink(full(name)) != 0 && errno != ENOENT { throw SpoolError("remove", full(name), Errno.current) }
    }

    public func rename(_ name: String, to target: String) throws(SpoolError) {
        precondition(!isReadOnly, "renaming in a spool that is only looked at")
        files[name] = nil
        files[target] = nil
        try perform("rename", name) { () throws(Errno) in try FileDescriptor.rename(full(name), to: full(target)) }
    }
}
