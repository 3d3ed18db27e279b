// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a symbolic link leads to (readlink(2)), also one of /proc; nil when it is none, or cannot be read.
public func linkTarget(_ path: String) -> String? {
    var bytes = [CChar](repeating: 0, count: 4096)
    let count = unsafe readlink(path, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
}
