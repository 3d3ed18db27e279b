// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Agent
import CBuildInfo

@main
enum Main {
    static func main() {
        let version = unsafe String(cString: elkeid_build_version())
        CommandLineInterface(version: version).run(CommandLine.arguments)
    }
}
