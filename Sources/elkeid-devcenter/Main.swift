// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CBuildInfo
import DevelopmentCenter
import Glibc

@main
enum Main {
    static func main() {
        let version = unsafe String(cString: elkeid_build_version())
        exit(DevelopmentCenterProgram.run(Array(CommandLine.arguments.dropFirst()), version: version))
    }
}
