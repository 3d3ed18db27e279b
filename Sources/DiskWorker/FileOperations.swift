// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import CZlib
import Glibc
import Syscalls

// What the worker does; it may block.
extension DiskOperation {
    /// Entries of a folder that a walk looks at: minutes of a slow disk, and then the size is a lower bound.
    static let walkLimit = 200_000

    func perform(_ services: [String: ([UInt8]) -> [UInt8]]) -> Result<DiskAnswer, DiskError> {
        do throws(DiskError) {
            switch self {
            case .writeFile(let path, let bytes, let mode):
                try writeFile(path, bytes, mode)
                return .success(.done)
            case .rotate(let path): return .success(.path(try rotate(path)))
            case .compress(let path):
                try idly { () throws(DiskError) in try compress(path) }
                return .success(.done)
            case .prune(let directory, let stem, let keep, let age):
                try idly { () throws(DiskError) in try prune(directory, stem, keep, age) }
                return .success(.done)
            case .directorySize(let path, let excluding):
                return .success(.size(try idly { () throws(DiskError) in try measure(path, excluding) }))
            case .read(let path, let offset, let count, let inode):
                return .success(.part(try read(path, offset, count, inode)))
            case .cut(let path, let keep):
                try cut(path, keep)
                return .success(.done)
            case .call(let service, let argument):
                guard let answer = services[service] else {
                    throw DiskError(name, service, detail: "no such service")
                }
                return .success(.bytes(answer(argument)))
            }
        } catch {
            return .failure(error)
        }
    }

    /// Work that nobody waits for: everybody else's goes first.
    private func idly<R>(_ body: () throws(DiskError) -> R) throws(DiskError) -> R {
        CLinux_idle_io(1)
        defer { CLinux_idle_io(0) }
        return try body()
    }

    private func failing<R: ~Copyable>(_ path: String, _ body: () throws(Errno) -> R) throws(DiskError) -> R {
        do throws(Errno) {
            return try body()
        } catch {
            throw DiskError(name, path, error)
        }
    }

    /// Written aside, synced, renamed: after a power cut it is the old one or the new one.
    private func writeFile(_ path: String, _ bytes: [UInt8], _ mode: UInt32) throws(DiskError) {
        let new = path + ".new"
        unsafe unlink(new)
        try failing(path) { () throws(Errno) in
            let file = try FileDescriptor.open(new, .createNew, permissions: mode)
            unsafe try file.writeAll(bytes.span.bytes)
            if fsync(file.rawValue) != 0 { throw Errno.current }
            try file.close()
            try FileDescriptor.rename(new, to: path)
            let slash = path.lastIndex(of: "/")
            let folder = try FileDescriptor.open(slash.map { String(path[..<$0]) + "/" } ?? ".", .directory)
            if fsync(folder.rawValue) != 0 { throw Errno.current }
        }
    }

    private func rotate(_ path: String) throws(DiskError) -> String {
        let stem = path.hasSuffix(".log") ? String(path.dropLast(4)) : path
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        var milliseconds = now.tv_nsec / 1_000_000
        while true {
            let aside = "\(stem)-\(Self.stamp(now.tv_sec, milliseconds)).log"
            // No file put aside in the same millisecond is overwritten: link(2) fails where rename(2) would replace.
            if unsafe link(path, aside) == 0 {
                if unsafe unlink(path) != 0 { throw DiskError(name, path, Errno.current) }
                return aside
            }
            guard errno == EEXIST else { throw DiskError(name, path, Errno.current) }
            milliseconds += 1
        }
    }

    /// "20261123T225958.123Z": sorts by time.
    private static func stamp(_ seconds: time_t, _ milliseconds: Int) -> String {
        var seconds = seconds + milliseconds / 1000
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        func padded(_ value: Int, _ width: Int) -> String {
            let text = "\(value)"
            return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
        }
        let date =
            unsafe padded(Int(parts.tm_year) + 1900, 4) + padded(Int(parts.tm_mon) + 1, 2)
            + padded(Int(parts.tm_mday), 2)
        let time = unsafe padded(Int(parts.tm_hour), 2) + padded(Int(parts.tm_min), 2) + padded(Int(parts.tm_sec), 2)
        return "\(date)T\(time).\(padded(milliseconds % 1000, 3))Z"
    }

