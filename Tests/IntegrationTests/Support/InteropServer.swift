// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A running interop-server.
final class InteropServer: InteropProgram {
    /// Every record it got, for `DumpedRecord`.
    let dump: String

    init(in folder: String, certificates: CertificateSet, arguments: [String], dumps: Bool = false) throws {
        dump = folder + "/dump"
        let files = try ["ca": "ca.crt", "cert": "server.crt", "key": "server.key"].flatMap {
            ["-" + $0.key, try certificates.file($0.value)]
        }
        let program = [try TestEnvironment.server(), "-listen", "127.0.0.1:\(try unusedPort())"]
        try super.init(program + files + arguments + (dumps ? ["-dump", dump] : []), name: "server", in: folder)
    }

    func stats() throws -> ServerStats {
        try JSONDecoder().decode(ServerStats.self, from: Data(try JSON.line(command("stats").object).utf8))
    }

    /// The modes of the heartbeats it got, in order.
    var networkModes: [String?] { events("heartbeat").map { $0["fields"]["net_mode"].string } }
}

/// What the server has counted, over all streams.
struct ServerStats: Decodable {
    struct Lane: Decodable, Equatable {
        var count: Int
        var unique: Int
        var missing: Int
        var duplicates: Int
        var reordered: Int
        var invalid: Int
        var highest: Int

        /// Every one of `count` records, once, in order.
        static func complete(_ count: Int) -> Lane {
            Lane(count: count, unique: count, missing: 0, duplicates: 0, reordered: 0, invalid: 0, highest: count - 1)
        }
    }

    var records: Int
    var malformed: Int
    var heartbeats: Int
    var pluginHeartbeats: Int
    /// Records by data type.
    var types: [String: Int]
    /// What the agent itself reported as errors.
    var errorReports: Int { types["1010"] ?? 0 }
    var encoding: String
    var streams: Int
    var lanes: [String: Lane]
    var compressedMessages: Int
    var largestMessage: Int

    enum CodingKeys: String, CodingKey {
        case records, malformed, heartbeats, types, encoding, streams, lanes
        case pluginHeartbeats = "plugin_heartbeats"
        case compressedMessages = "compressed_messages"
        case largestMessage = "largest_message"
    }
}
