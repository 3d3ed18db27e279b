// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
public import ElkeidWire
import GRPC
import Net
public import Reactor
public import Syscalls
public import TLS

/// Hears what happens at a center.
public protocol CenterObserver: AnyObject {
    /// One record, as the plugin wrote it; `bytes` are of the whole message.
    func received(_ record: EncodedRecord, in message: [UInt8], from agentID: String)
    /// Something worth a line: an agent came or went, a file was uploaded.
    func noted(_ event: String)
}

/// A development Agent Center: the gRPC services that agents use, and the HTTP ones beside it, on one reactor.
///
/// It behaves as an Agent Center does where agents can tell: one stream for each agent id, the configuration pushed
/// with the first heartbeat of a connection, 10 MiB messages, answers compressed as the questions are.
public final class Center {
    public struct Settings {
        /// Where agents connect (gRPC over mutual TLS). Port 0 takes a free one.
        public var listen: SocketAddress
        /// Where discovery and downloads are (HTTP); nil for neither.
        public var http: SocketAddress?
        public var certificates: TLSContext.Files
        /// Folder for uploaded files, made when the first one comes.
        public var uploads: String
        public var components: [Component]

        public init(
            listen: SocketAddress,
            http: SocketAddress?,
            certificates: TLSContext.Files,
            uploads: String,
            components: [Component] = []
        ) {
            self.listen = listen
            self.http = http
            self.certificates = certificates
            self.uploads = uploads
            self.components = components
        }
    }

    static let connectionLimit = 1024

    let reactor: Reactor
    let context: TLSContext
    let arena = Arena(pool: SlabPool(slabSize: 64 << 10))
    let uploads: String
    private let http: SocketAddress?
    public weak var observer: (any CenterObserver)?
    public private(set) var statistics = Statistics()
    /// Nil until a record came; plugins' records rather than heartbeats.
    public private(set) var latest: LatestRecord?
    /// What agents are told to run; nil: nothing is told, and agents keep what they have.
    public var configuration: [PluginConfig]?

    private var listener: Listener?
    private(set) var web: WebServer?
    private var connections: [ObjectIdentifier: AgentConnection] = [:]
    private var ended: [AgentConnection] = []
    private var clear: Deferred?
    private var transfers: [String: TransferCall] = [:]
    private var closedBytes: UInt64 = 0

    /// - Throws: `CenterError` when an address cannot be used or a certificate file is not right.
    public init(_ settings: Settings, reactor: Reactor) throws(CenterError) {
        self.reactor = reactor
        uploads = settings.uploads
        http = settings.http
        do throws(TLSError) {
            context = try TLSContext(role: .server, files: settings.certificates)
        } catch {
            throw CenterError(error.description)
        }
        clear = reactor.makeDeferred { [weak self] in self?.ended.removeAll() }
        listener = try listen(settings.listen) { [weak self] in self?.accept($0) }
        if let address = settings.http {
            let web = WebServer(reactor: reactor, components: settings.components)
            let local = settings.listen
            web.discovery = { [weak self] address in self?.endpoint(local, seenFrom: address) ?? [] }
            let listener = try listen(address) { [weak web] in web?.accept($0) }
            web.serve(listener)
            self.web = web
        }
        if !settings.components.isEmpty {
            let authority = web.map { SocketAddress.authority(settings.http, port: $0.port) }
            configuration = settings.components.map { $0.config(authority: authority) }
        }
    }

    private func listen(
        _ address: SocketAddress,
        _ onConnection: @escaping (consuming FileDescriptor) -> Void
    ) throws(CenterError) -> Listener {
        do throws(Errno) {
            return try Listener(address, reactor: reactor, onConnection: onConnection)
        } catch {
            throw CenterError("cannot listen on \(address): \(error); give another address, or stop what uses it")
        }
    }

    public var port: UInt16 { listener?.port ?? 0 }
    public var httpPort: UInt16? { web?.port }
    /// Agents with a stream at this moment.
    public var agents: Int { transfers.count }
    public var connectionCount: Int { connections.count }
    /// Bytes that agents sent over the network, encrypted as they were.
    public var networkBytes: UInt64 { closedBytes + connections.values.reduce(0) { $0 + $1.bytesReceived } }

    /// Takes no more connections and says so to those that are there.
    public func stop() {
        listener?.close()
        web?.stop()
        for connection in connections.values { connection.goAway() }
    }

    /// Ends everything at once. A center that is not closed stays with its reactor.
    public func close() {
        listener?.close()
        web?.stop()
        for connection in Array(connections.values) { connection.close() }
        ended.removeAll()
    }

