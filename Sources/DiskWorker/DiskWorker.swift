// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Logging
public import Reactor
import Syscalls

/// Lets a child process do what can block on regular files, so that the loop never does. The child is this program,
/// started again. There is none before the first request, nor after a while without any: a host has the memory back.
///
/// Requests are done in order. When the worker dies another one is started, and what is unanswered is asked again; a
/// request that several workers in a row die of is given up.
public final class DiskWorker: ReadinessHandler {
    /// Requests that wait at most, and their bytes: a disk that hangs must not cost the agent its memory.
    public static let queueLimit = 1024
    public static let queueBytes = 16 << 20
    /// Workers that one request may cost.
    static let attempts = 5
    static let restartMinimum = TimeSpan.milliseconds(100)
    static let restartMaximum = TimeSpan.seconds(10)
    /// Without a request for so long the worker ends: longer than one request follows another, no longer than anybody
    /// would notice.
    public static let idleLimit = TimeSpan.milliseconds(200)

    typealias Completion = (Result<DiskAnswer, DiskError>) -> Void

    private struct Request {
        let number: UInt64
        let operation: DiskOperation
        let frame: [UInt8]
        let completion: Completion
        var attempts = 0
    }

    private let reactor: Reactor
    private let children: ChildWatcher
    private let log: Logger
    private let program: String
    private let idleLimit: TimeSpan
    private let endsWithUs: Bool
    private var requests: ContiguousArray<Request> = []
    private var waitingBytes = 0
    private var refused: [(Completion, DiskError)] = []
    private var nextNumber: UInt64 = 1
    private var source: Source?
    /// The worker's process, while there is one.
    public private(set) var pid: Int32?
    private var outgoing: [UInt8] = []
    private var written = 0
    private var incoming: [UInt8] = []
    private var delay = DiskWorker.restartMinimum
    private var isClosed = false
    private lazy var restart = reactor.makeTimer { [unowned self] in self.start() }
    private lazy var idle = reactor.makeTimer { [unowned self] in self.letGo() }
    private lazy var refuseLater = reactor.makeDeferred { [unowned self] in self.tellRefused() }

    /// - Parameters:
    ///   - program: is started with `DiskWorker.argument`, upon which it must call `serve`.
    ///   - endsWithUs: whether the kernel kills it when this process is killed: what it does must then not go on.
    public init(
        reactor: Reactor,
        children: ChildWatcher,
        log: Logger,
        program: String = SelfProcess.program,
        idleLimit: TimeSpan = DiskWorker.idleLimit,
        endsWithUs: Bool = false
    ) {
        self.reactor = reactor
        self.children = children
        self.log = log
        self.program = program
        self.idleLimit = idleLimit
        self.endsWithUs = endsWithUs
    }

    // MARK: Requests

    /// Puts a file in place, synced, complete or not at all.
    public func writeFile(
        _ path: String,
        _ bytes: [UInt8],
        mode: UInt32,
        _ completion: @escaping (Result<Void, DiskError>) -> Void
    ) {
        submit(.writeFile(path: path, bytes: bytes, mode: mode)) { completion($0.map { _ in }) }
    }

    /// Renames `x.log` to `x-<time>.log`, and tells that name.
    public func rotate(_ path: String, _ completion: @escaping (Result<String, DiskError>) -> Void) {
        submit(.rotate(path: path)) { result in
            completion(
                result.flatMap { if case .path(let aside) = $0 { .success(aside) } else { Self.odd("rotate", path) } }
            )
        }
    }

    /// Makes `<path>.gz` of a file, mode 0600, and removes the file.
    public func compress(_ path: String, _ completion: @escaping (Result<Void, DiskError>) -> Void) {
        submit(.compress(path: path)) { completion($0.map { _ in }) }
    }

    /// Compresses what was put aside of `<directory>/<stem>.log`, and removes all but the newest `keep` and what is
    /// older than `maxAge`.
    public func prune(
        _ directory: String,
        stem: String,
        keep: Int,
        maxAge: TimeSpan,
        _ completion: @escaping (Result<Void, DiskError>) -> Void
    ) {
        let age = maxAge.nanoseconds / 1_000_000_000
        submit(.prune(directory: directory, stem: stem, keep: keep, maximumAge: age)) { completion($0.map { _ in }) }
    }

    /// Adds up the sizes of the files below a folder; those in folders named in `excluding` are left out.
    public func directorySize(
        _ path: String,
        excluding: [String] = [],
        _ completion: @escaping (Result<DirectorySize, DiskError>) -> Void
    ) {
        submit(.directorySize(path: path, excluding: excluding)) { result in
            completion(
                result.flatMap { if case .size(let size) = $0 { .success(size) } else { Self.odd("measure", path) } }
            )
        }
    }

    /// Reads up to `count` bytes of a regular file from `offset` on; fewer only at its end.
    ///
    /// - Parameter inode: of the file that it must still be; 0 takes any.
    public func read(
        _ path: String,
        offset: Int64,
        count: Int,
        inode: UInt64,
        _ completion: @escaping (Result<FilePart, DiskError>) -> Void
    ) {
        submit(.read(path: path, offset: offset, count: count, inode: inode)) { result in
            completion(
                result.flatMap { if case .part(let part) = $0 { .success(part) } else { Self.odd("read", path) } }
            )
        }
    }

    /// Leaves only the last `keep` bytes of a file that others append to.
    public func cut(_ path: String, keep: Int, _ completion: @escaping (Result<Void, DiskError>) -> Void) {
        submit(.cut(path: path, keep: keep)) { completion($0.map { _ in }) }
    }

