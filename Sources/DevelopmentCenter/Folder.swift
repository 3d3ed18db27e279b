// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Syscalls

/// Files and folders by path. Everything here may block: it is for preparing and clearing up.
public enum Folder {
    /// Makes a folder and those above it; one that exists is left as it is.
    public static func make(_ path: String, permissions: UInt32 = 0o755) throws(CenterError) {
        var made = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            made += part + "/"
            if unsafe mkdir(made, permissions) != 0 && errno != EEXIST {
                throw CenterError("\(made): \(Errno.current); give another folder")
            }
        }
    }

    /// Writes a file that must not exist yet.
    public static func write(_ bytes: [UInt8], to path: String, permissions: UInt32) throws(CenterError) {
        do throws(Errno) {
            let file = try FileDescriptor.open(path, .createNew, permissions: permissions)
            try file.writeAll(unsafe bytes.span.bytes)
            try file.close()
        } catch {
            throw CenterError("\(path): \(error)")
        }
    }

    public static func write(_ text: String, to path: String, permissions: UInt32) throws(CenterError) {
        try write(Array(text.utf8), to: path, permissions: permissions)
    }

    /// A new folder of which nobody else knows the name (mkdtemp(3)), in $TMPDIR or /tmp.
    public static func temporary(_ prefix: String) throws(CenterError) -> String {
        let parent = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        var template = "\(parent.isEmpty ? "/tmp" : parent)/\(prefix).XXXXXX".utf8CString
        let made = unsafe template.withUnsafeMutableBufferPointer { buffer -> String? in
            guard let base = buffer.baseAddress, let path = unsafe mkdtemp(base) else { return nil }
            return unsafe String(cString: path)
        }
        guard let made else { throw CenterError("no temporary folder in \(parent): \(Errno.current); set TMPDIR") }
        return made
    }

    /// Names in a folder, without "." and ".."; none when it cannot be read.
    static func names(in path: String) -> [String] {
        guard let folder = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                unsafe tuple.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// Removes a file, or a folder with all that is in it. Links are removed, not followed.
    public static func remove(_ path: String) {
        if unsafe unlink(path) == 0 { return }
        for name in names(in: path) { remove("\(path)/\(name)") }
        _ = unsafe rmdir(path)
    }

    /// The path from the root, without links (realpath(3)); nil when there is nothing.
    static func absolute(_ path: String) -> String? {
        guard let resolved = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    /// Lends the file to `body`, 64 KiB at a time.
    static func read(_ path: String, _ body: ([UInt8]) throws(CenterError) -> Void) throws(CenterError) {
        let file: FileDescriptor
        do throws(Errno) { file = try FileDescriptor.open(path, .read) } catch {
            throw CenterError("\(path): \(error)")
        }
        while true {
            var chunk: [UInt8] = []
            do throws(Errno) {
                try file.readChunk(appendingTo: &chunk, capacity: 64 << 10)
            } catch {
                throw CenterError("\(path): \(error)")
            }
            if chunk.isEmpty { return }
            try body(chunk)
        }
    }

    /// Size in bytes of a regular file.
    static func size(_ path: String) throws(CenterError) -> Int {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw CenterError("\(path): \(Errno.current)") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw CenterError("\(path) is not a file") }
        return Int(status.st_size)
    }

    /// Copies the contents of a file.
    public static func copy(_ path: String, to target: borrowing FileDescriptor) throws(Errno) {
        let file = try FileDescriptor.open(path, .read)
        while true {
            var chunk: [UInt8] = []
            try file.readChunk(appendingTo: &chunk, capacity: 64 << 10)
            if chunk.isEmpty { return }
            try target.writeAll(unsafe chunk.span.bytes)
        }
    }
}