    /// A crash leaves the file as it was, and perhaps a part of the compressed one, which is then made anew.
    private func compress(_ path: String) throws(DiskError) {
        let target = path + ".gz"
        if unsafe access(path, F_OK) != 0 && access(target, F_OK) == 0 { return }
        let part = target + ".part"
        unsafe unlink(part)
        let source = try failing(path) { () throws(Errno) in try FileDescriptor.open(path, .read) }
        let output = try failing(part) { () throws(Errno) in try FileDescriptor.open(part, .createNew) }
        // gzclose closes the descriptor, whatever becomes of the data.
        guard let stream = unsafe gzdopen(output.release(), "wb6") else {
            throw DiskError(name, part, detail: "no memory to compress with")
        }
        var chunk: [UInt8] = []
        var failure: DiskError?
        repeat {
            chunk.removeAll(keepingCapacity: true)
            do throws(Errno) {
                try source.readChunk(appendingTo: &chunk, capacity: 64 << 10)
            } catch {
                failure = DiskError(name, path, error)
            }
            let written = unsafe chunk.isEmpty ? 0 : gzwrite(stream, chunk, UInt32(chunk.count))
            if written != chunk.count { failure = failure ?? DiskError(name, part, Errno.current) }
        } while !chunk.isEmpty && failure == nil
        if unsafe gzclose(stream) != Z_OK { failure = failure ?? DiskError(name, part, Errno.current) }
        if let failure {
            unsafe unlink(part)
            throw failure
        }
        keepTime(of: path, on: part)
        try failing(target) { () throws(Errno) in try FileDescriptor.rename(part, to: target) }
        unsafe unlink(path)
    }

    /// The age of a log is that of its last line, not of its compression.
    private func keepTime(of path: String, on copy: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return }
        let times = [status.st_atim, status.st_mtim]
        unsafe utimensat(AT_FDCWD, copy, times, 0)
    }

    private func prune(_ directory: String, _ stem: String, _ keep: Int, _ maximumAge: Int64) throws(DiskError) {
        var aside: [String] = []
        for entry in try names(in: directory) where entry.hasPrefix(stem + "-") {
            if entry.hasSuffix(".log.gz.part") {
                unsafe unlink("\(directory)/\(entry)")
            } else if entry.hasSuffix(".log") {
                try compress("\(directory)/\(entry)")
                aside.append(entry + ".gz")
            } else if entry.hasSuffix(".log.gz") {
                aside.append(entry)
            }
        }
        let now = time(nil)
        for (index, entry) in Set(aside).sorted(by: >).enumerated() {
            let path = "\(directory)/\(entry)"
            var status = stat()
            guard unsafe stat(path, &status) == 0 else { continue }
            if index >= keep || Int64(now - status.st_mtim.tv_sec) > maximumAge { unsafe unlink(path) }
        }
    }

    private func names(in directory: String) throws(DiskError) -> [String] {
        try failing(directory) { () throws(Errno) in
            try FileDescriptor.open(directory, .directory).entries().compactMap(\.text)
        }
    }

    /// What is appended between the reading and the emptying is lost: it is the middle of a flood.
    private func cut(_ path: String, _ keep: Int) throws(DiskError) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw DiskError(name, path, Errno.current) }
        let size = Int(status.st_size)
        let end = try read(path, Int64(max(0, size - keep)), keep, 0).bytes
        guard size > keep else { return }
        if unsafe truncate(path, 0) != 0 { throw DiskError(name, path, Errno.current) }
        try failing(path) { () throws(Errno) in
            unsafe try FileDescriptor.open(path, .append).writeAll(end.span.bytes)
        }
    }

    /// Opening does not wait for a FIFO's other end, and a device is not read.
    private func read(_ path: String, _ offset: Int64, _ count: Int, _ inode: UInt64) throws(DiskError) -> FilePart {
        let raw = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard raw >= 0 else { throw DiskError(name, path, Errno.current) }
        let file = FileDescriptor(owning: raw)
        var status = stat()
        guard unsafe fstat(raw, &status) == 0 else { throw DiskError(name, path, Errno.current) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw DiskError(name, path, detail: "it is not a regular file")
        }
        guard inode == 0 || UInt64(status.st_ino) == inode else {
            throw DiskError(name, path, detail: "another file has taken its place meanwhile")
        }
        guard lseek(raw, off_t(offset), SEEK_SET) == off_t(offset) else { throw DiskError(name, path, Errno.current) }
        var part = FilePart(bytes: [], size: Int64(status.st_size), inode: UInt64(status.st_ino))
        try failing(path) { () throws(Errno) in
            while part.bytes.count < count {
                let before = part.bytes.count
                try file.readChunk(appendingTo: &part.bytes, capacity: min(256 << 10, count - before))
                if part.bytes.count == before { break }
            }
        }
        return part
    }

    private func measure(_ path: String, _ excluding: [String]) throws(DiskError) -> DirectorySize {
        var bytes: UInt64 = 0
        let count = unsafe withCStrings(excluding) { names in
            unsafe UnsafeRawPointer(names).map { list in
                unsafe CLinux_tree_size(
                    path,
                    list.assumingMemoryBound(to: UnsafePointer<CChar>?.self),
                    Self.walkLimit,
                    &bytes
                )
            } ?? -1
        }
        if count < 0 { throw DiskError(name, path, Errno.current) }
        return DirectorySize(bytes: bytes, entries: count, isPartial: count >= Self.walkLimit)
    }
}
