// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Syscalls

/// What the spool needs of a folder: files by name, read and written at offsets. Whatever is not synced may be lost, in
/// any part, when the machine loses power.
public protocol SpoolDisk: AnyObject {
    /// Names of all files, in no order.
    func names() throws(SpoolError) -> [String]
    /// Bytes of a file.
    func size(of name: String) throws(SpoolError) -> Int
    /// Reads up to `count` bytes; fewer only at the end of the file.
    func read(_ name: String, at offset: Int, count: Int) throws(SpoolError) -> [UInt8]
    /// Writes all of `bytes`, or throws having written any part of them. Makes the file when there is none.
    func write(_ name: String, at offset: Int, _ bytes: [UInt8]) throws(SpoolError)
    func truncate(_ name: String, to size: Int) throws(SpoolError)
    /// The file's bytes are on the disk after that; its name only after `syncFolder`.
    func sync(_ name: String) throws(SpoolError)
    func syncFolder() throws(SpoolError)
    func remove(_ name: String) throws(SpoolError)
    func rename(_ name: String, to target: String) throws(SpoolError)
}

/// The disk did not do what it was asked to.
public struct SpoolError: Error, Equatable, Sendable, CustomStringConvertible {
    public let operation: String
    public let name: String
    /// Nil when it was not the kernel that refused.
    public let errno: Errno?
    let detail: String

    public init(_ operation: String, _ name: String, _ errno: Errno) {
        self.operation = operation
        self.name = name
        self.errno = errno
        detail = errno.description
    }

    public init(_ operation: String, _ name: String, detail: String) {
        self.operation = operation
        self.name = name
        errno = nil
        self.detail = detail
    }

    public var description: String { "\(operation) \(name): \(detail)" }
}
