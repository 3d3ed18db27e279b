// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// The installed files of the old version, copied to go back to them: where its package is not at hand, or the package
/// manager cannot go back.
struct SavedFiles {
    let folder: String

    /// Copies files and links.
    func save(_ paths: [String]) throws(PackageProblem) {
        let new = "\(folder).new"
        do throws(Errno) {
            try Self.remove(new)
            for path in paths { try Self.copy(path, to: new + path) }
            try Self.remove(folder)
            try FileDescriptor.rename(new, to: folder)
        } catch {
            throw PackageProblem("the installed files cannot be saved in \(folder): \(error)")
        }
    }

    /// Puts them back, each at once.
    func restore() throws(PackageProblem) {
        var paths: [String] = []
        do throws(Errno) { try Self.list(folder, below: "", &paths) } catch {
            throw PackageProblem("\(folder): \(error)")
        }
        var problem: PackageProblem?
        for path in paths {
            do throws(Errno) {
                try Self.copy(folder + path, to: "\(path).elkeid-new")
                if unsafe access("\(path).elkeid-new", F_OK) == 0 || linkTarget("\(path).elkeid-new") != nil {
                    try FileDescriptor.rename("\(path).elkeid-new", to: path)
                }
            } catch {
                problem = problem ?? PackageProblem("\(path) cannot be put back: \(error)")
            }
        }
        if let problem { throw problem }
    }

    private static func list(_ folder: String, below path: String, _ paths: inout [String]) throws(Errno) {
        for entry in try FileDescriptor.open(folder + path + "/", .directory).entries() {
            guard let name = entry.text else { continue }
            if entry.kind == .directory {
                try list(folder, below: "\(path)/\(name)", &paths)
            } else {
                paths.append("\(path)/\(name)")
            }
        }
    }

    /// A folder and other things that are neither file nor link are not copied.
    private static func copy(_ path: String, to target: String) throws(Errno) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw Errno.current
        }
        let kind = status.st_mode & S_IFMT
        guard kind == S_IFREG || kind == S_IFLNK else { return }
        var destination = stat()
        // The distribution's own, such as /lib, which packages name as a folder.
        if kind == S_IFLNK, unsafe stat(path, &destination) == 0, destination.st_mode & S_IFMT == S_IFDIR { return }
        let parts = target.split(separator: "/").dropLast()
        try FileDescriptor.makeDirectories("/" + parts.joined(separator: "/"), permissions: 0o755)
        if unsafe unlink(target) != 0, errno != ENOENT { throw Errno.current }
        if kind == S_IFLNK {
            guard let destination = linkTarget(path) else { throw Errno.notFound }
            if unsafe symlink(destination, target) != 0 { throw Errno.current }
            return
        }
        try copyFile(path, to: target, permissions: UInt32(status.st_mode & 0o7777))
    }

    /// Copies one file, and syncs it.
    static func copyFile(_ path: String, to target: String, permissions: UInt32) throws(Errno) {
        let source = try FileDescriptor.open(path, .read)
        let copy = try FileDescriptor.open(target, .truncate, permissions: permissions)
        var chunk: [UInt8] = []
        repeat {
            chunk.removeAll(keepingCapacity: true)
            try source.readChunk(appendingTo: &chunk, capacity: 256 << 10)
            unsafe try copy.writeAll(chunk.span.bytes)
        } while !chunk.isEmpty
        if fchmod(copy.rawValue, permissions) != 0 { throw Errno.current }
        try copy.sync()
        try copy.close()
    }

    static func remove(_ path: String) throws(Errno) {
        guard let slash = path.lastIndex(of: "/") else { return }
        var budget = Int.max
        let parent = try FileDescriptor.open(String(path[..<slash]) + "/", .directory)
        let name = path[path.index(after: slash)...].utf8.map { CChar(bitPattern: $0) } + [0]
        try parent.removeTree(name, budget: &budget)
    }
}
