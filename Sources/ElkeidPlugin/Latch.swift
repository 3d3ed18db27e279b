// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Something that happens once, in a form that `poll` can wait for: the reader of a socket pair that stays readable
/// from then on.
final class Latch: Sendable {
    /// Readable once the latch is set.
    let reader: CInt
    /// Writing a byte here sets the latch; a signal handler may do that.
    let writer: CInt

    /// - Throws: `system` when no descriptors are left.
    init() throws(PluginError) {
        var ends: [CInt] = [-1, -1]
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        guard unsafe socketpair(AF_UNIX, CInt(kind), 0, &ends) == 0 else { throw .system(.socketpair, errno: errno) }
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        close(reader)
        close(writer)
    }

    func set() {
        var byte: UInt8 = 1
        // When the socket takes no more, earlier bytes are there to be seen.
        _ = unsafe write(writer, &byte, 1)
    }
}
