// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import DiskWorker
import Glibc
import JSON
public import Logging
public import Reactor
public import Syscalls

/// The agent's end of one installation (`Installer`).
public final class InstallProcess: ReadinessHandler {
    /// Bytes of a line: a reason, with an address in it.
    private static let lineLimit = 64 << 10

    /// Between two log lines about the bytes that have come.
    private static let logInterval = TimeSpan.seconds(10)

    public let job: InstallJob
    private var lastLogged = MonotonicTime.now()
    private let log: Logger
    private var source: Source?
    private var pid: Int32?
    private var outgoing: [UInt8]
    private var incoming: [UInt8] = []
    private var outcome: Component.InstallOutcome?
    private let completion: (Component.InstallOutcome) -> Void
    private var onCancelled: (() -> Void)?
    /// Where it stands, for the agent's state.
    public private(set) var progress = "waiting"

    /// Starts it. `completion` is called once, in a later turn; not after `cancel`.
    ///
    /// - Parameter program: is started with `Installer.argument`, upon which it must call `Installer.run`.
    public init(
        _ job: InstallJob,
        program: String = SelfProcess.program,
        reactor: Reactor,
        children: ChildWatcher,
        log: Logger,
        completion: @escaping (Component.InstallOutcome) -> Void
    ) throws(Errno) {
        self.job = job
        self.log = log
        self.completion = completion
        outgoing = job.json.encoded + [0x0a]
        var process = try SelfProcess.start(program, argument: Installer.argument, endsWithUs: true)
        let pid = process.pid
        self.pid = pid
        if let socket = process.socket.take() { source = reactor.watch(socket, for: [.read, .write], handler: self) }
        do throws(Errno) {
            try children.watch(pid) { [unowned self] status in self.ended(status) }
        } catch {
            kill(-pid, SIGKILL)
            var status: CInt = 0
            while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            source?.close()
            throw error
        }
    }

    /// Ends it at once. `completion` is called when it has ended and touches nothing any more.
    public func cancel(completion: @escaping () -> Void) {
        guard let pid else { return completion() }
        onCancelled = completion
        kill(-pid, SIGKILL)
    }

    public func handle(_ readiness: Readiness, of source: Source) {
        if readiness.contains(.writable) { send(source) }
        if !readiness.isDisjoint(with: [.readable, .hangup, .error]) { receive(source) }
    }

    private func send(_ source: Source) {
        guard !outgoing.isEmpty else { return source.wait(for: .read) }
        let bytes = outgoing
        switch source.withDescriptor({ fd in unsafe fd.send(bytes.span.bytes) }) {
        case .bytes(let count): outgoing.removeFirst(count)
        // That it is gone is told by its process.
        case .wouldBlock, .failed: break
        }
        if outgoing.isEmpty { source.wait(for: .read) }
    }

    private func receive(_ source: Source) {
        do throws(Errno) {
            let before = incoming.count
            try source.withDescriptor { fd throws(Errno) in
                try fd.readChunk(appendingTo: &incoming, capacity: 16 << 10)
            }
            if incoming.count == before { source.wait(for: []) }
        } catch {
            if error != .again { source.wait(for: []) }
        }
        while let end = incoming.firstIndex(of: 0x0a) {
            let line = Array(incoming[..<end])
            incoming.removeSubrange(...end)
            take(line)
        }
        if incoming.count > Self.lineLimit { incoming = [] }
    }

    private func take(_ line: [UInt8]) {
        guard let message = (try? JSONValue(parsing: line)).flatMap(InstallMessage.init(json:)) else {
            return log.warning("the installation said something that makes no sense")
        }
        switch message {
        case .note(let text): log.warning("\(text)")
        case .stage(let text):
            progress = text
            log.info("\(text)")
        case .progress(let bytes, let total):
            progress = "downloading: \(bytes)\(total.map { " of \($0)" } ?? "") bytes"
            let now = MonotonicTime.now()
            guard now - lastLogged >= Self.logInterval else { return }
            lastLogged = now
            log.info("\(progress)")
        case .staged: outcome = .staged
        case .failed(let reason): outcome = .failed(reason)
        case .refused(let reason): outcome = .refused(reason)
        }
    }

    private func ended(_ status: ExitStatus) {
        pid = nil
        // What it said last may still be in the socket.
        if let source {
            let before = incoming.count
            receive(source)
            while outcome == nil, incoming.count > before { receive(source) }
        }
        source?.close()
        source = nil
        if let onCancelled = onCancelled.take() { return onCancelled() }
        completion(outcome ?? .failed("the process that installs it ended: \(status)"))
    }
}
