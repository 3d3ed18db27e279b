// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A port that somebody listens at, with as many connections waiting as there may be: further ones are not answered.
final class FullBacklog {
    let address: String
    private var descriptors: [CInt] = []

    init() throws {
        let port = try unusedPort()
        address = "127.0.0.1:\(port)"
        let listening = Self.socket()
        descriptors.append(listening)
        guard unsafe Self.with(port, { unsafe bind(listening, $0, $1) }) == 0, listen(listening, 0) == 0 else {
            throw Failure("nobody can listen at \(address)")
        }
        // One is taken; the others make sure.
        for _ in 0..<4 {
            let client = Self.socket()
            descriptors.append(client)
            _ = unsafe Self.with(port) { unsafe connect(client, $0, $1) }
        }
    }

    func close() { for descriptor in descriptors { Glibc.close(descriptor) } }

    private static func socket() -> CInt {
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        return Glibc.socket(AF_INET, kind, 0)
    }

    private static func with(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

/// `openssl s_server` with the certificates that an Agent Center has, which asks for the client's.
final class WebTLSServer {
    let address: String
    private let process: ChildProcess

    init(_ options: [String], in folder: String) throws {
        let port = try unusedPort()
        address = "127.0.0.1:\(port)"
        let certificates = CertificateSet.ordinary
        process = try ChildProcess(
            [
                "/usr/bin/env", "openssl", "s_server", "-accept", address, "-quiet", "-Verify", "1",
                "-cert", certificates.file("server.crt"), "-key", certificates.file("server.key"),
                "-CAfile", certificates.file("ca.crt"),
            ] + options,
            .init(output: folder + "/s_server.out", errors: folder + "/s_server.err")
        )
        do {
            try eventually("openssl s_server", state: tail(of: folder + "/s_server.err")) { canConnect(port).asAnswer }
        } catch {
            process.end()
            throw error
        }
    }

    func end() { process.end() }
}

/// A network namespace with a loopback and nothing else, and a resolv.conf of its own.
struct LonelyHost {
    /// Puts a command there.
    let launcher: [String]

    /// - Parameter nameServer: whether a dnsmasq answers there, which knows no name below "test".
    init(in folder: String, nameServer: Bool) throws {
        try write("nameserver 127.0.0.1\noptions attempts:1\n", to: folder + "/resolv.conf")
        let dnsmasq =
            "dnsmasq --conf-file=/dev/null --listen-address=127.0.0.1 --bind-interfaces --no-resolv --no-hosts"
            + " --local=/test/ --user=root --pid-file=\(folder)/dnsmasq.pid"
        let script = """
            ip link set lo up && mount --bind '\(folder)/resolv.conf' /etc/resolv.conf || exit 99
            PATH=$PATH:/usr/sbin:/sbin
            \(nameServer ? "\(dnsmasq) || exit 98" : "")
            "$@"
            code=$?
            \(nameServer ? "kill \"$(cat '\(folder)/dnsmasq.pid')\"" : "")
            exit $code
            """
        launcher = ["/usr/bin/env", "unshare", "--mount", "--net", "sh", "-c", script, "sh"]
    }

    /// Few containers let anybody do that.
    static let isPossible: Bool = {
        guard TestEnvironment.isComplete, let folder = try? TemporaryFolder() else { return false }
        defer { folder.remove() }
        guard let host = try? LonelyHost(in: folder.path, nameServer: true) else { return false }
        return (try? ChildProcess.output(of: host.launcher + ["true"], seconds: 10)) != nil
    }()
}
