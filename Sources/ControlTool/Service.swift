// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Glibc
import Syscalls

/// Who starts the agent and looks after it.
enum ServiceType: String, CaseIterable {
    case systemd, sysvinit
}

/// What elkeidctl does with the service; each returns the exit code.
protocol Service {
    func enable() throws(ToolError) -> Int32
    func disable() throws(ToolError) -> Int32
    func start() throws(ToolError) -> Int32
    func stop() throws(ToolError) -> Int32
    func restart() throws(ToolError) -> Int32
    /// What the service manager says.
    func status() throws(ToolError) -> Int32
    func check() throws(ToolError) -> Int32
    func cleanUp() throws(ToolError) -> Int32
    func reloadManager() throws(ToolError) -> Int32
}

extension Tool {
    static let serviceName = "elkeid-agent"

    /// As `set --service_type` has it; else the one that this host was booted by.
    func serviceType() throws(ToolError) -> ServiceType {
        let path = source.specifiedEnvironment
        let text = try? FileDescriptor.readFile(path)
        let specified = text.map { SpecifiedEnvironment.parse(text: $0, file: path) }
        if let value = specified?.values["service_type"]?.text, !value.isEmpty {
            if let type = ServiceType(rawValue: value) { return type }
            throw ToolError(
                "\(path): service_type is \"\(value)\", which is neither systemd nor sysvinit; set it with \"elkeidctl set --service_type\""
            )
        }
        // sd_booted(3).
        return unsafe access("/run/systemd/system", F_OK) == 0 ? .systemd : .sysvinit
    }

    func service() throws(ToolError) -> any Service {
        switch try serviceType() {
        case .systemd: SystemdService(folder: source.folder)
        case .sysvinit: SysvinitService(tool: self)
        }
    }
}

/// By systemctl, whose output is passed through.
struct SystemdService: Service {
    /// Of agent.conf.
    let folder: String

    private var unit: String { "\(Tool.serviceName).service" }

    private func systemctl(_ arguments: [String]) throws(ToolError) {
        let code = try Subprocess.run("systemctl", arguments)
        guard code == 0 else {
            throw ToolError("systemctl \(arguments.joined(separator: " ")) ended with exit code \(code)")
        }
    }

    /// By name: systemd 208 cannot enable a path. Upstream's packages have the unit in /etc/elkeid only.
    func enable() throws(ToolError) -> Int32 {
        let folders = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"]
        let isInstalled = folders.contains { unsafe access("\($0)/\(unit)", F_OK) == 0 }
        let own = "\(folder)/\(unit)"
        let isBesideConfiguration = unsafe access(own, F_OK) == 0
        try systemctl(["enable", !isInstalled && isBesideConfiguration ? own : unit])
        return 0
    }

    func disable() throws(ToolError) -> Int32 { try done("disable") }
    func start() throws(ToolError) -> Int32 { try done("start") }
    func stop() throws(ToolError) -> Int32 { try done("stop") }
    func restart() throws(ToolError) -> Int32 { try done("restart") }

    private func done(_ verb: String) throws(ToolError) -> Int32 {
        try systemctl([verb, unit])
        return 0
    }

    func status() throws(ToolError) -> Int32 {
        try Subprocess.run("systemctl", ["status", "--no-pager", "--lines=0", unit]) == 0 ? 0 : 1
    }

    func check() throws(ToolError) -> Int32 { 0 }
    func cleanUp() throws(ToolError) -> Int32 { 0 }

    func reloadManager() throws(ToolError) -> Int32 {
        // There may be no systemd that runs, in an image that is being made.
        _ = try Subprocess.run("systemctl", ["daemon-reload"])
        return 0
    }
}
