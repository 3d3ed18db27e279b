// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Follows the prefixes of gRPC messages in a stream of bytes, to know how large each message is, and whether the one
/// that is under way is too large to be held back until it is complete.
struct MessageBoundaries {
    /// Sizes of complete messages, prefix included, not asked for yet.
    private var complete: [Int] = []
    private var next = 0
    private var prefix: [UInt8] = []
    private var announced = 0
    private var remaining = 0
    /// Bytes of the message under way whose window went back before it was complete.
    private var released = 0
    private let threshold: Int

    /// - Parameter threshold: messages above this many bytes have their window given back as they come. Otherwise a
    ///   peer whose window is used up could never finish one.
    init(threshold: Int) { self.threshold = threshold }

    /// Takes received bytes. The result is how many of them should be given back at once.
    mutating func feed(_ bytes: RawSpan) -> Int {
        var offset = 0
        var early = 0
        while offset < bytes.byteCount {
            if prefix.count < 5 {
                prefix.append(unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
                offset += 1
                guard prefix.count == 5 else { continue }
                remaining = prefix[1...].reduce(0) { $0 << 8 | Int($1) }
                announced = remaining + 5
                if announced > threshold {
                    early += 5
                    released = 5
                }
            } else {
                let part = min(remaining, bytes.byteCount - offset)
                remaining -= part
                offset += part
                if announced > threshold {
                    early += part
                    released += part
                }
            }
            if remaining == 0 && prefix.count == 5 {
                complete.append(announced - released)
                prefix.removeAll(keepingCapacity: true)
                released = 0
            }
        }
        return early
    }

    /// The oldest complete message has been handled: how many bytes to give back for it.
    mutating func handled() -> Int {
        guard next < complete.count else { return 0 }
        let size = complete[next]
        next += 1
        if next == complete.count {
            complete.removeAll(keepingCapacity: true)
            next = 0
        }
        return size
    }
}
