// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

extension [UInt8] {
    /// Lends the elements as raw bytes.
    public func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        try body(unsafe span.bytes)
    }

    /// A copy of `bytes`.
    public init(copying bytes: RawSpan) {
        self = unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
    }

    /// Bytes whose value follows from their position, so that a byte in the wrong place shows.
    public static func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        for index in 0..<count {
            let position = UInt64(truncatingIfNeeded: start + index)
            bytes[index] = UInt8(truncatingIfNeeded: (position &* 0x9e37_79b9_7f4a_7c15) >> 48)
        }
        return bytes
    }
}

/// What `body` writes into room for `capacity` bytes, and what it returns.
public func collecting<R>(_ capacity: Int, _ body: (inout OutputRawSpan) -> R) -> (result: R, bytes: [UInt8]) {
    unsafe withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 16) { buffer in
        var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
        let result = body(&output)
        return (result, [UInt8](copying: output.bytes))
    }
}

/// Compares at the speed of memory, also in a debug build.
public func areEqual(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    return unsafe left.withUnsafeBytes { left in
        unsafe right.withUnsafeBytes { right in
            guard let start = left.baseAddress, let other = right.baseAddress else { return true }
            return unsafe memcmp(start, other, left.count) == 0
        }
    }
}

public func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool { areEqual(left[...], right[...]) }

/// Bytes from hexadecimal digits; spaces are for the reader.
public func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    precondition(digits.count % 2 == 0, "odd number of digits in \(text)")
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
