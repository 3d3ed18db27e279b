// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Delivery
import DiskWorker
import ElkeidWire
import Glibc
import JSON
import Logging
import Plugins
import Reactor
import Syscalls
import Transport

/// Obeys the server's tasks, and answers each that the agent has to answer: its own, and those that did not reach their
/// plugin. Exactly one answer is made for a token.
///
/// Tasks that take time are kept in a small file, so that an agent that was killed answers for them when it is back.
final class AgentTasks {
    /// The data type of an answer: fields token, status and msg.
    static let answer: Int32 = 5100

    /// What the agent can be asked for.
    enum Kind: Int32 {
        case upload = 1050
        case metadata = 1051
        case shutdown = 1060
    }

    /// Answers that are remembered, in case a server asks again for what it has not heard of.
    private static let memory = 256
    /// Changes that wait for the disk.
    private static let settingsLimit = 64
    /// Tasks that are kept in the file at most; a server that sends more at once gets its answers all the same.
    private static let kept = 4096

    private unowned let agent: Agent
    private let log: Logger
    private let path: String
    private var inProgress: Set<String> = []
    /// Nil: by the server itself.
    private var answered: [String: (status: String, message: String)?] = [:]
    private var order: [String] = []
    let uploads: UploadTasks
    /// Metadata that are being set, and those that wait for it.
    private var settings: [(task: PluginTask, idc: String?, region: String?)] = []
    // The file.
    private var isWriting = false
    private var written: Set<String> = []
    private lazy var writeLater = agent.reactor.makeDeferred { [unowned self] in self.write() }

    init(agent: Agent, path: String) {
        self.agent = agent
        self.path = path
        log = agent.log
        uploads = UploadTasks(agent: agent)
    }

    /// Answers what an agent before this one had begun and not ended.
    func start() {
        let text: [UInt8]
        do throws(Errno) { text = try FileDescriptor.readFile(path) } catch {
            if error != .notFound { log.error("the list of tasks in progress cannot be read: \(path): \(error)") }
            return
        }
        guard let tokens = (try? JSONValue(parsing: text))?["tokens"]?.strings else {
            let aside = "\(path).corrupt"
            let moved = unsafe rename(path, aside) == 0
            log.error("\(path) is damaged and \(moved ? "put aside as \(aside)" : "not used")")
            return
        }
        written = Set(tokens)
        for token in tokens { settle(token, .failed("the agent ended before the task did")) }
        writeLater.schedule()
    }

    // MARK: Tasks

    func perform(_ task: PluginTask) {
        guard !inProgress.contains(task.token) else {
            return log.warning("task \(task.dataType) comes again while it is in progress", metadata: metadata(task))
        }
        // Whose tasks they are shows even where their text is damaged; to carry them out would be to guess.
        if task.hasInvalidText {
            return fail(task, "its text is not UTF-8")
        }
        if !task.token.isEmpty, let known = answered[task.token] {
            if let known { send(task.token, known.status, known.message) }
            return log.info("task \(task.dataType) comes again, and is answered", metadata: metadata(task))
        }
        if task.objectName == Agent.product { performOwn(task) } else { forward(task) }
    }

    private func forward(_ task: PluginTask) {
        guard let plugin = agent.plugins.plugin(task.objectName) else {
            return fail(task, "there is no such plugin")
        }
        begin(task)
        do throws(TaskPipe.Refusal) {
            try plugin.send(task)
        } catch {
            fail(task, "\(error)")
        }
    }

    /// A task of a plugin was written whole, and is the plugin's to answer; or it was not.
    func settled(_ task: PluginTask, failure: String?) {
        guard let failure else { return end(task.token) }
        fail(task, failure)
    }

    private func performOwn(_ task: PluginTask) {
        log.info("task \(task.dataType) of the server", metadata: metadata(task))
        switch Kind(rawValue: task.dataType) {
        case .upload?: upload(task)
        case .metadata?: setMetadata(task)
        case .shutdown?:
            succeed(task, "the agent stops")
            agent.stop("task \(task.dataType) of the server")
        case nil: fail(task, "the agent knows no task of type \(task.dataType)")
        }
    }

