// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The command `elkeid-agent spool`.
enum SpoolTool {
    struct Answer: CustomStringConvertible {
        let exit: ChildProcess.Exit
        let output: String
        let errors: String

        var lines: [Data] { Array(output.utf8).split(separator: 0x0a).map { Data($0) } }
        /// The number that the last line begins with.
        var records: Int? {
            lines.last.flatMap { Int(String(decoding: $0, as: UTF8.self).prefix(while: \.isNumber)) }
        }
        var description: String { "\(exit): \(output.suffix(1000))\(errors.suffix(1000))" }
    }

    /// - Parameter path: the spool's folder, or the one that it is in.
    static func run(_ verb: String, _ path: String) throws -> Answer {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (output, errors) = (folder.path + "/out", folder.path + "/err")
        let child = try ChildProcess(
            [TestEnvironment.agent(), "spool", verb, path],
            .init(output: output, errors: errors)
        )
        defer { child.end() }
        let exit = try child.waitForExit(seconds: 20)
        return Answer(exit: exit, output: text(of: output), errors: text(of: errors))
    }
}
