// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CArchive
import CLinux
import Glibc
import Syscalls

/// Unpacks a tar.gz into an empty folder, trusting nothing in it: libarchive takes it apart, and every file is made here,
/// below the folder's descriptor, one folder after the other without following links.
///
/// To be done in a process that is confined to the folder (`CLinux_confine`): what is wrong with a parser is then wrong in
/// there.
@safe
struct Unpacking {
    struct Limits {
        /// Files, folders and links.
        var entries = 100_000
        /// Bytes of all files.
        var bytes: Int64 = 2 << 30
        /// Bytes that may come before the ratio is looked at, and how many times the compressed bytes there may be: text
        /// compresses to a twentieth, a bomb to a thousandth.
        var unquestioned: Int64 = 64 << 20
        var ratio: Int64 = 50
        /// Bytes that are left free on the file system.
        var reserve: Int64 = 4 << 20
        init() {}
    }

    /// Bytes of all paths together: they stand in the manifest.
    private static let pathBytes = 4 << 20
    /// Folders in folders.
    private static let depthLimit = 64
    private static let blockSize = 10240

    private let archive: OpaquePointer?
    private let target: CInt
    private let limits: Limits
    private var entries = 0
    private var bytes: Int64 = 0
    private var pathBytes = 0
    /// Of files and links, below the folder.
    private var files: Set<String> = []

    /// - Parameters:
    ///   - file: the archive, from its beginning on.
    ///   - folder: where to; both stay the caller's.
    private init(_ file: borrowing FileDescriptor, into folder: borrowing FileDescriptor, _ limits: Limits) {
        unsafe archive = archive_read_new()
        target = folder.rawValue
        self.limits = limits
    }

    /// - Returns: the paths of the files and links that were made.
    /// - Throws: `InstallFailure.refused` for what is wrong with the archive, `.failed` for what is wrong with the disk.
    static func unpack(
        _ file: borrowing FileDescriptor,
        into folder: borrowing FileDescriptor,
        limits: Limits = Limits()
    ) throws(InstallFailure) -> [String] {
        var unpacking = Unpacking(file, into: folder, limits)
        defer { unsafe archive_read_free(unpacking.archive) }
        guard unsafe archive_read_support_format_tar(unpacking.archive) == ARCHIVE_OK,
            unsafe archive_read_support_filter_gzip(unpacking.archive) == ARCHIVE_OK,
            unsafe archive_read_open_fd(unpacking.archive, file.rawValue, blockSize) == ARCHIVE_OK
        else { throw .refused("the archive is damaged: \(unpacking.libraryError)") }
        try unpacking.run()
        return unpacking.files.sorted()
    }

    private var libraryError: String {
        unsafe archive_error_string(archive).map { unsafe String(cString: $0) } ?? "no reason given"
    }

    private mutating func run() throws(InstallFailure) {
        while true {
            var entry: OpaquePointer?
            let result = unsafe archive_read_next_header(archive, &entry)
            if result == ARCHIVE_EOF { return }
            guard result >= ARCHIVE_WARN, let entry = unsafe entry else {
                throw .refused("the archive is damaged: \(libraryError)")
            }
            entries += 1
            guard entries <= limits.entries else {
                throw .refused("the archive has more than \(limits.entries) entries")
            }
            try unsafe make(entry)
        }
    }

    // MARK: Entries

    private mutating func make(_ entry: OpaquePointer) throws(InstallFailure) {
        guard let raw = unsafe archive_entry_pathname_utf8(entry) ?? archive_entry_pathname(entry),
            let name = unsafe String(validatingCString: raw)
        else { throw .refused("the archive has a name in it that is not UTF-8") }
        let path = try Self.path(name)
        pathBytes += name.utf8.count
        guard pathBytes <= Self.pathBytes else { throw .refused("the archive has more than 4 MiB of names in it") }
        let mode = unsafe archive_entry_perm(entry)
        if let link = unsafe archive_entry_hardlink(entry) {
            return try makeHardLink(path, to: unsafe String(cString: link))
        }
        switch unsafe archive_entry_filetype(entry) {
        case S_IFDIR: if !path.isEmpty { _ = try openFolder(path) }
        case S_IFREG: try makeFile(path, executable: mode & 0o111 != 0, size: unsafe archive_entry_size(entry))
        case S_IFLNK:
            guard let link = unsafe archive_entry_symlink(entry) else { throw .refused("\(name): a link to nothing") }
            try makeSymbolicLink(path, to: unsafe String(cString: link))
        default:
            throw .refused(
                "\(name) is a device, a socket or a FIFO; only files, folders and links may be in an archive"
            )
        }
    }

    /// The parts of a path that stays below the folder; empty for the folder itself.
    private static func path(_ name: String) throws(InstallFailure) -> [String] {
        guard name.utf8.first != slash else { throw .refused("\(name.prefix(200)) is an absolute path") }
        let parts = Self.parts(name).filter { $0 != "." }
        guard !parts.contains("..") else { throw .refused("\(name.prefix(200)) leads out of the archive") }
        guard parts.count <= depthLimit, parts.allSatisfy({ $0.utf8.count <= 255 }) else {
            throw .refused("\(name.prefix(200))… is too deep or too long")
        }
        guard parts.first.map({ !$0.utf8.elementsEqual(Manifest.fileName.utf8) }) ?? true else {
            throw .refused("\(name) is the agent's own name for something")
        }
        return parts
    }

