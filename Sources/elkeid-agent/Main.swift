// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Agent
import CBuildInfo
import ControlTool
import Glibc

/// Two programs in one file, told apart by the name under which it is called: what they share, most of it, is on a host
/// once.
@main
enum Main {
    static func main() {
        let version = unsafe String(cString: elkeid_build_version())
        let arguments = CommandLine.arguments
        if arguments.first?.split(separator: "/").last == "elkeidctl" {
            exit(Tool(version: version).run(Array(arguments.dropFirst())))
        }
        CommandLineInterface(version: version).run(arguments)
    }
}
