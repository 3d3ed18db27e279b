// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// The paths that belong to a version, and the folders that lead to them.
struct OwnedPaths {
    let files: Set<String>
    let folders: Set<String>

    init(_ files: [String]) {
        self.files = Set(files + [Manifest.fileName])
        var folders = Set<String>()
        for file in files {
            var path = file[...]
            while let slash = path.lastIndex(of: "/") {
                path = path[..<slash]
                guard folders.insert(String(path)).inserted else { break }
            }
        }
        self.folders = folders
    }
}

// The files in a component's folder that belong to no version: what the plugin made outlives its versions.
extension ComponentStore {
    /// What belongs to the version in place; of a folder that nobody has described only the program is known to.
    func ownedPaths(_ name: String) -> OwnedPaths { OwnedPaths(manifest(in: folder(name))?.files ?? [name]) }

    /// Gives what a version does not own to another folder as well: by hard links, so that no byte is copied. What that
    /// folder has under the same path stays as it is.
    func carryOver(from old: String, except owned: OwnedPaths, into new: String) throws(StoreFailure) {
        try carryOver(Place(try directory(old), old), try directory(new), except: owned)
        try syncFolder(new)
    }

    /// Removes everything below a folder that a version does not own.
    func removeAll(from folder: String, but owned: OwnedPaths) throws(StoreFailure) {
        try removeAll(from: Place(try directory(folder), folder), but: owned)
    }

    /// A folder in a walk.
    private struct Place: ~Copyable {
        let descriptor: FileDescriptor
        /// For messages.
        let path: String
        /// Of what is in it, in the terms of a manifest; nil below a name that is no text.
        let prefix: String?

        init(_ descriptor: consuming FileDescriptor, _ path: String, prefix: String? = "") {
            self.descriptor = descriptor
            self.path = path
            self.prefix = prefix
        }

        func manifestPath(_ entry: DirectoryEntry) -> String? {
            guard let prefix, let text = entry.text else { return nil }
            return prefix + text
        }

        func entries() throws(StoreFailure) -> [DirectoryEntry] {
            do throws(Errno) { return try descriptor.entries() } catch { throw failure(error) }
        }

        func inner(_ entry: DirectoryEntry) throws(StoreFailure) -> Place {
            do throws(Errno) {
                let inner = try descriptor.openDirectory(entry.name)
                return Place(inner, "\(path)/\(entry.text ?? "?")", prefix: manifestPath(entry).map { $0 + "/" })
            } catch {
                throw failure(error, entry)
            }
        }

        func failure(_ error: Errno, _ entry: DirectoryEntry? = nil) -> StoreFailure {
            StoreFailure("\(path)\(entry.map { "/\($0.text ?? "?")" } ?? ""): \(error)")
        }
    }

    private func carryOver(
        _ old: borrowing Place,
        _ new: borrowing FileDescriptor,
        except owned: OwnedPaths
    ) throws(StoreFailure) {
        for entry in try old.entries() {
            let path = old.manifestPath(entry)
            if let path, owned.files.contains(path) { continue }
            switch entry.kind {
            case .file, .symbolicLink: try keep(entry, of: old, in: new)
            case .directory:
                guard entry.device == old.descriptor.device else {
                    throw StoreFailure("\(old.path)/\(entry.text ?? "?") is mounted there; unmount it, or move it away")
                }
                var status = stat()
                unsafe fstatat(old.descriptor.rawValue, entry.name, &status, AT_SYMLINK_NOFOLLOW)
                let isNew = unsafe mkdirat(new.rawValue, entry.name, 0o700) == 0
                guard isNew || errno == EEXIST else { throw old.failure(Errno.current, entry) }
                // The new version may have something else of this name.
                guard let target = try? new.openDirectory(entry.name) else { continue }
                if isNew { takeOver(status, on: target) }
                try carryOver(try old.inner(entry), target, except: owned)
            case .other: continue
            }
        }
    }

    /// A hard link; without AT_SYMLINK_FOLLOW a link is linked itself. What cannot be linked (immutable, or linked too often)
    /// is copied.
    private func keep(
        _ entry: DirectoryEntry,
        of old: borrowing Place,
        in new: borrowing FileDescriptor
    ) throws(StoreFailure) {
        let (from, into) = (old.descriptor.rawValue, new.rawValue)
        if unsafe linkat(from, entry.name, into, entry.name, 0) == 0 { return }
        switch errno {
        // It is there already, or has gone meanwhile: files of its own come and go.
        case EEXIST, ENOENT: return
        case EPERM, EMLINK:
            guard entry.kind == .file else { return }
            do throws(Errno) { try copy(entry.name, from: from, to: into) } catch { throw old.failure(error, entry) }
        default: throw old.failure(Errno.current, entry)
        }
    }

    private func copy(_ name: [CChar], from: CInt, to: CInt) throws(Errno) {
        let source = unsafe openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        if source < 0 { throw Errno.current }
        let input = FileDescriptor(owning: source)
        var status = stat()
        unsafe fstat(source, &status)
        // Under another name until it is whole: this may be asked again.
        unsafe unlinkat(to, Self.copyName, 0)
        let target = unsafe openat(to, Self.copyName, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if target < 0 { throw Errno.current }
        let output = FileDescriptor(owning: target)
        takeOver(status, on: output)
        var chunk: [UInt8] = []
        repeat {
            chunk.removeAll(keepingCapacity: true)
            try input.readChunk(appendingTo: &chunk, capacity: 256 << 10)
            unsafe try output.writeAll(chunk.span.bytes)
        } while !chunk.isEmpty
        try output.sync()
        if unsafe renameat(to, Self.copyName, to, name) != 0 { throw Errno.current }
    }

    private static let copyName = ".elkeid-copy"

    /// Owner and mode. Who is not root can give nothing away, and has nothing of others.
    private func takeOver(_ status: stat, on target: borrowing FileDescriptor) {
        _ = fchown(target.rawValue, status.st_uid, status.st_gid)
        _ = fchmod(target.rawValue, status.st_mode & 0o7777)
    }

    private func removeAll(from place: borrowing Place, but owned: OwnedPaths) throws(StoreFailure) {
        for entry in try place.entries() {
            let path = place.manifestPath(entry)
            if let path, owned.files.contains(path) { continue }
            if let path, entry.kind == .directory, owned.folders.contains(path) {
                try removeAll(from: try place.inner(entry), but: owned)
                continue
            }
            var budget = Int.max
            do throws(Errno) {
                try place.descriptor.removeTree(entry.name, budget: &budget)
            } catch {
                throw place.failure(error, entry)
            }
        }
    }
}
