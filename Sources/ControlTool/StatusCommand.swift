// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import Control
import Glibc
import JSON
import Syscalls

extension Tool {
    /// Between the two looks that rates are made of.
    private static let lookInterval: UInt32 = 300_000

    func status(_ invocation: Invocation) throws(ToolError) -> Int32 {
        guard !invocation.has("--json") else { return try printStatus() }
        let code = try service().status()
        output.line("")
        do throws(ControlChannel.Failure) {
            let view = try look()
            let width = output.isInteractive ? output.size.columns : 200
            for line in StatusScreen(view: view, style: style, width: width).lines { output.line(line) }
        } catch {
            output.line(style("\(failure(error))", .bad))
            return code
        }
        return code
    }

    private func printStatus() throws(ToolError) -> Int32 {
        let status = try ask(ControlRequest("status"))
        output.line(String(decoding: status.encoded, as: UTF8.self))
        return 0
    }

    /// Twice, with a moment in between: what happens is told from the difference.
    private func look() throws(ControlChannel.Failure) -> AgentView {
        var channel = try self.channel()
        let first = try channel.ask(ControlRequest("status"))
        usleep(Self.lookInterval)
        return AgentView(try channel.ask(ControlRequest("status")), earlier: first)
    }

    // MARK: top

    func top(_ invocation: Invocation) throws(ToolError) -> Int32 {
        let interval = try invocation.number("--interval", in: 1...60) ?? 2
        let order = invocation["--sort"].flatMap(PluginOrder.init(rawValue:)) ?? .name
        guard output.isInteractive else {
            throw ToolError("top is for a terminal; elsewhere use \"elkeidctl status\" or \"elkeidctl metrics\"")
        }
        let screen = TopScreen(output: output, style: style, order: order, seconds: interval)
        return try screen.run { () throws(ToolError) in try self.ask(ControlRequest("status")) }
    }

    // MARK: metrics

    func metrics(_ invocation: Invocation) throws(ToolError) -> Int32 {
        let text: String
        do throws(ControlChannel.Failure) {
            text = Metrics.text(try agentStatus())
        } catch {
            // A scraper wants to know that, too.
            guard case .notRunning = error else { throw failure(error) }
            text = Metrics.down
        }
        guard let path = invocation["--textfile"] else {
            output.write(text)
            return text == Metrics.down ? 1 : 0
        }
        do throws(Errno) { try replaceFile(path, Array(text.utf8), permissions: 0o644) } catch {
            throw ToolError("\(path) cannot be written: \(error)")
        }
        return 0
    }

    // MARK: tail

    func tail(_ invocation: Invocation) throws(ToolError) -> Int32 {
        var arguments: [String: JSONValue] = [:]
        arguments["plugin"] = invocation["--plugin"].map { .string($0) }
        let type = try invocation.number("--type", in: Int(Int32.min)...Int(Int32.max))
        arguments["type"] = type.map { .integer(Int64($0)) }
        var left = try invocation.number("--count", in: 1...1_000_000_000) ?? .max
        do throws(ControlChannel.Failure) {
            var channel = try self.channel()
            _ = try channel.ask(ControlRequest("tail", arguments))
            while left > 0, !output.isBroken {
                guard let event = try channel.next(milliseconds: 1000) else { continue }
                if invocation.has("--json") {
                    output.line(String(decoding: event.encoded, as: UTF8.self))
                } else {
                    output.line(recordLine(event))
                }
                if event["event"]?.string == "record" { left -= 1 }
            }
            return 0
        } catch {
            throw failure(error)
        }
    }

    private func recordLine(_ event: JSONValue) -> String {
        guard event["event"]?.string == "record" else {
            let count = event["records"]?.integer ?? 0
            return style("… \(Format.count(count)) records were not looked at: they come too fast", .dim)
        }
        let time = Format.time(event["timestamp"]?.integer ?? 0).suffix(8)
        var text = style(String(time), .dim) + "  " + style(visible(event["plugin"]?.string ?? "?"), .strong)
        text += "  " + style("\(event["data_type"]?.integer ?? 0)", .good)
        if case .object(let fields)? = event["fields"] {
            for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
                text += "  " + style("\(visible(name, limit: 60))=", .dim) + visible(value.string ?? "", limit: 200)
            }
        } else if let reason = event["unreadable"]?.string {
            text += "  " + style(visible(reason), .warning)
        }
        return text
    }
}
