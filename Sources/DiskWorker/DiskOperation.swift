// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Syscalls

/// What the worker is asked to do. Everything can be done twice: what was asked of a worker that died is asked again.
enum DiskOperation: Equatable {
    /// Puts a file in place, complete or not at all.
    case writeFile(path: String, bytes: [UInt8], mode: UInt32)
    /// Puts a log file aside under a name with the time; answers the name.
    case rotate(path: String)
    /// Turns a file that was put aside into its compressed form.
    case compress(path: String)
    /// Compresses and removes what was put aside, by number and age.
    case prune(directory: String, stem: String, keep: Int, maximumAge: Int64)
    /// Adds up the files of a folder.
    case directorySize(path: String, excluding: [String])
    /// Reads a part of a regular file, which must be the one with that number if it is not 0.
    case read(path: String, offset: Int64, count: Int, inode: UInt64)
    /// Leaves only the end of a file that others append to.
    case cut(path: String, keep: Int)
    /// Asks a service that the program has registered.
    case call(service: String, argument: [UInt8])

    var name: String {
        switch self {
        case .writeFile: "write"
        case .rotate: "rotate"
        case .compress: "compress"
        case .prune: "prune"
        case .directorySize: "measure"
        case .read: "read"
        case .cut: "cut"
        case .call: "call"
        }
    }

    var path: String {
        switch self {
        case .writeFile(let path, _, _), .rotate(let path), .compress(let path), .directorySize(let path, _),
            .read(let path, _, _, _), .cut(let path, _), .call(let path, _):
            path
        case .prune(let directory, _, _, _): directory
        }
    }
}

/// What came of it.
enum DiskAnswer: Equatable {
    case done
    case path(String)
    case size(DirectorySize)
    case part(FilePart)
    case bytes([UInt8])
}

/// A part of a file, and what the file was when it was read.
public struct FilePart: Equatable, Sendable {
    public var bytes: [UInt8]
    /// Of the whole file, in bytes.
    public var size: Int64
    public var inode: UInt64
}

/// What a walk through a folder found.
public struct DirectorySize: Equatable, Sendable {
    public var bytes: UInt64
    /// Files, folders and whatever else was seen.
    public var entries: Int
    /// The walk was ended at its limit: the folder is larger than `bytes`.
    public var isPartial: Bool
}

/// Why something was not done.
public struct DiskError: Error, Equatable, Sendable, CustomStringConvertible {
    public let operation: String
    public let path: String
    /// Nil when it was not the kernel that refused.
    public let errno: Errno?
    let detail: String

    init(_ operation: String, _ path: String, _ errno: Errno) {
        self.operation = operation
        self.path = path
        self.errno = errno
        detail = errno.description
    }

    init(_ operation: String, _ path: String, detail: String) {
        self.operation = operation
        self.path = path
        errno = nil
        self.detail = detail
    }

    public var description: String { "\(operation) \(path): \(detail)" }
}
