// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
public import Delivery
import ElkeidWire
import GRPC
import HTTP2
public import Logging
public import Net
public import Reactor
import Syscalls
public import TLS

/// Keeps one Transfer stream to one of the configured servers, for ever: finds a server, connects, sends what the
/// outbox gives, hands received commands over, and connects again with backoff when the stream or the connection ends.
///
/// There is never a second stream: servers refuse an id that they know already. So the next connection is dialled only
/// when the one before is closed.
///
/// `TransferClient+Attempts.swift` has the way to a connection, `TransferClient+Connection.swift` the stream and its
/// end, `TransferClient+Messages.swift` what passes on it.
public final class TransferClient {
    /// Bytes of records that may always be unconfirmed: what a server's first window and the messages being read need.
    static let unconfirmedMinimum = 2 << 20
    /// Message bytes queued on the stream ahead of framing: a refill's worth.
    static let aheadOfFraming = 128 << 10
    /// Room for messages of 10 MiB without waiting for window updates.
    static let receiveWindow = (10 << 20) + (64 << 10)
    static let path = "/grpc.Transfer/Transfer"
    static let userAgent = "elkeid-agent-swift"

    let reactor: Reactor
    let resolver: Resolver
    let outbox: Outbox
    let ownLane: Lane
    /// Prefixes, headers and compressed bytes: apart from the records, so that they pin none.
    let arena = Arena(pool: SlabPool(slabSize: 64 << 10))
    let log: Logger
    public weak var delegate: (any TransferDelegate)?
    var settings: TransferSettings
    /// Made anew at the next attempt after a failure, so that a mended certificate is found without a restart.
    var context: TLSContext?
    private let makeContext: () throws(TLSError) -> TLSContext

    public internal(set) var state = TransferState.idle {
        didSet { if state != oldValue { delegate?.stateChanged(state) } }
    }

    // The round of attempts.
    var plan: EndpointPlan?
    var candidate: Candidate?
    /// The server that the next round tries last.
    var avoided: TransferSettings.Endpoint?
    var dialing: Dialing?
    var exchange: HTTPExchange?
    var resumptions = ResumptionCache()

    // The connection and the stream on it.
    var connection: HTTP2Connection?
    var stream: HTTP2Stream?
    var call = ClientCall()
    var endpoint: TransferSettings.Endpoint? { candidate?.endpoint }
    /// Files on their way, by stream.
    var uploads: [Int32: FileUpload] = [:]
    var endReason: String?
    /// May records be sent, or must the call be accepted first?
    var isAccepted = false
    var acceptedAt = MonotonicTime(nanoseconds: 0)
    /// Our half of the stream ends: nothing new is sent on it.
    var isEnding = false

    // What passes on the stream.
    var decoder = MessageDecoder()
    var assembler: MessageAssembler
    /// The batch whose message is being compressed.
    var assembling: Batch?
    /// Bytes of messages appended to the stream: the offset at which the next one starts.
    var streamOffset: UInt64 = 0
    /// What the server has shown to have read.
    var confirmation = Confirmation()
    /// The status OK came after our end; a reset that comes with it says that the server had not seen that.
    var answersOurEnd = false
    private var pings: UInt64 = 0
    /// A PING was asked for and is not framed yet.
    var pingIsQueued = false
    /// Of one message with its prefix, the largest on this stream.
    var largestMessage = 0
    /// Fields 2 to 9 of PackagedData, as the delegate gave them last.
    var encodedHeader: [UInt8] = []

    // What the agent reports.
    public internal(set) var traffic = TransferTraffic()
    var conflict: ConflictWatch
    var keepalive: Keepalive

    // The next attempt.
    var backoff: Backoff
    var random = SystemRandomNumberGenerator()
    /// Servers that refused our compression.
    var identityOnly: Set<TransferSettings.Endpoint> = []
    var retryAtOnce = false
    /// Why the last attempt failed.
    var lastFailure = "no server could be used" { didSet { hasFailed = true } }
    private(set) var hasFailed = false
    var onStopped: (() -> Void)?
    var isStopping: Bool { onStopped != nil || state == .stopped }

