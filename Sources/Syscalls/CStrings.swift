// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A NULL-terminated array of C strings for the duration of `body`.
public func withCStrings<R>(
    _ strings: [String],
    _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>?) -> R
) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe strings.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer {
        while let pointer = unsafe pointers.popLast() { unsafe free(pointer) }
    }
    return unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress) }
}
