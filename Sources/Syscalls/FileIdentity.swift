// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import CLinux

/// Tells a file from every other, and from itself after it was written to, replaced or given other permissions.
public struct FileIdentity: Hashable, Sendable {
    public let device: UInt64
    public let inode: UInt64
    /// In bytes.
    public let size: UInt64
    /// Nanoseconds since 1970, of the contents and of anything about the file (stat(2), st_mtim and st_ctim).
    public let modified: Int64
    public let changed: Int64

    public init(device: UInt64, inode: UInt64, size: UInt64, modified: Int64, changed: Int64) {
        self.device = device
        self.inode = inode
        self.size = size
        self.modified = modified
        self.changed = changed
    }

    /// Of the file at `path`, links followed; nil when there is none.
    public init?(_ path: String) {
        var file = CLinux_file()
        guard unsafe CLinux_identify(path, &file) == 0 else { return nil }
        self.init(
            device: file.device,
            inode: file.inode,
            size: file.size,
            modified: file.modified_ns,
            changed: file.changed_ns
        )
    }

    /// As `CLinux_spawn` takes it.
    public var kernelForm: CLinux_file {
        CLinux_file(device: device, inode: inode, size: size, modified_ns: modified, changed_ns: changed)
    }
}