    private func upload(_ task: PluginTask) {
        begin(task)
        uploads.begin(task) { [unowned self] outcome in
            switch outcome {
            case .taken:
                // The server has answered itself, with the place where the file is.
                self.log.info("file uploaded", metadata: self.metadata(task))
                self.remember(task.token, nil)
                self.end(task.token)
            case .failed(let reason): self.fail(task, reason)
            }
        }
    }

    private func setMetadata(_ task: PluginTask) {
        let json: JSONValue
        do throws(JSONValue.ParseError) { json = try JSONValue(parsing: Array(task.data.utf8)) } catch {
            return fail(task, "its data are no JSON: \(error)")
        }
        let (idc, region) = (json["idc"]?.string, json["region"]?.string)
        guard idc != nil || region != nil else { return fail(task, "its data name neither idc nor region") }
        guard settings.count < Self.settingsLimit else {
            return fail(task, "\(settings.count) changes are waiting to be made already")
        }
        begin(task)
        settings.append((task, idc, region))
        if settings.count == 1 { setNext() }
    }

    /// One after the other: each is a change to what the one before has left.
    private func setNext() {
        guard let (task, idc, region) = settings.first else { return }
        agent.specify(idc: idc, region: region) { [unowned self] failure in
            self.settings.removeFirst()
            if let failure { self.fail(task, failure) } else { self.succeed(task, "set") }
            self.setNext()
        }
    }

    // MARK: Answers

    private enum Outcome {
        case succeeded(String)
        case failed(String)
    }

    private func metadata(_ task: PluginTask) -> Logger.Metadata {
        ["token": "\(task.token)", "object": "\(task.objectName)"]
    }

    private func succeed(_ task: PluginTask, _ message: String) { settle(task.token, .succeeded(message)) }

    private func fail(_ task: PluginTask, _ reason: String) {
        log.warning("task \(task.dataType) for \(task.objectName) failed: \(reason)", metadata: metadata(task))
        settle(task.token, .failed("task \(task.dataType) for \(task.objectName): \(reason)"))
    }

    private func settle(_ token: String, _ outcome: Outcome) {
        end(token)
        let (status, message) =
            switch outcome {
            case .succeeded(let message): ("succeed", message)
            case .failed(let message): ("failed", message)
            }
        // Servers know a task by its token alone.
        guard !token.isEmpty else { return }
        remember(token, (status, message))
        send(token, status, message)
    }

    private func remember(_ token: String, _ answer: (status: String, message: String)?) {
        guard !token.isEmpty, answered.updateValue(answer, forKey: token) == nil else { return }
        order.append(token)
        if order.count > Self.memory { answered.removeValue(forKey: order.removeFirst()) }
    }

    private func send(_ token: String, _ status: String, _ message: String) {
        var builder = RecordBuilder()
        builder.begin(dataType: Self.answer, timestamp: Int64(time(nil)))
        builder.append("token", token)
        builder.append("status", status)
        builder.append("msg", message)
        agent.outbox.enqueueOwn(agent.records.batch(builder), on: agent.ownLane)
        agent.queued()
    }

    // MARK: The file

    private func begin(_ task: PluginTask) {
        guard !task.token.isEmpty, inProgress.insert(task.token).inserted else { return }
        writeLater.schedule()
    }

    private func end(_ token: String) {
        guard inProgress.remove(token) != nil else { return }
        writeLater.schedule()
    }

    /// What begins and ends within a turn is never written.
    private func write() {
        let kept = Set(inProgress.sorted().prefix(Self.kept))
        guard !isWriting, kept != written else { return }
        isWriting = true
        let json = JSONValue.object(["format": .integer(1), "tokens": .strings(kept.sorted())])
        agent.disk.writeFile(path, json.encoded + [0x0a], mode: 0o600) { [unowned self] result in
            self.isWriting = false
            self.written = kept
            if case .failure(let error) = result { self.log.error("tasks in progress cannot be kept: \(error)") }
            self.writeLater.schedule()
        }
    }

    /// The agent stops: what is in progress is given up, and answered.
    func stop() { uploads.stop() }
}
