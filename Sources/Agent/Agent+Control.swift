// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Control
import Delivery
import JSON
import Logging
import Reactor
import Syscalls
import Transport

// What elkeidctl asks for, over the control socket (docs/control.md).
extension Agent: ControlHandler {
    /// Opens the control socket. Without it the agent does everything else.
    func openControl() {
        control?.close()
        control = nil
        let path = configuration.agent.controlSocket
        guard !path.isEmpty else { return }
        do throws(Errno) {
            control = try ControlServer(path: path, reactor: reactor, handler: self)
        } catch {
            let why = error == .addressInUse ? "another process listens there" : "\(error)"
            log.warning(
                "the control socket \(path) cannot be opened: \(why); `elkeidctl status` will not work; set `control_socket` in [agent] to a path that can be used"
            )
        }
    }

    func answer(_ request: ControlRequest, of client: ControlClient) -> ControlAnswer {
        switch request.name {
        case "status": return .result(status)
        case "tail": return tail(request, client)
        case "reload":
            let problems = reload()
            return problems.isEmpty ? .result(.string("reloaded")) : .refusal(problems.joined(separator: "\n"))
        case "reconnect":
            guard !stopRequested else { return .refusal("the agent stops") }
            transfer.reconnect("an operator asked for it")
            return .result(.string("\(transfer.state)"))
        case "log_level":
            guard let level = request.arguments["level"]?.string.flatMap(Logger.Level.init(rawValue:)) else {
                return .refusal("level is trace, debug, info, notice, warning, error or critical")
            }
            sink.level = level
            return .result(.string("\(level)"))
        default:
            return .refusal(
                "there is no request \"\(request.name.prefix(40))\": status, tail, reload, reconnect or log_level"
            )
        }
    }

    private func tail(_ request: ControlRequest, _ client: ControlClient) -> ControlAnswer {
        guard !client.isListening else { return .refusal("records are shown on this connection already") }
        guard control?.hasRoomForListener == true else {
            return .refusal("\(ControlServer.listenerLimit) others look on already; end one of them")
        }
        do throws(ControlRequest.Problem) {
            let tail = RecordTail(client, filter: try RecordTail.Filter(request))
            client.isListening = true
            tails.append(tail)
            client.onClosed = { [unowned self, unowned client] in
                self.tails.removeAll { $0.client === client }
                if self.tails.isEmpty { self.outbox.onBatch = nil }
            }
            outbox.onBatch = { [unowned self] batch, lane in
                let now = MonotonicTime.now()
                for tail in self.tails { tail.show(batch, of: lane, at: now) }
            }
            return .result(.string("records follow"))
        } catch {
            return .refusal("\(error)")
        }
    }
}
