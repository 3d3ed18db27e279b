// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import ElkeidWire
import Syscalls
import TLS

/// The files of one agent.
struct AgentFolder {
    private let path: String
    private let rig: Rig

    init(_ path: String, _ rig: Rig) {
        self.path = path
        self.rig = rig
    }

    /// Puts `count` load generators in place as plugins, and gives the configuration that starts them.
    func addGenerators(_ count: Int, _ control: LoadControl) throws -> [PluginConfig] {
        guard count > 0 else { return [] }
        let specification = ComponentSpecification(name: "load", version: "1.0.0.0", path: rig.programs.generator)
        let checksum = try Component(specification).sha256
        return try (1...count).map { number in
            let name = "load\(number)"
            let folder = "\(path)/work/plugin/\(name)"
            try Folder.make(folder)
            let program = try FileDescriptor.open("\(folder)/\(name)", .createNew, permissions: 0o700)
            try Folder.copy(rig.programs.generator, to: program)
            try program.close()
            try Folder.write("\(control.port)", to: "\(folder)/control", permissions: 0o600)
            return PluginConfig(name: name, type: "exec", version: "1.0.0.0", sha256: checksum, signature: checksum)
        }
    }

    /// Starts the agent, or another `program` in its place.
    func start(port: UInt16, _ options: Subject.AgentOptions, program: String? = nil) throws -> ChildProcess {
        let files = rig.certificates.client
        let name = path.split(separator: "/").last ?? "agent"
        let text = """
            [agent]
            id = \(name)
            work_dir = \(path)/work
            log_dir = \(path)/log
            control_socket = \(path)/agent.sock
            [tls]
            ca = \(files.authority)
            certificate = \(files.certificate)
            private_key = \(files.privateKey)
            [region "default"]
            service_discovery =
            private = 127.0.0.1:\(port)
            [transfer]
            compression = \(options.compression)
            linger = \(options.linger)

            """
        try Folder.write(text, to: "\(path)/agent.conf", permissions: 0o600)
        return try rig.start([program ?? rig.programs.agent, "--config", "\(path)/agent.conf"], in: path)
    }
}
