// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A web server that does what nginx never would: Tests/Interop/components/odd-server.py.
final class OddServer {
    private let process: ChildProcess
    private let input: CInt
    /// host:port
    let address: String

    init(_ file: String, _ second: String, in folder: String) throws {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw Failure("no pipe") }
        _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        input = ends[1]
        defer { close(ends[0]) }
        let output = folder + "/odd-server.out"
        process = try ChildProcess(
            ["/usr/bin/env", "python3", Repository.components + "/odd-server.py", file, second],
            .init(input: ends[0], output: output, errors: folder + "/odd-server.err")
        )
        do {
            address = try eventually("the odd server", state: tail(of: folder + "/odd-server.err")) {
                text(of: output).split(separator: "\n").first.map(String.init)
            }
        } catch {
            process.end()
            throw error
        }
    }

    func end() {
        process.end()
        close(input)
    }
}
