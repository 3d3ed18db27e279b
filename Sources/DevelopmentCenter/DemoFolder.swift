// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Console
import ElkeidWire
import Glibc
import Syscalls
import TLS

/// Everything that the agent of a demonstration needs, in a folder of its own.
struct DemoFolder {
    let path: String
    let certificates: CertificateFolder

    init() throws(CenterError) {
        path = try Folder.temporary("elkeid-demo")
        certificates = CertificateFolder("\(path)/certs")
        try certificates.make()
        try Folder.make(workFolder)
    }

    var workFolder: String { "\(path)/work" }
    var agentOutput: String { "\(path)/agent.output" }
    var configuration: String { "\(path)/agent.conf" }
    var ledger: String { "\(workFolder)/ledger.json" }
    var uploads: String { "\(path)/uploads" }
    private var controlSocket: String { "\(path)/agent.sock" }

    /// Puts the plugin where an agent would have put it after a download.
    func place(_ component: Component) throws(CenterError) {
        let folder = "\(workFolder)/plugin/\(component.name)"
        try Folder.make(folder, permissions: 0o701)
        let target = "\(folder)/\(component.name)"
        do throws(Errno) {
            let copy = try FileDescriptor.open(target, .createNew, permissions: 0o700)
            try Folder.copy(component.path, to: copy)
            try copy.close()
        } catch {
            throw CenterError("\(target): \(error)")
        }
    }

    func writeConfiguration(port: UInt16, coding: ContentCoding) throws(CenterError) {
        guard controlSocket.utf8.count <= 107 else {
            throw CenterError("\(controlSocket): too long for a socket; set TMPDIR to a folder with a shorter path")
        }
        let text = """
            # Made by elkeid-devcenter for a demonstration.
            [agent]
            id = demo
            work_dir = \(workFolder)
            log_dir = \(path)/log
            control_socket = \(controlSocket)

            [tls]
            ca = \(certificates.client.authority)
            certificate = \(certificates.client.certificate)
            private_key = \(certificates.client.privateKey)
            server_name = elkeid.com

            [region "default"]
            service_discovery =
            private = 127.0.0.1:\(port)
            public =

            [transfer]
            compression = \(coding == .identity ? "none" : coding.grpcName)

            """
        try Folder.write(text, to: configuration, permissions: 0o644)
    }

    /// Ours, without what would override the configuration file.
    static func environment() -> [String] {
        let bytes = (try? FileDescriptor.readFile("/proc/self/environ")) ?? []
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            .filter { !$0.lowercased().hasPrefix("specified_") && !$0.hasPrefix("service_type=") }
    }

    /// Ends processes that the agent has left behind: those whose working folder is in here. How many they were.
    func endLeftovers() -> Int {
        var count = 0
        for name in Folder.names(in: "/proc") {
            guard let pid = Int32(name), pid != getpid(), let folder = linkTarget("/proc/\(pid)/cwd"),
                folder.hasPrefix("\(path)/")
            else { continue }
            if kill(pid, SIGKILL) == 0 { count += 1 }
        }
        return count
    }

    /// The last lines that the agent printed or logged.
    func lastOutput(lines: Int) -> [String] {
        for file in [agentOutput, "\(path)/log/elkeid-agent.log"] {
            let bytes = (try? FileDescriptor.readFile(file, limit: 16 << 20)) ?? []
            let all = bytes.split(separator: 0x0a)
            if !all.isEmpty { return all.suffix(lines).map { visible($0, limit: 400) } }
        }
        return []
    }
}
