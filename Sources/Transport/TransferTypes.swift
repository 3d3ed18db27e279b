// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Compression
public import ElkeidWire
public import HTTP1
public import Net
public import Reactor

/// How to reach Agent Centers, and how patient to be.
public struct TransferSettings: Sendable {
    public var region: Region
    /// Through which servers are reached by CONNECT.
    public var proxy: Proxy?
    /// Through which Service Discovery is asked, as the environment has it.
    public var proxyEnvironment: ProxyEnvironment
    /// The DNS name in the server's certificate.
    public var serverName: String
    public var coding: ContentCoding
    /// For the log line that operators look for.
    public var idc = "default"
    public var regionName = "default"
    /// For one Service Discovery to answer.
    public var discoveryLimit = TimeSpan.seconds(15)
    /// For one server's name, and one of its addresses to accept the connection.
    public var connectLimit: TimeSpan
    public var handshakeLimit: TimeSpan
    /// How long records are withheld for the server to refuse the call. What it refuses it does so at once, and
    /// records sent before would be lost with the stream.
    public var acceptLimit: TimeSpan
    /// How long to wait for the status after our half has ended.
    public var closeLimit: TimeSpan
    public var reconnectMinimum: TimeSpan
    public var reconnectMaximum: TimeSpan
    /// Silence after which a PING is sent, and the time for its answer.
    public var keepalive = TimeSpan.seconds(30)
    public var keepaliveTimeout = TimeSpan.seconds(15)
    /// Between the two PINGs that confirm what credit does not.
    public var confirmSpacing = TimeSpan.seconds(10)
    /// How long refusals for an id conflict are taken for the traces of an earlier connection.
    public var conflictLimit = TimeSpan.seconds(900)

    public init(
        region: Region,
        serverName: String,
        coding: ContentCoding,
        connectLimit: TimeSpan = .seconds(15),
        handshakeLimit: TimeSpan = .seconds(15),
        acceptLimit: TimeSpan = .seconds(1),
        closeLimit: TimeSpan = .seconds(5),
        reconnectMinimum: TimeSpan = .seconds(1),
        reconnectMaximum: TimeSpan = .seconds(60)
    ) {
        self.region = region
        proxyEnvironment = ProxyEnvironment([:])
        self.serverName = serverName
        self.coding = coding
        self.connectLimit = connectLimit
        self.handshakeLimit = handshakeLimit
        self.acceptLimit = acceptLimit
        self.closeLimit = closeLimit
        self.reconnectMinimum = reconnectMinimum
        self.reconnectMaximum = reconnectMaximum
    }

    /// Do both lead to the same servers in the same way? Names are only said to them: a stream is not ended for those, with
    /// which a server's tasks on their way would be lost.
    func reachesSame(as other: TransferSettings) -> Bool {
        region == other.region && proxy == other.proxy && serverName == other.serverName && coding == other.coding
    }

    /// Where the servers of a region are.
    public struct Region: Equatable, Sendable {
        /// Each is asked in turn until one names servers.
        public var discovery: [Endpoint]
        public var privateEndpoints: [Endpoint]
        public var publicEndpoints: [Endpoint]
        public init(
            discovery: [Endpoint] = [],
            privateEndpoints: [Endpoint] = [],
            publicEndpoints: [Endpoint] = []
        ) {
            self.discovery = discovery
            self.privateEndpoints = privateEndpoints
            self.publicEndpoints = publicEndpoints
        }
        public var isEmpty: Bool { discovery.isEmpty && privateEndpoints.isEmpty && publicEndpoints.isEmpty }
    }

    /// One address of a server.
    public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
        public var host: String
        public var port: UInt16
        public init(host: String, port: UInt16) {
            self.host = host
            self.port = port
        }
        public var description: String { host.utf8.contains(0x3a) ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }
}

/// Where the stream to the server stands.
public enum TransferState: Equatable, Sendable, CustomStringConvertible {
    case idle
    /// Service Discovery is being asked.
    case discovering(String)
    case connecting(String)
    /// The call was made; records wait for the server not to refuse it.
    case opening(String)
    case running(String)
    /// Until the next attempt.
    case waiting(reason: String)
    case stopped

    /// One word, for programs.
    public var name: String {
        switch self {
        case .idle: "idle"
        case .discovering: "discovering"
        case .connecting: "connecting"
        case .opening: "opening"
        case .running: "running"
        case .waiting: "waiting"
        case .stopped: "stopped"
        }
    }

    public var description: String {
        switch self {
        case .idle: "idle"
        case .discovering(let endpoint): "asking service discovery at \(endpoint)"
        case .connecting(let endpoint): "connecting to \(endpoint)"
        case .opening(let endpoint): "opening the stream at \(endpoint)"
        case .running(let endpoint): "connected to \(endpoint)"
        case .waiting(let reason): "not connected: \(reason)"
        case .stopped: "stopped"
        }
    }
}

/// What the stream needs from the agent, and tells it.
public protocol TransferDelegate: AnyObject {
    /// A fresh heartbeat (1000): the first message of every stream.
    func makeHeartbeat() -> RecordBatch
    /// The encoded fields 2 to 9 of PackagedData, the same bytes until they change.
    func messageHeader() -> [UInt8]
    func received(_ command: Command)
    func stateChanged(_ state: TransferState)
    /// Batches were confirmed: their memory is free again.
    func confirmed()
}
