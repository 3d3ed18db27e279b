// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import DiskWorker
import ElkeidWire
import JSON
import Reactor
import Transport

/// Sends files that the server asks for: task 1050, {"path": …, "buf_size": …}.
final class UploadTasks {
    /// At once, and waiting for their turn: a server that asks for more is told so.
    static let limit = 4
    static let queueLimit = 64
    /// Bytes of a piece at most. The original agent's.
    static let pieceLimit: Int64 = 500 << 10
    /// Pieces in the time that an upload may take. The original agent's.
    static let pieces: Int64 = 600

    /// For a file to be opened: far longer than any disk takes.
    static let openLimit = TimeSpan.seconds(30)

    enum Outcome {
        /// The server has it, and has answered for it.
        case taken
        case failed(String)
    }

    private struct Request {
        let token: String
        let path: String
        let piece: Int
        let completion: (Outcome) -> Void
    }

    private unowned let agent: Agent
    private var queue: [Request] = []
    private var running: [ObjectIdentifier: Running] = [:]
    private var isStopping = false

    /// A worker of its own for each: a file on a network that hangs holds up nobody else.
    private final class Running {
        let request: Request
        let worker: DiskWorker
        var upload: FileUpload?
        /// For the file to be found and opened: it may lie on a network that hangs.
        var deadline: Timer?
        /// Of the file as it was found.
        var size: Int64 = 0
        var inode: UInt64 = 0

        init(_ request: Request, worker: DiskWorker) {
            self.request = request
            self.worker = worker
        }
    }

    init(agent: Agent) { self.agent = agent }

    func begin(_ task: PluginTask, completion: @escaping (Outcome) -> Void) {
        let json: JSONValue
        do throws(JSONValue.ParseError) { json = try JSONValue(parsing: Array(task.data.utf8)) } catch {
            return completion(.failed("its data are no JSON: \(error)"))
        }
        guard let path = json["path"]?.string, let size = json["buf_size"]?.integer else {
            return completion(.failed("its data have no path, or no whole number as buf_size"))
        }
        guard path.hasPrefix("/"), !path.utf8.contains(0) else {
            return completion(.failed("\(path.prefix(200)) is no absolute path"))
        }
        guard size > 0 else { return completion(.failed("buf_size is \(size): nothing would ever be sent")) }
        guard !isStopping else { return completion(.failed("the agent stops")) }
        guard queue.count < Self.queueLimit else {
            return completion(.failed("\(queue.count) files are waiting to be uploaded already"))
        }
        let piece = Int(min(size, Self.pieceLimit))
        queue.append(Request(token: task.token, path: path, piece: piece, completion: completion))
        beginNext()
    }

    func stop() {
        isStopping = true
        let waiting = queue
        queue = []
        for request in waiting { request.completion(.failed("the agent stops")) }
        for entry in Array(running.values) { end(entry, .failed("the agent stops")) }
    }

    private func beginNext() {
        while !isStopping, running.count < Self.limit, !queue.isEmpty { open(queue.removeFirst()) }
    }

    /// Looks at the file: its size, and that it is one.
    private func open(_ request: Request) {
        let worker = DiskWorker(
            reactor: agent.reactor,
            children: agent.children,
            log: agent.log,
            idleLimit: TimeSpan(nanoseconds: TimeSpan(agent.configuration.timeouts.uploadInterval).nanoseconds * 2)
        )
        let entry = Running(request, worker: worker)
        running[ObjectIdentifier(entry)] = entry
        entry.deadline = agent.reactor.makeTimer { [unowned self, unowned entry] in
            self.end(entry, .failed("\(request.path) could not be opened in time"))
        }
        entry.deadline?.arm(after: Self.openLimit)
        worker.read(request.path, offset: 0, count: 0, inode: 0) { [unowned self] result in
            guard self.running[ObjectIdentifier(entry)] != nil else { return }
            entry.deadline?.cancel()
            switch result {
            case .failure(let error): self.end(entry, .failed("\(error)"))
            case .success(let part):
                guard part.size <= Int64(request.piece) * Self.pieces else {
                    let limit = Int64(request.piece) * Self.pieces
                    return self.end(
                        entry,
                        .failed(
                            "\(request.path) has \(part.size) bytes; with that buf_size at most \(limit) can be sent"
                        )
                    )
                }
                entry.size = part.size
                entry.inode = part.inode
                self.send(entry)
            }
        }
    }

    private func send(_ entry: Running) {
        let timeouts = agent.configuration.timeouts
        do throws(FileUpload.Failure) {
            entry.upload = try agent.transfer.upload(
                token: entry.request.token,
                settings: FileUpload.Settings(
                    size: entry.size,
                    piece: entry.request.piece,
                    interval: TimeSpan(timeouts.uploadInterval),
                    limit: TimeSpan(timeouts.upload)
                ),
                read: { offset, count, completion in
                    entry.worker.read(entry.request.path, offset: offset, count: count, inode: entry.inode) { result in
                        completion(
                            result.map(\.bytes).mapError { error in FileUpload.Failure("\(error)") }
                        )
                    }
                },
                completion: { [unowned self] failure in
                    self.end(entry, failure.map { .failed($0.description) } ?? .taken)
                }
            )
        } catch {
            end(entry, .failed(error.description))
        }
    }

    private func end(_ entry: Running, _ outcome: Outcome) {
        guard running.removeValue(forKey: ObjectIdentifier(entry)) != nil else { return }
        entry.deadline?.cancel()
        entry.upload?.fail("given up")
        entry.upload = nil
        entry.worker.close()
        entry.request.completion(outcome)
        beginNext()
    }
}
