// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CBuildInfo
import ControlTool
import Glibc

@main
enum Main {
    static func main() {
        let version = unsafe String(cString: elkeid_build_version())
        exit(Tool(version: version).run(Array(CommandLine.arguments.dropFirst())))
    }
}
