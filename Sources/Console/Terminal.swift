// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Standard output: text for people or for programs, written whole.
public final class Terminal {
    /// Is a person looking?
    public let isInteractive: Bool
    /// The reader has gone (EPIPE): there is nobody left to show anything to.
    public private(set) var isBroken = false
    private let descriptor: CInt

    public init(descriptor: CInt = 1) {
        self.descriptor = descriptor
        isInteractive = isatty(descriptor) == 1
    }

    public func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty && !isBroken {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                bytes = bytes.dropFirst(count)
            } else if errno == EAGAIN {
                // Somebody else made the terminal non-blocking.
                var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = unsafe poll(&wanted, 1, -1)
            } else if errno != EINTR {
                isBroken = true
            }
        }
    }

    public func line(_ text: String) { write(text + "\n") }

    /// Columns and rows; 100 by 40 when it is no terminal.
    public var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (100, 40)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }
}
