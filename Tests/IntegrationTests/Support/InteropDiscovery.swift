// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A running interop-discovery: Service Discovery, or an HTTP proxy.
final class InteropDiscovery: InteropProgram {
    /// What a server registered; the ones of Service Discovery's fields that matter for a choice.
    struct Entry {
        var ip = "127.0.0.1"
        var port: Int
        /// Streams it has.
        var weight = 0
        /// 0 is green, 4 red.
        var status = 0

        init(ip: String = "127.0.0.1", port: Int, weight: Int = 0, status: Int = 0) {
            self.ip = ip
            self.port = port
            self.weight = weight
            self.status = status
        }

        init(_ server: InteropServer, weight: Int = 0, status: Int = 0) {
            self.init(port: server.port, weight: weight, status: status)
        }
    }

    init(in folder: String, arguments: [String]) throws {
        let program = [try TestEnvironment.discovery(), "-listen", "127.0.0.1:\(try unusedPort())"]
        try super.init(program + arguments, name: "discovery", in: folder)
    }

    /// Replaces what is registered.
    func register(_ entries: [Entry]) throws {
        try command(
            "registry",
            ["entries": entries.map { ["ip": $0.ip, "port": $0.port, "weight": $0.weight, "status": $0.status] }]
        )
    }

    /// How it answers from now on: Tests/Interop/README.md has the names.
    func answer(_ mode: String, delayMilliseconds: Int = 0) throws {
        try command("mode", ["mode": mode, "delay_ms": delayMilliseconds])
    }

    /// As a proxy, it knows where a name leads that nobody else can resolve.
    func resolve(_ host: String, to address: String) throws {
        try command("resolve", ["host": host, "address": address])
    }
}