    lazy var retryTimer = reactor.makeTimer { [unowned self] in self.beginRound() }
    lazy var nextAttempt = reactor.makeDeferred { [unowned self] in self.attemptNext() }
    lazy var keepaliveTimer = reactor.makeTimer { [unowned self] in self.checkLife() }
    lazy var acceptTimer = reactor.makeTimer { [unowned self] in self.accept() }
    lazy var confirmTimer = reactor.makeTimer { [unowned self] in self.confirmByPing() }
    lazy var statusTaken = reactor.makeDeferred { [unowned self] in self.closeAfterStatus() }
    lazy var closeTimer = reactor.makeTimer { [unowned self] in self.giveUpClosing() }
    lazy var decodeLater = reactor.makeDeferred { [unowned self] in self.decodeMessages() }
    lazy var compressLater = reactor.makeDeferred { [unowned self] in self.compressStep() }

    public init(
        settings: TransferSettings,
        outbox: Outbox,
        ownLane: Lane,
        reactor: Reactor,
        resolver: Resolver,
        log: Logger,
        makeContext: @escaping () throws(TLSError) -> TLSContext
    ) {
        self.settings = settings
        self.makeContext = makeContext
        self.outbox = outbox
        self.ownLane = ownLane
        self.reactor = reactor
        self.resolver = resolver
        self.log = log
        conflict = ConflictWatch(limit: settings.conflictLimit)
        keepalive = Keepalive(interval: settings.keepalive, timeout: settings.keepaliveTimeout)
        assembler = MessageAssembler(.identity, arena: arena)
        backoff = Backoff(minimum: settings.reconnectMinimum, maximum: settings.reconnectMaximum)
    }

    /// Begins, and goes on until `stop`.
    public func start() {
        guard state == .idle else { return }
        // Before the loop turns: the first context costs some milliseconds. Why it cannot be made is said at the attempt.
        context = try? currentContext()
        beginRound()
    }

    /// Takes new settings over. When they, or the certificates, lead elsewhere, a running stream is ended in order and
    /// the next one made by the new ones.
    public func update(_ new: TransferSettings, certificatesChanged: Bool) {
        let turns = certificatesChanged || !settings.reachesSame(as: new)
        settings = new
        backoff = Backoff(minimum: new.reconnectMinimum, maximum: new.reconnectMaximum)
        conflict = ConflictWatch(limit: new.conflictLimit)
        keepalive = Keepalive(interval: new.keepalive, timeout: new.keepaliveTimeout)
        if connection?.isOpen == true { keepaliveTimer.arm(after: new.keepalive) }
        guard turns, !isStopping, state != .idle else { return }
        context = nil
        plan = nil
        resumptions.removeAll()
        identityOnly.removeAll()
        turnAway("the configuration changed")
    }

    /// Ends a running stream in order and makes another; without one, tries now rather than after the pause.
    public func reconnect(_ reason: String) {
        guard !isStopping, state != .idle else { return }
        backoff.reset()
        turnAway(reason)
    }

    /// How the present or the last server was found.
    public var mode: NetworkMode? { candidate?.mode }

    /// Why the agent's state is not as it should be, if so.
    public var problem: String? {
        settings.region.isEmpty
            ? "region \(settings.regionName) has no servers" : conflict.problem(at: MonotonicTime.now())
    }

    func currentContext() throws(TLSError) -> TLSContext {
        if let context { return context }
        let made = try makeContext()
        context = made
        return made
    }

    /// There is something in the outbox.
    public func flush() {
        if isAccepted { connection?.flush() }
    }

    /// PING, with another payload each time.
    func ping() {
        pings += 1
        pingIsQueued = true
        connection?.http?.ping(pings)
        connection?.flush()
    }

    /// Sends what the outbox has, ends the stream, waits for the server's word on it, and closes; at most for
    /// `limit`. `completion` is called in any case.
    public func stop(within limit: TimeSpan, completion: @escaping () -> Void) {
        guard !isStopping else { return }
        onStopped = completion
        cancelAttempt()
        guard connection != nil else { return finishStopping("the agent stops") }
        closeTimer.arm(after: limit)
        connection?.flush()
    }
}
