// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Ends the process with one line on standard error.
func fail(_ message: String) -> Never {
    let line = "grpc-swift-agent: \(message.split(whereSeparator: \.isNewline).joined(separator: " "))\n"
    _ = write(STDERR_FILENO, line, line.utf8.count)
    exit(1)
}
