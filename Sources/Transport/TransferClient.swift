// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
public import Delivery
import ElkeidWire
import GRPC
import HTTP2
public import Logging
import Net
public import Reactor
import Syscalls
public import TLS

/// Keeps one Transfer stream to one of the configured servers, for ever: connects, sends what the outbox gives,
/// hands received commands over, and connects again with backoff when the stream or the connection ends.
///
/// `TransferClient+Connection.swift` has the way to a stream and its end, `TransferClient+Messages.swift` what
/// passes on it.
public final class TransferClient {
    /// Message bytes queued on the stream ahead of framing: a refill's worth.
    static let aheadOfFraming = 128 << 10
    /// Room for messages of 10 MiB without waiting for window updates.
    static let receiveWindow = (10 << 20) + (64 << 10)
    static let path = "/grpc.Transfer/Transfer"
    static let userAgent = "elkeid-agent-swift"

    let reactor: Reactor
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

    // The connection and the stream on it.
    var connection: HTTP2Connection?
    var stream: HTTP2Stream?
    var call = ClientCall()
    var endpoint: TransferSettings.Endpoint?
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
    var encodedHeader: [UInt8] = []
    var header = BufferChain()

    // The next attempt.
    var nextEndpoint = 0
    var attemptsThisRound = 0
    var backoff: Backoff
    var random = SystemRandomNumberGenerator()
    /// Servers that refused our compression.
    var identityOnly: Set<TransferSettings.Endpoint> = []
    var retryAtOnce = false
    var onStopped: (() -> Void)?
    var isStopping: Bool { onStopped != nil || state == .stopped }

    lazy var retryTimer = reactor.makeTimer { [unowned self] in self.connect() }
    lazy var acceptTimer = reactor.makeTimer { [unowned self] in self.accept() }
    lazy var closeTimer = reactor.makeTimer { [unowned self] in self.giveUpClosing() }
    lazy var decodeLater = reactor.makeDeferred { [unowned self] in self.decodeMessages() }
    lazy var compressLater = reactor.makeDeferred { [unowned self] in self.compressStep() }

    public init(
        settings: TransferSettings,
        outbox: Outbox,
        ownLane: Lane,
        reactor: Reactor,
        log: Logger,
        makeContext: @escaping () throws(TLSError) -> TLSContext
    ) {
        self.settings = settings
        self.makeContext = makeContext
        self.outbox = outbox
        self.ownLane = ownLane
        self.reactor = reactor
        self.log = log
        assembler = MessageAssembler(.identity, arena: arena)
        backoff = Backoff(minimum: settings.reconnectMinimum, maximum: settings.reconnectMaximum)
    }

    /// Begins, and goes on until `stop`.
    public func start() {
        guard state == .idle else { return }
        if settings.endpoints.isEmpty {
            state = .waiting(reason: "no server is configured; set `private` in the section of the region")
            return
        }
        connect()
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

    /// Sends what the outbox has, ends the stream, waits for the server's word on it, and closes; at most for
    /// `limit`. `completion` is called in any case.
    public func stop(within limit: TimeSpan, completion: @escaping () -> Void) {
        guard !isStopping else { return }
        onStopped = completion
        retryTimer.cancel()
        guard connection != nil else { return finishStopping("the agent stops") }
        closeTimer.arm(after: limit)
        connection?.flush()
    }
}
