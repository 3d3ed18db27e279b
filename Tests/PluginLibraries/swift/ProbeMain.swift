// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc

/// A plugin that does what the lines of its input say, for the tests that compare the libraries of all languages.
///
///     plugin-probe [policy=block|drop] [buffer=BYTES] [flush=MS] [record-limit=BYTES] [task-limit=BYTES]
///                  [close-timeout=MS] [sigterm=on|off] [fds=TASKS,RECORDS[,HIGH]] [commands=FILE]
///
/// Commands come from standard input, and each answers with a line on standard output. In debug mode the library uses
/// both: commands come from FILE then, and answers go to standard error.
@main
enum ProbeMain {
    static func main() {
        guard let invocation = ProbeInvocation(CommandLine.arguments.dropFirst()) else {
            fail("usage: plugin-probe [OPTION=VALUE]...; see the sources for the options")
        }
        let client: PluginClient
        do throws(PluginError) {
            client = try PluginClient(descriptors: invocation.descriptors, options: invocation.options)
        } catch {
            // Nothing else can be known to use standard output when the client could not be made.
            ProbeOutput(descriptor: STDOUT_FILENO).write(line: "error \(error.kind)")
            exit(1)
        }
        if client.isInDebugMode {
            guard let path = invocation.commands else { fail("debug mode needs commands=FILE") }
            guard let commands = ProbeInput(path: path) else { fail("cannot open \(path): errno \(errno)") }
            run(Probe(client: client, output: ProbeOutput(descriptor: STDERR_FILENO)), commands)
        } else {
            guard let commands = ProbeInput(descriptor: STDIN_FILENO) else { fail("standard input is not open") }
            run(Probe(client: client, output: ProbeOutput(descriptor: STDOUT_FILENO)), commands)
        }
    }

    /// Ends the process without closing the client.
    private static func run(_ probe: Probe, _ input: borrowing ProbeInput) {
        probe.output.write(line: "ready")
        while let line = input.next() {
            guard probe.perform(line, input) else { break }
        }
        exit(0)
    }

    private static func fail(_ message: String) -> Never {
        ProbeOutput(descriptor: STDERR_FILENO).write(line: "plugin-probe: \(message)")
        exit(2)
    }
}

/// The lines of a stream, which stays open.
@safe
struct ProbeInput: ~Copyable {
    private let stream: UnsafeMutablePointer<FILE>

    /// Nil when there is no such descriptor.
    init?(descriptor: CInt) {
        guard let stream = unsafe fdopen(descriptor, "r") else { return nil }
        unsafe self.stream = stream
    }

    /// Nil when the file cannot be opened.
    init?(path: String) {
        guard let stream = unsafe fopen(path, "re") else { return nil }
        unsafe self.stream = stream
    }

    /// Nil at the end.
    func next() -> String? {
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { unsafe free(line) }
        let count = unsafe getline(&line, &capacity, stream)
        guard count >= 0, let start = unsafe line else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(start: start, count: count)
        let text = unsafe String(decoding: bytes, as: UTF8.self)
        return text.last == "\n" ? String(text.dropLast()) : text
    }
}

struct ProbeOutput {
    let descriptor: CInt

    func write(line: String) {
        var rest = Array((line + "\n").utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { exit(3) }
            rest = rest.dropFirst(count)
        }
    }
}