    /// Asks a service of the worker (`serve`).
    public func call(
        _ service: String,
        _ argument: [UInt8],
        _ completion: @escaping (Result<[UInt8], DiskError>) -> Void
    ) {
        submit(.call(service: service, argument: argument)) { result in
            completion(
                result.flatMap { if case .bytes(let bytes) = $0 { .success(bytes) } else { Self.odd("call", service) } }
            )
        }
    }

    private static func odd<R>(_ operation: String, _ path: String) -> Result<R, DiskError> {
        .failure(DiskError(operation, path, detail: "the worker's answer does not fit the question"))
    }

    /// Requests that are not answered yet.
    public var waiting: Int { requests.count }

    private func submit(_ operation: DiskOperation, _ completion: @escaping Completion) {
        let frame = DiskProtocol.encode(operation, number: nextNumber)
        guard operation.path.utf8.count <= DiskProtocol.maximumPath, frame.count <= DiskProtocol.maximumFrame else {
            return refuse(completion, DiskError(operation.name, operation.path, .tooLarge))
        }
        guard requests.count < Self.queueLimit, waitingBytes + frame.count <= Self.queueBytes else {
            let detail = "\(requests.count) requests are waiting for the disk"
            return refuse(completion, DiskError(operation.name, operation.path, detail: detail))
        }
        requests.append(Request(number: nextNumber, operation: operation, frame: frame, completion: completion))
        nextNumber += 1
        waitingBytes += frame.count
        idle.cancel()
        guard source != nil else {
            if !restart.isArmed { start() }
            return
        }
        outgoing += frame
        flush()
    }

    private func refuse(_ completion: @escaping Completion, _ error: DiskError) {
        refused.append((completion, error))
        refuseLater.schedule()
    }

    private func tellRefused() {
        let told = refused
        refused = []
        for (completion, error) in told { completion(.failure(error)) }
    }

    // MARK: The worker

    private func start() {
        guard source == nil, !requests.isEmpty else { return }
        requests[0].attempts += 1
        if requests[0].attempts > Self.attempts {
            let lost = requests.removeFirst()
            waitingBytes -= lost.frame.count
            let detail = "\(Self.attempts) workers in a row ended over it"
            refuse(lost.completion, DiskError(lost.operation.name, lost.operation.path, detail: detail))
            return start()
        }
        do throws(Errno) {
            var process = try SelfProcess.start(program, argument: Self.argument, endsWithUs: endsWithUs)
            let pid = process.pid
            self.pid = pid
            incoming = []
            outgoing = requests.flatMap(\.frame)
            written = 0
            if let socket = process.socket.take() { source = reactor.watch(socket, for: .read, handler: self) }
            // The child may outlive this object, which then has let go of it.
            try children.watch(pid) { [weak self] status in self?.ended(pid, status) }
        } catch {
            log.error("the disk worker cannot be started: \(error)")
            lost()
            return
        }
        flush()
    }

    private func ended(_ ended: Int32, _ status: ExitStatus) {
        guard pid == ended else { return }
        log.warning("the disk worker ended: \(status); \(requests.count) requests are asked again")
        lost()
    }

    private func lost() {
        source?.close()
        source = nil
        pid = nil
        guard !requests.isEmpty else { return }
        restart.arm(after: delay)
        delay = min(Self.restartMaximum, TimeSpan(nanoseconds: delay.nanoseconds * 2))
    }

    /// The worker ends when it finds its socket closed; the next request has another one.
    private func letGo() {
        source?.close()
        source = nil
        pid = nil
    }

    /// Lets the worker go; it ends when it has done what was asked. Nothing more is answered.
    public func close() {
        isClosed = true
        restart.cancel()
        idle.cancel()
        letGo()
        requests = []
        waitingBytes = 0
    }

    // MARK: Bytes

    public func handle(_ readiness: Readiness, of source: Source) {
        if readiness.contains(.writable) { flush() }
        if !readiness.isDisjoint(with: [.readable, .hangup, .error]) { receive(source) }
    }

    private func flush() {
        while let source, written < outgoing.count {
            let (bytes, start) = (outgoing, written)
            switch source.withDescriptor({ fd in unsafe fd.send(bytes.span.bytes.extracting(droppingFirst: start)) }) {
            case .bytes(let count): written += count
            case .wouldBlock: return source.wait(for: [.read, .write])
            // That it is gone is told by its process.
            case .failed: return source.wait(for: [])
            }
        }
        outgoing = []
        written = 0
        source?.wait(for: .read)
    }

    private func receive(_ source: Source) {
        do throws(Errno) {
            let before = incoming.count
            try source.withDescriptor { fd throws(Errno) in
                try fd.readChunk(appendingTo: &incoming, capacity: 16 << 10)
            }
            if incoming.count == before { return source.wait(for: []) }
        } catch {
            return error == .again ? () : source.wait(for: [])
        }
        while incoming.count >= DiskProtocol.headerSize {
            guard let length = DiskProtocol.length(incoming.prefix(DiskProtocol.headerSize)) else { return nonsense() }
            let end = DiskProtocol.headerSize + length
            guard incoming.count >= end else { return }
            let frame = Array(incoming[DiskProtocol.headerSize..<end])
            incoming.removeFirst(end)
            guard let (number, result) = DiskProtocol.decodeAnswer(frame), requests.first?.number == number else {
                return nonsense()
            }
            let done = requests.removeFirst()
            waitingBytes -= done.frame.count
            delay = Self.restartMinimum
            done.completion(result)
            if isClosed { return }
        }
        if requests.isEmpty { idle.arm(after: idleLimit) }
    }

    private func nonsense() {
        log.error("the disk worker's answer makes no sense; it is started again")
        if let pid { _ = kill(pid, SIGKILL) }
        source?.wait(for: [])
    }
}
