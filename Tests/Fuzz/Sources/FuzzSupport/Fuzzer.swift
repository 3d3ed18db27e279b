// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLibFuzzer
import Glibc

/// What libFuzzer calls with one input after the other; the result is always 0.
public typealias FuzzTarget = @convention(c) (_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt

/// Hands the program over to libFuzzer, which reads its options from the command line. Never returns.
///
/// A `main` of our own, and not the exported function that libFuzzer's would call: SwiftPM sets the entry point of an
/// executable to the one of its module.
public func fuzz(_ target: FuzzTarget) -> Never {
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
    exit(unsafe LLVMFuzzerRunDriver(&count, &arguments, target))
}

/// The oracle's verdict: ends the program, so that libFuzzer keeps the input. In release builds `precondition` would
/// not print its message.
public func expect(
    _ condition: Bool,
    _ message: @autoclosure () -> String,
    file: StaticString = #fileID,
    line: UInt = #line
) {
    if !condition { fatalError(message(), file: file, line: line) }
}
