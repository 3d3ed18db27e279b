// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What stands in a folder. Its name is what the kernel says, and need not be text.
public struct DirectoryEntry: Equatable, Sendable {
    public enum Kind: Equatable, Sendable { case file, directory, symbolicLink, other }

    /// With the final NUL.
    public let name: [CChar]
    public let kind: Kind
    /// The file system that it is on: another than its folder's where something is mounted.
    public let device: UInt64

    /// The name, when it is UTF-8.
    public var text: String? { String(validating: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self) }
}

// Folders by descriptor: what happens below them cannot be led elsewhere by a link that somebody puts in the way.
extension FileDescriptor {
    /// The entries of the folder, without "." and "..", in no order.
    public func entries() throws(Errno) -> [DirectoryEntry] {
        let copy = try retrying { unsafe Glibc.openat(rawValue, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }.get()
        guard let stream = unsafe fdopendir(copy) else {
            let error = Errno.current
            _ = Glibc.close(copy)
            throw error
        }
        defer { unsafe closedir(stream) }
        var names: [[CChar]] = []
        errno = 0
        while let entry = unsafe readdir(stream) {
            unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe names.append(bytes.prefix { $0 != 0 }.map(CChar.init(bitPattern:)) + [0])
            }
            errno = 0
        }
        if errno != 0 { throw Errno.current }
        var entries: [DirectoryEntry] = []
        for name in names where name != [0x2e, 0] && name != [0x2e, 0x2e, 0] {
            var status = stat()
            guard unsafe fstatat(rawValue, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                // Gone meanwhile: it is no entry any more.
                if errno == ENOENT { continue }
                throw Errno.current
            }
            let kind: DirectoryEntry.Kind =
                switch status.st_mode & S_IFMT {
                case S_IFREG: .file
                case S_IFDIR: .directory
                case S_IFLNK: .symbolicLink
                default: .other
                }
            entries.append(DirectoryEntry(name: name, kind: kind, device: UInt64(status.st_dev)))
        }
        return entries
    }

    /// The file system that the descriptor's file is on.
    public var device: UInt64 {
        var status = stat()
        return unsafe fstat(rawValue, &status) == 0 ? UInt64(status.st_dev) : 0
    }

    /// Opens a folder in this one; a link is not followed.
    public func openDirectory(_ name: [CChar]) throws(Errno) -> FileDescriptor {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        return FileDescriptor(owning: try retrying { unsafe Glibc.openat(rawValue, name, flags) }.get())
    }

    /// Makes a file in this folder that is not there yet.
    public func createFile(_ name: String, permissions: UInt32) throws(Errno) -> FileDescriptor {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        return FileDescriptor(owning: try retrying { unsafe Glibc.openat(rawValue, name, flags, permissions) }.get())
    }

    /// mkdirat(2); a folder that is there is fine.
    public func makeDirectory(_ name: [CChar], permissions: UInt32) throws(Errno) {
        if unsafe mkdirat(rawValue, name, permissions) != 0 && errno != EEXIST { throw Errno.current }
    }

    /// Removes what has this name, a folder with everything in it, links without following them. Nothing there is fine.
    /// What is mounted there is left alone.
    ///
    /// - Parameter budget: how many entries may still be removed; at 0 it ends before it is done.
    /// - Throws: why the first that could not be removed stays; everything else is gone.
    public func removeTree(_ name: [CChar], budget: inout Int) throws(Errno) {
        guard budget > 0 else { return }
        budget -= 1
        if unsafe unlinkat(rawValue, name, 0) == 0 || errno == ENOENT { return }
        guard errno == EISDIR || errno == EPERM || errno == ENOTDIR else { throw Errno.current }
        let folder = try openDirectory(name)
        guard folder.device == device else { throw Errno(rawValue: EBUSY) }
        var failure: Errno?
        for entry in try folder.entries() {
            do throws(Errno) {
                try folder.removeTree(entry.name, budget: &budget)
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        guard budget > 0 else { return }
        if unsafe unlinkat(rawValue, name, AT_REMOVEDIR) != 0 && errno != ENOENT { throw Errno.current }
    }

    /// fsync(2): what was written, or which names a folder has, survives a power cut.
    public func sync() throws(Errno) {
        if fsync(rawValue) != 0 { throw Errno.current }
    }

    /// Makes a folder and those above it, with `permissions`; one that exists is left as it is.
    public static func makeDirectories(_ path: String, permissions: UInt32 = 0o700) throws(Errno) {
        var made = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            made += "\(part)/"
            if unsafe mkdir(made, permissions) != 0 && errno != EEXIST { throw Errno.current }
        }
    }
}
