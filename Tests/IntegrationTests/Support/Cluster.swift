// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// Several servers, a Service Discovery that knows them, and what an agent has to find there.
struct Cluster {
    let scenario: Scenario
    let discovery: InteropDiscovery
    let servers: [InteropServer]

    /// The first server has the lowest weight, and so on; the plugins added so far are configured.
    init(_ scenario: Scenario, count: Int = 3, arguments: [String] = []) throws {
        self.scenario = scenario
        discovery = try scenario.startDiscovery()
        servers = try (0..<count).map { _ in try scenario.startServer(arguments, dumps: true) }
        try prefer(Array(servers.indices))
    }

    /// Gives the servers weights in this order.
    func prefer(_ order: [Int]) throws {
        try discovery.register(order.enumerated().map { .init(servers[$0.element], weight: $0.offset + 1) })
    }

    /// An agent that knows nothing but the discovery.
    func startAgent(_ settings: Settings = [:]) throws -> AgentRun {
        try scenario.startAgent(
            settings.merging(region(discovery: [discovery.address])) { $0.merging($1) { given, _ in given } }
        )
    }

    /// Waits until the server has so many more records, which only a working stream brings.
    func waitForTraffic(at index: Int, records: Int = 100) throws {
        let server = servers[index]
        let before = try server.stats().records
        try eventually("traffic at server \(index)", state: scenario.state) {
            try (server.stats().records >= before + records).asAnswer
        }
    }

    /// The server at which stream number `count`, over all servers, was opened.
    @discardableResult
    func waitForStream(_ count: Int, at index: Int, sourceLocation: SourceLocation = #_sourceLocation) throws -> JSON {
        let opened = try eventually("stream \(count)", state: scenario.state) {
            let all = servers.enumerated().flatMap { place, server in
                server.events("stream_opened").map { (place: place, event: $0) }
            }
            return all.count >= count ? all.sorted { $0.event.time < $1.event.time } : nil
        }
        #expect(opened.map(\.place)[count - 1] == index, "\(scenario.state)", sourceLocation: sourceLocation)
        return opened[count - 1].event
    }

    // MARK: Expectations

    /// No server ever saw a second stream while the first was open, and none opened while one was open elsewhere.
    ///
    /// - Parameter elsewhere: false where a server cannot know that its stream has ended.
    func expectOneStreamAtATime(elsewhere: Bool = true, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(servers.flatMap { $0.events("overlap") }.count == 0, sourceLocation: sourceLocation)
        guard elsewhere else { return }
        let spans = servers.flatMap { server in
            let ends = server.events("stream_ended")
            return server.events("stream_opened").map { opened in
                let end = ends.first { $0["stream"].int == opened["stream"].int }
                return (server: server.address, from: opened.time, to: end?.time ?? .max)
            }
        }.sorted { $0.from < $1.from }
        for (earlier, later) in zip(spans, spans.dropFirst()) {
            #expect(
                earlier.to <= later.from,
                "the stream at \(earlier.server) was open when that at \(later.server) began",
                sourceLocation: sourceLocation
            )
        }
    }

    /// After the agent's orderly end: what the plugins wrote is complete in what the servers got together, and there
    /// are no more duplicates than the agent says it has sent again.
    ///
    func expectNothingMissing(
        _ agent: AgentRun,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let records = try servers.flatMap { try DumpedRecord.all(in: $0.dump) }
        let unique = Set(records)
        var expected = Set<DumpedRecord>()
        for plugin in scenario.plugins {
            let summary = try #require(plugin.summary, "\(plugin.name) left no summary", sourceLocation: sourceLocation)
            #expect(summary.ended && summary.error == nil, "\(plugin.name)", sourceLocation: sourceLocation)
            for (lane, count) in summary.lanes {
                expected.formUnion((0..<count).map { DumpedRecord(lane: lane, sequence: $0) })
            }
        }
        #expect(!expected.isEmpty, "nothing was tested", sourceLocation: sourceLocation)
        let missing = expected.subtracting(unique).map(\.sequence)
        let (count, range) = (missing.count, "\(missing.min() ?? 0) to \(missing.max() ?? 0)")
        #expect(count == 0, "\(count) records are missing, from \(range)", sourceLocation: sourceLocation)
        let invented = unique.subtracting(expected).count
        #expect(invented == 0, sourceLocation: sourceLocation)
        let ledger = try agent.ledger()
        #expect(
            ledger.isBalanced && ledger.queued == 0 && ledger.inFlight == 0,
            "\(ledger)",
            sourceLocation: sourceLocation
        )
        #expect(ledger.dropped.keys.allSatisfy { $0 == "superseded" }, "\(ledger)", sourceLocation: sourceLocation)
        #expect(
            records.count - unique.count <= ledger.resent,
            "\(records.count - unique.count) duplicates, \(ledger)",
            sourceLocation: sourceLocation
        )
        print("union: \(unique.count) records, \(records.count - unique.count) duplicates, \(ledger.resent) resent")
    }
}

/// The section of the region, with exactly these addresses.
func region(discovery: [String] = [], private: [String] = [], public: [String] = []) -> Settings {
    [
        "region \"default\"": [
            "service_discovery": discovery.joined(separator: ","), "private": `private`.joined(separator: ","),
            "public": `public`.joined(separator: ","),
        ]
    ]
}

/// Addresses of this host that refuse connections, all different.
func deadEndpoints(_ count: Int) throws -> [String] {
    var ports = Set<UInt16>()
    while ports.count < count { ports.insert(try unusedPort()) }
    return ports.map { "127.0.0.1:\($0)" }
}
