// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Glibc
import JSON
import Syscalls

/// The folders of the components, and what is done to them. Everything here may block: it runs in a worker process.
///
/// ```
/// <root>/<name>/                       the version in place; `.elkeid-manifest` says what belongs to it
/// <root>/.components/<name>/new/       being staged, complete when its manifest is there
///                          previous/   the version before, for a rollback
///                          journal     an exchange that has begun: the inodes of both folders
///                          probation   the version in place has not proven itself
///                          *.part      a download that can be resumed
/// <root>/.components/.trash/           to be removed, bit by bit
/// ```
///
/// A version is put in place by exchanging two folders (renameat2(2)); where the file system cannot, by two renames. What
/// a crash leaves is finished or undone by `recover`, which needs only to compare inodes with the journal.
struct ComponentStore {
    let root: String

    /// No component has such a name.
    static let privateFolder = ".components"

    var privateFolder: String { "\(root)/\(Self.privateFolder)" }
    static let trashFolder = ".trash"
    var trash: String { "\(privateFolder)/\(Self.trashFolder)" }
    func folder(_ name: String) -> String { "\(root)/\(name)" }
    func staging(_ name: String) -> String { "\(privateFolder)/\(name)" }
    func new(_ name: String) -> String { "\(staging(name))/new" }
    func previous(_ name: String) -> String { "\(staging(name))/previous" }
    /// The old version, between two renames.
    func aside(_ name: String) -> String { "\(staging(name))/aside" }
    func journal(_ name: String) -> String { "\(staging(name))/journal" }
    func probation(_ name: String) -> String { "\(staging(name))/probation" }

    // MARK: Small things

    func failing<R: ~Copyable>(_ path: String, _ body: () throws(Errno) -> R) throws(StoreFailure) -> R {
        do throws(Errno) {
            return try body()
        } catch {
            throw StoreFailure("\(path): \(error)")
        }
    }

    func exists(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0
    }

    /// The inode of a folder; nil when there is none.
    func inode(_ path: String) -> UInt64? {
        var status = stat()
        guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
        return UInt64(status.st_ino)
    }

    func directory(_ path: String) throws(StoreFailure) -> FileDescriptor {
        try failing(path) { () throws(Errno) in try FileDescriptor.open(path, .directory) }
    }

    func syncFolder(_ path: String) throws(StoreFailure) {
        try failing(path) { () throws(Errno) in try FileDescriptor.open(path, .directory).sync() }
    }

    func rename(_ path: String, to target: String) throws(StoreFailure) {
        try failing(path) { () throws(Errno) in try FileDescriptor.rename(path, to: target) }
    }

    func unlinkIfThere(_ path: String) throws(StoreFailure) {
        if unsafe unlink(path) != 0 && errno != ENOENT { throw StoreFailure("\(path): \(Errno.current)") }
    }

    /// Complete and synced, or as before.
    func writeSynced(_ bytes: [UInt8], to path: String) throws(StoreFailure) {
        let aside = path + ".tmp"
        try unlinkIfThere(aside)
        try failing(path) { () throws(Errno) in
            let file = try FileDescriptor.open(aside, .createNew)
            unsafe try file.writeAll(bytes.span.bytes)
            try file.sync()
            try file.close()
            try FileDescriptor.rename(aside, to: path)
        }
    }

    func manifest(in folder: String) -> Manifest? {
        guard let text = try? FileDescriptor.readFile("\(folder)/\(Manifest.fileName)", limit: Manifest.sizeLimit),
            let json = try? JSONValue(parsing: text)
        else { return nil }
        return Manifest(json: json)
    }

    func write(_ manifest: Manifest, in folder: String) throws(StoreFailure) {
        try writeSynced(manifest.json.encoded, to: "\(folder)/\(Manifest.fileName)")
        try syncFolder(folder)
    }

    /// Out of the way at once; `sweep` removes it. On a disk so full that this is not possible it is removed right away.
    func discard(_ path: String) throws(StoreFailure) {
        guard exists(path) else { return }
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        var number = now.tv_sec * 1_000_000_000 + now.tv_nsec
        while exists("\(trash)/\(number)") { number += 1 }
        do throws(Errno) {
            try FileDescriptor.makeDirectories(trash)
            try FileDescriptor.rename(path, to: "\(trash)/\(number)")
        } catch {
            try removeNow(path)
        }
    }

    private func removeNow(_ path: String) throws(StoreFailure) {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let name = String(path[path.index(after: slash)...])
        let folder = try directory(String(path[..<slash]))
        var budget = Int.max
        do throws(Errno) {
            try folder.removeTree(name.utf8CString.map(\.self), budget: &budget)
        } catch {
            throw StoreFailure("\(path) cannot be removed: \(error)")
        }
    }

    /// One process at a time changes the folders: a worker may outlive its agent for a moment.
    func locked<R>(_ body: () throws(StoreFailure) -> R) throws(StoreFailure) -> R {
        let path = "\(privateFolder)/.lock"
        try failing(privateFolder) { () throws(Errno) in try FileDescriptor.makeDirectories(privateFolder) }
        let lock = try failing(path) { () throws(Errno) in try FileDescriptor.open(path, .readWrite) }
        while flock(lock.rawValue, LOCK_EX) != 0 {
            guard errno == EINTR else { throw StoreFailure("\(path): \(Errno.current)") }
        }
        let result = try body()
        return result
    }
}
