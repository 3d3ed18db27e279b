// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Puts new contents in a file's place at once: readers see the old ones or the new.
public func replaceFile(_ path: String, _ bytes: [UInt8], permissions: UInt32) throws(Errno) {
    let new = "\(path).\(getpid()).new"
    do throws(Errno) {
        let file = try FileDescriptor.open(new, .truncate, permissions: permissions)
        unsafe try file.writeAll(bytes.span.bytes)
        try file.syncData()
        try file.close()
        try FileDescriptor.rename(new, to: path)
    } catch {
        unsafe _ = unlink(new)
        throw error
    }
}
