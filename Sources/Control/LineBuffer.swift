// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Cuts a stream of bytes into lines.
public struct LineBuffer {
    /// A line got longer than the limit: what follows makes no sense any more.
    public struct TooLong: Error, Equatable {}

    private let limit: Int
    private var bytes: [UInt8] = []
    private var start = 0
    /// Up to here no line feed was found.
    private var searched = 0

    /// - Parameter limit: bytes of a line, without its line feed.
    public init(limit: Int) { self.limit = limit }

    /// Bytes that were taken and not given back as lines.
    public var count: Int { bytes.count - start }

    public mutating func append(_ more: RawSpan) {
        if start > 0 {
            bytes.removeSubrange(..<start)
            searched -= start
            start = 0
        }
        unsafe more.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
    }

    /// The next line without its line feed, or nil when it is not complete.
    public mutating func next() throws(TooLong) -> [UInt8]? {
        while searched < bytes.count, bytes[searched] != UInt8(ascii: "\n") { searched += 1 }
        guard searched - start <= limit else { throw TooLong() }
        guard searched < bytes.count else { return nil }
        let line = Array(bytes[start..<searched])
        searched += 1
        start = searched
        return line
    }
}
