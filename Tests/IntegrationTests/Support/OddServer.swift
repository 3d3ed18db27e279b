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
        let ends = try ChildProcess.inputPipe()
        input = ends.writing
        defer { close(ends.reading) }
        let output = folder + "/odd-server.out"
        process = try ChildProcess(
            ["/usr/bin/env", "python3", Repository.components + "/odd-server.py", file, second],
            .init(input: ends.reading, output: output, errors: folder + "/odd-server.err")
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
