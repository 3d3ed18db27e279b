// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Console
import Glibc
import Syscalls

extension Tool {
    /// Bytes of the end of a file in which lines are looked for.
    private static let tailBytes = 8 << 20
    private static let pollMicroseconds: UInt32 = 200_000

    func showLog(_ invocation: Invocation) throws(ToolError) -> Int32 {
        let count = try invocation.number("--lines", in: 1...100_000) ?? 50
        let path: String
        if let plugin = invocation["--plugin"] {
            guard !plugin.isEmpty, plugin.utf8.allSatisfy({ $0 != UInt8(ascii: "/") }), plugin != "..", plugin != "."
            else {
                throw ToolError("--plugin \"\(plugin)\": that cannot be a plugin's name")
            }
            path = "\(configuration.pluginDirectory)/\(plugin)/\(plugin).stderr"
        } else {
            path = "\(configuration.agent.logDirectory)/elkeid-agent.log"
        }
        do throws(Errno) {
            var end = try FileEnd(path, limit: Self.tailBytes)
            show(lastLines(count, of: try end.read(limit: .max)))
            while invocation.has("--follow"), !output.isBroken {
                usleep(Self.pollMicroseconds)
                show(try end.read(limit: Self.tailBytes))
                // It was put aside and begun anew, or emptied.
                guard end.isReplaced(at: path) ? true : try end.isCut() else { continue }
                show(try end.read(limit: Self.tailBytes))
                end = try FileEnd(path, limit: .max)
            }
            return 0
        } catch {
            throw ToolError("\(path): \(error)")
        }
    }

    private func lastLines(_ count: Int, of bytes: [UInt8]) -> [UInt8] {
        let feed = UInt8(ascii: "\n")
        var end = bytes.count
        if bytes.last == feed { end -= 1 }
        var left = count
        var index = end
        while index > 0 {
            if bytes[index - 1] == feed {
                left -= 1
                if left == 0 { break }
            }
            index -= 1
        }
        return Array(bytes[index...])
    }

    /// Errors and warnings in their colours, on a terminal. What a plugin wrote is shown without what a terminal obeys.
    private func show(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let text = output.isInteractive ? visible(line, limit: 10_000) : String(decoding: line, as: UTF8.self)
            let level = line.split(separator: UInt8(ascii: "\t"), maxSplits: 2).dropFirst().first.map(Array.init)
            let tone: Style.Tone =
                switch level.map({ String(decoding: $0, as: UTF8.self) }) {
                case "ERROR", "CRITICAL": .bad
                case "WARNING": .warning
                default: .plain
                }
            output.line(style(text, tone))
        }
    }
}