    // MARK: Commands

    /// Sends the task to all agents. How many they are.
    public func send(_ task: PluginTask) -> Int {
        for transfer in transfers.values { transfer.send(Command(task: task)) }
        return transfers.count
    }

    /// Sends the configuration to all agents again, an empty one when there is none. How many they are.
    public func push() -> Int {
        for transfer in transfers.values { transfer.send(Command(configs: configs(for: transfer))) }
        return transfers.count
    }

    /// Ends all streams with OK, as a center does that rebalances. How many they were.
    public func reset() -> Int {
        let count = transfers.count
        for transfer in Array(transfers.values) { transfer.reset() }
        return count
    }

    // MARK: Connections

    private func accept(_ descriptor: consuming FileDescriptor) {
        guard connections.count < Self.connectionLimit else { return }
        do throws(TLSError) {
            let connection = try AgentConnection(descriptor, center: self)
            connections[ObjectIdentifier(connection)] = connection
        } catch {
            note("a connection could not be served: \(error)")
        }
    }

    func ended(_ connection: AgentConnection, _ end: ConnectionEnd) {
        closedBytes += connection.bytesReceived
        if case .tls(let error) = end { note("\(connection.peer): \(error)") }
        connections.removeValue(forKey: ObjectIdentifier(connection))
        // It is in the middle of a call: let it go when that has returned.
        ended.append(connection)
        clear?.schedule()
    }

    private func note(_ event: String) { observer?.noted(event) }
}

// MARK: What calls report

extension Center {
    func admit(_ call: TransferCall, _ header: PackagedDataHeader) -> Bool {
        let id = header.agentID
        guard transfers[id] == nil else {
            statistics.refused += 1
            note("\(call.peer): refused, agent \"\(id)\" is connected already")
            return false
        }
        transfers[id] = call
        statistics.streams += 1
        note("\(call.peer): agent \"\(id)\" on \(header.hostname), \(header.product) \(header.version)")
        return true
    }

    func dismiss(_ call: TransferCall) {
        guard let id = call.agentID, transfers[id] === call else { return }
        transfers[id] = nil
        note("agent \"\(id)\" left")
    }

    /// The configuration, with URLs that lead to us by the address which this agent has reached.
    private func configs(for call: TransferCall) -> [PluginConfig] {
        guard let http, http.isUnspecified, let local = call.localAddress else { return configuration ?? [] }
        let general = "http://\(SocketAddress.authority(http, port: httpPort ?? 0))/"
        let reachable = "http://\(SocketAddress.authority(local, port: httpPort ?? 0))/"
        return (configuration ?? []).map { config in
            var config = config
            config.downloadURLs = config.downloadURLs.map { url in
                url.hasPrefix(general) ? reachable + url.dropFirst(general.count) : url
            }
            return config
        }
    }

    func configure(_ call: TransferCall) {
        if configuration != nil { call.send(Command(configs: configs(for: call))) }
    }

    func count(_ message: [UInt8], _ records: [EncodedRecord], from agentID: String) {
        statistics.messages += 1
        for record in records {
            statistics.records += 1
            statistics.bytes += UInt64(record.encoded.count)
            statistics.types[record.dataType, default: 0] += 1
            observer?.received(record, in: message, from: agentID)
        }
        let plugin = records.last { ![1000, 1001].contains($0.dataType) }
        if let record = plugin ?? (latest == nil ? records.last : nil) {
            latest = LatestRecord(agentID: agentID, bytes: Array(message[record.encoded]))
        }
    }

    func malformedMessage(from peer: String, _ error: WireError) {
        statistics.malformed += 1
        note("\(peer): \(error.description)")
    }

    func uploadPath(_ token: String) -> String {
        statistics.uploads += 1
        let name = String(token.prefix(64).map { Component.isName(String($0)) ? $0 : "_" })
        return "\(uploads)/\(statistics.uploads)-\(name.isEmpty ? "no-token" : name)"
    }

    func uploaded(_ path: String, size: Int, failure: String?) {
        note(failure.map { "upload failed: \($0)" } ?? "uploaded: \(path), \(size) bytes")
    }

    /// Where agents find this center, told to one that reached us at `address`.
    private func endpoint(_ listen: SocketAddress, seenFrom address: SocketAddress?) -> [WebServer.Endpoint] {
        let host = listen.isUnspecified ? (address ?? listen).host : listen.host
        return [WebServer.Endpoint(ip: host, port: port, streams: agents)]
    }
}
