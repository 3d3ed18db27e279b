// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Configuration
import Console
import Control
import JSON
import Syscalls

/// Doctor's steps about the agent itself.
final class AgentChecks {
    private let tool: Tool
    /// What the agent says, when one runs.
    private(set) var status: JSONValue?
    /// A process has the lock of the agent: it may have the id at the server, whether it answers or not.
    private(set) var isHeld = false

    private let seconds: Int

    /// - Parameter seconds: for the agent to answer.
    init(tool: Tool, seconds: Int) {
        self.tool = tool
        self.seconds = seconds
    }

    func service() -> [Finding] {
        let subject = "service"
        do throws(ControlChannel.Failure) {
            status = try tool.agentStatus(milliseconds: seconds * 1000)
        } catch {
            return [manager(subject), silence(subject, error)]
        }
        let view = AgentView(status ?? .null)
        var findings = [
            manager(subject),
            Finding.ok(
                subject,
                "agent",
                "version \(view.text("version") ?? "?"), pid \(view.integer("pid")), up \(Format.span(view.number("uptime") ?? 0))"
            ),
        ]
        if let version = view.text("version"), version != tool.version {
            findings.append(
                .warning(
                    subject,
                    "version",
                    "version",
                    "the running agent has version \(version), elkeidctl \(tool.version)",
                    "after an update by hand: elkeidctl restart"
                )
            )
        }
        if let path = view.text("configuration"), path != tool.source.path {
            findings.append(
                .warning(
                    subject,
                    "config",
                    "configuration",
                    "the agent was started with \(path), this looks at \(tool.source.path)",
                    "elkeidctl --config \(path) doctor"
                )
            )
        }
        return findings
    }

    private func manager(_ subject: String) -> Finding {
        do throws(ToolError) {
            return .note(subject, "manager", try tool.serviceType().rawValue)
        } catch {
            return .bad(subject, "manager", "service_type", "\(error)", "elkeidctl set --service_type systemd")
        }
    }

    private func silence(_ subject: String, _ failure: ControlChannel.Failure) -> Finding {
        let holder = try? FileDescriptor.lockHolder(tool.configuration.lockFile)
        isHeld = holder != nil || failure == .noAnswer
        switch (failure, holder) {
        case (.notRunning(_, let error), _) where error == .accessDenied:
            return .bad(subject, "agent", "permissions", "\(failure)", "run elkeidctl as root")
        case (.notRunning, let pid?):
            return .bad(
                subject,
                "agent",
                "control_socket",
                "an agent runs, pid \(pid), but \(failure)",
                "its log says why the socket could not be opened: elkeidctl log"
            )
        case (.notRunning, nil):
            return .bad(
                subject,
                "agent",
                "not_running",
                "no agent runs",
                "elkeidctl start; then elkeidctl log tells what it says"
            )
        case (.noAnswer, _):
            return .bad(
                subject,
                "agent",
                "hangs",
                "\(failure)",
                "systemd's watchdog restarts it; else elkeidctl restart, and report it with elkeidctl bundle"
            )
        default: return .bad(subject, "agent", "control_socket", "\(failure)", "elkeidctl restart")
        }
    }

    func state() -> [Finding] {
        guard let status else { return [] }
        let subject = "agent"
        let view = AgentView(status)
        var findings = view.reasons.map { reason in
            Finding.bad(subject, "state", "abnormal", reason, Remedy.of(reason) ?? "elkeidctl log tells more")
        }
        if findings.isEmpty { findings.append(.ok(subject, "state", "running")) }
        findings.append(loss(subject, view))
        findings.append(limits(subject, view))
        for plugin in view.plugins where plugin.isRunning && plugin.restarts > 0 {
            findings.append(
                .warning(
                    subject,
                    "plugin",
                    "plugin_restarts",
                    "\(plugin.name) was restarted \(plugin.restarts) times"
                        + (plugin.lastEnd.map { ", the last time \(Format.span($0.ago)) ago: \($0.reason)" } ?? ""),
                    plugin.lastEnd.flatMap { Remedy.of($0.reason, plugin: plugin.name) }
                        ?? "elkeidctl log --plugin \(plugin.name) shows what it wrote before it ended"
                )
            )
        }
        return findings
    }

    private func loss(_ subject: String, _ view: AgentView) -> Finding {
        let drops = view.drops
        guard drops > 0 else { return .ok(subject, "records", "none was lost") }
        return .warning(
            subject,
            "records",
            "lost_records",
            "\(Format.count(drops)) were given up since the books began; elkeidctl status has the reasons",
            "while a server cannot be reached [spool] disk is what is kept"
        )
    }

    private func limits(_ subject: String, _ view: AgentView) -> Finding {
        let text = view.text("limits") ?? ""
        guard text.hasPrefix("none"), tool.configuration.limitsPlugins else { return .ok(subject, "cgroups", text) }
        return .warning(
            subject,
            "cgroups",
            "no_limits",
            "the limits in agent.conf are not in effect: \(text)",
            "start the agent as a service: by systemd with Delegate=yes, or by elkeidctl"
        )
    }
}