    private static let slash = UInt8(ascii: "/")

    /// As the kernel sees a path, byte by byte: to a Character, a slash with an accent on it is none.
    private static func parts(_ path: String) -> [String] {
        path.utf8.split(separator: slash).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Opens a folder below the target, making what is missing. A link in the way ends it.
    private func openFolder(_ path: some Collection<String>) throws(InstallFailure) -> FileDescriptor {
        do throws(Errno) {
            var folder = FileDescriptor(owning: try duplicate(target))
            for part in path {
                let name = part.utf8CString.map(\.self)
                try folder.makeDirectory(name, permissions: 0o755)
                let inner = try folder.openDirectory(name)
                folder = inner
            }
            return folder
        } catch {
            let name = path.joined(separator: "/")
            if [ENOTDIR, ELOOP].contains(error.rawValue) {
                throw .refused("\(name): the archive has something else than a folder of that name")
            }
            throw .failed("\(name): \(error)")
        }
    }

    private func duplicate(_ raw: CInt) throws(Errno) -> CInt {
        let copy = CLinux_duplicate(raw)
        if copy < 0 { throw Errno.current }
        return copy
    }

    /// The folder of what is to be made, and its name there; what had that name is gone, as with every tar.
    private func place(_ path: [String]) throws(InstallFailure) -> (folder: CInt, name: String) {
        guard let name = path.last else { throw .refused("the archive has a file without a name") }
        let folder = try openFolder(path.dropLast())
        if unsafe unlinkat(folder.rawValue, name, 0) != 0 && errno == EISDIR {
            throw .refused("\(path.joined(separator: "/")): the archive has a folder of that name as well")
        }
        return (folder.release(), name)
    }

    private mutating func makeFile(_ path: [String], executable: Bool, size: Int64) throws(InstallFailure) {
        let place = try place(path)
        let folder = FileDescriptor(owning: place.folder)
        let shown = path.joined(separator: "/")
        try checkSpace(folder, size, shown)
        let file: FileDescriptor
        do throws(Errno) {
            // Never more than its owner may write, and nothing of setuid and its like.
            file = try folder.createFile(place.name, permissions: executable ? 0o755 : 0o644)
        } catch {
            throw .failed("\(shown): \(error)")
        }
        try copyContent(to: file, shown)
        remember(shown)
    }

    private mutating func copyContent(to file: borrowing FileDescriptor, _ shown: String) throws(InstallFailure) {
        let archive = unsafe self.archive
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes {
                unsafe archive_read_data(archive, $0.baseAddress, $0.count)
            }
            if count == 0 { return }
            guard count > 0 else { throw .refused("\(shown): the archive is damaged: \(libraryError)") }
            bytes += Int64(count)
            guard bytes <= limits.bytes else {
                throw .refused("the archive unpacks to more than \(limits.bytes) bytes")
            }
            let compressed = unsafe archive_filter_bytes(archive, -1)
            guard bytes <= limits.unquestioned + limits.ratio * compressed else {
                throw .refused("\(bytes) bytes came out of \(compressed) of the archive: it is a bomb")
            }
            do throws(Errno) {
                unsafe try file.writeAll(buffer.span.bytes.extracting(first: count))
            } catch {
                throw .failed("\(shown) cannot be written: \(error)")
            }
        }
    }

    private func checkSpace(_ folder: borrowing FileDescriptor, _ size: Int64, _ shown: String) throws(InstallFailure) {
        var status = statvfs()
        guard unsafe fstatvfs(folder.rawValue, &status) == 0 else { return }
        let free = Int64(
            clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue
        )
        // A size that is beyond all limits is the archive's fault, and found out when it is read.
        guard size <= limits.bytes, free < size + limits.reserve else { return }
        throw .failed(
            "the disk is full: \(shown) needs \(size) bytes and \(limits.reserve) in reserve, \(free) are free"
        )
    }

    /// Only downwards: a chain of such links can never lead out of the folder.
    private mutating func makeSymbolicLink(_ path: [String], to link: String) throws(InstallFailure) {
        let shown = path.joined(separator: "/")
        let parts = Self.parts(link)
        guard link.utf8.first != Self.slash, !parts.contains(".."), !parts.isEmpty else {
            throw .refused("\(shown) is a link to \(link.prefix(200)), which may lead out of the archive")
        }
        let place = try place(path)
        let folder = FileDescriptor(owning: place.folder)
        if unsafe symlinkat(link, folder.rawValue, place.name) != 0 { throw .failed("\(shown): \(Errno.current)") }
        remember(shown)
    }

    private mutating func makeHardLink(_ path: [String], to link: String) throws(InstallFailure) {
        let shown = path.joined(separator: "/")
        let source = try Self.path(link)
        guard files.contains(source.joined(separator: "/")), let sourceName = source.last else {
            throw .refused("\(shown) is a hard link to \(link.prefix(200)), which is not in the archive before it")
        }
        guard source != path else { return }
        let from = try openFolder(source.dropLast())
        let place = try place(path)
        let folder = FileDescriptor(owning: place.folder)
        if unsafe linkat(from.rawValue, sourceName, folder.rawValue, place.name, 0) != 0 {
            throw .failed("\(shown): \(Errno.current)")
        }
        remember(shown)
    }

    private mutating func remember(_ path: String) { files.insert(path) }
}
