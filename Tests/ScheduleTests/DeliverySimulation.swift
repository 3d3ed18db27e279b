// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import Reactor
import Spool
import SpoolSupport
import Syscalls
import TestSupport

/// An agent's cores, a disk, a network and a grpc-go server on a clock that is turned by hand.
final class DeliverySimulation {
    static let step = TimeSpan.milliseconds(50)
    static let laneCount = 5
    /// Bytes in the kernel's buffer of the agent's socket.
    static let kernelBuffer: UInt64 = 128 << 10

    private enum Word {
        case credit(Int)
        case pingAnswer(UInt64)
        case command
        case end
        case broken
    }

    let schedule: FaultSchedule
    private var random: SeededRandom
    private(set) var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    private let began: MonotonicTime
    private(set) var agent: SimulatedAgent
    private let policy: SpoolPolicy
    private let disk = MemoryDisk()
    private var store: SpoolStore?
    private(set) var books = ServerBooks()
    /// What was made, by anybody.
    private(set) var made = Set<Cargo>()
    /// What may be missing: it was young and unconfirmed when the agent was killed.
    private(set) var mayBeMissing = Set<Cargo>()
    /// Confirmed by PINGs while the handler stood still, and then never read.
    private(set) var stalledTail = Set<Cargo>()
    private(set) var problems: [String] = []
    private var noted = Ledger()
    private var steps = 0
    private var resentBefore: UInt64 = 0
    private var resentAtStart: UInt64 = 0
    /// By all agents, whatever their books say after a crash.
    var resent: UInt64 { resentBefore + agent.outbox.ledger.resent - resentAtStart }
    private var numbers = [Int](repeating: 0, count: DeliverySimulation.laneCount)
    private var confirmed: [Cargo] = []

    // The connection.
    private var stream: SimulatedStream?
    private var appended: UInt64 = 0
    private var credit: UInt64 = 0
    private var framed: UInt64 = 0
    private var inKernel: UInt64 = 0
    private var arriving: [(time: MonotonicTime, bytes: UInt64)] = []
    private var words: [(time: MonotonicTime, word: Word)] = []
    private var pingsArriving: [(barrier: UInt64, payload: UInt64)] = []
    private var arrivedBytes: UInt64 = 0
    /// The handler last read everything that there was.
    private var caughtUp: MonotonicTime
    private var isDeadAtServer = false

    init(_ schedule: FaultSchedule) {
        self.schedule = schedule
        random = SeededRandom(seed: schedule.seed &+ 1)
        began = now
        caughtUp = now
        var policy = SpoolPolicy()
        policy.disk = schedule.disk
        policy.dropsOldest = schedule.dropsOldest
        policy.piece = 64 << 10
        policy.ahead = 128 << 10
        self.policy = policy
        agent = SimulatedAgent(laneCount: Self.laneCount, policy: policy, books: Ledger(), at: now)
    }

    // MARK: Running

    /// Lives through the schedule, and then on until everything is settled.
    func run() {
        var pending = schedule.faults[...]
        while now - began < FaultSchedule.length {
            while let fault = pending.first, fault.start <= now - began {
                begin(fault)
                pending.removeFirst()
            }
            produce()
            turn()
        }
        let healed = now
        while agent.outbox.ledger.waiting > 0 || agent.spooler.hasBacklog {
            turn()
            guard now - healed < .seconds(900) else {
                problems.append("not settled 900 s after the last fault: \(agent.outbox.ledger), link \(agent.link)")
                break
            }
        }
    }

    /// Is a fault of that kind in effect?
    private func suffers(_ kind: FaultSchedule.Kind) -> Bool {
        let time = now - began
        guard time < FaultSchedule.length else { return false }
        return schedule.faults.contains {
            $0.kind == kind && $0.start <= time
                && time < TimeSpan(nanoseconds: $0.start.nanoseconds + $0.length.nanoseconds)
        }
    }

    private func begin(_ fault: FaultSchedule.Fault) {
        switch fault.kind {
        case .reset: breakConnection(handlerReadsRest: false)
        case .halfOpen:
            isDeadAtServer = true
            stream = nil
        case .endedByRequest: words.append((now, .end))
        case .serverKilled: breakConnection(handlerReadsRest: false)
        case .agentKilled, .powerLost: kill(losingPower: fault.kind == .powerLost)
        default: break
        }
    }

    private func turn() {
        now = now + Self.step
        disk.failure = suffers(.diskFails) ? Errno(rawValue: 5) : nil
        disk.capacity = suffers(.diskFull) ? min(disk.capacity, disk.bytes) : .max
        deliverWords()
        network()
        serve()
        drive()
        askDisk()
        steps += 1
        if steps % 8 == 0 { check() }
    }

    private func check() {
        let ledger = agent.outbox.ledger
        if !ledger.isBalanced { problems.append("not balanced: \(ledger)") }
        if agent.pool.outstandingBytes > SimulatedAgent.memory + 3 * Self.laneCount * policy.piece {
            problems.append("\(agent.pool.outstandingBytes) bytes of memory")
        }
        if disk.bytes - agent.spooler.asideBytes > schedule.disk + 64 << 10 {
            problems.append("\(disk.bytes) bytes on the disk")
        }
        if problems.count > 3 { problems.removeLast() }
    }

    // MARK: Plugins

    private func produce() {
        for lane in 0..<Self.laneCount where agent.hasRoom {
            let records = schedule.rate / 20 / Self.laneCount
            guard Int.random(in: 0..<4, using: &random) > 0 else { continue }
            let cargo = Cargo(lane: lane, number: numbers[lane], records: UInt64(max(1, records)))
            numbers[lane] += 1
            made.insert(cargo)
            agent.produce(cargo, size: max(40, records * Int.random(in: 10...40, using: &random)), at: now)
        }
    }

    // MARK: The connection

    private func drive() {
        switch agent.link {
        case .down(let until):
            guard now >= until else { return }
            let isRefused = suffers(.refusal) || suffers(.serverKilled) || suffers(.blackHole)
            guard !isRefused else {
                agent.link = .down(until: now + .milliseconds(.random(in: 500...5000, using: &random)))
                return
            }
            open()
        case .opening(let since):
            if now - since >= .seconds(1) { accept() }
            live()
        case .running: live()
        }
    }

    private func open() {
        stream = SimulatedStream()
        (appended, credit, framed, inKernel, arrivedBytes) = (0, 0, 0, 0, 0)
        (arriving, words, pingsArriving) = ([], [], [])
        isDeadAtServer = false
        caughtUp = now
        agent.confirmation = Confirmation()
        agent.offset = 0
        agent.sent = []
        agent.lastHeard = now
        agent.link = .opening(now)
        append(agent.firstMessage(at: now))
    }

    private func accept() {
        guard case .opening = agent.link else { return }
        agent.link = .running
        agent.spooler.connected()
    }

    private func append(_ batch: Batch) {
        let size = UInt64(batch.byteCount + 30)
        let cargo = SimulatedAgent.cargo(of: batch)
        appended += size
        agent.offset += size
        stream?.announce(.init(size: size, cargo: cargo))
        agent.sent.append((cargo, agent.offset))
        agent.outbox.sent(batch, end: agent.offset)
        agent.confirmation.sent(Int(size), at: now)
    }

    private func live() {
        if now - agent.lastHeard >= SimulatedAgent.patience {
            return lost(handlerReadsRest: Bool.random(using: &random))
        }
        if agent.link == .running {
            if now >= agent.nextHeartbeat {
                agent.nextHeartbeat = now + .seconds(60)
                agent.heartbeat(at: now)
            }
            while appended - framed < 32 << 10, agent.outbox.inFlightBytes < SimulatedAgent.unconfirmed,
                let batch = agent.outbox.next()
            {
                append(batch)
            }
        }
        let isSilent = now - agent.lastHeard >= .seconds(30)
        let isDue = agent.outbox.carriedInFlight > 0 && agent.confirmation.pingDue.map { now >= $0 } == true
        if isDue || isSilent && agent.pings % 2 == 0 {
            agent.pings += 1
            agent.confirmation.pingSent(agent.pings, barrier: framed, at: now)
            pingsArriving.append((framed, agent.pings))
        }
        let window = SimulatedStream.window + credit
        let part = min(appended - framed, window - min(window, framed), Self.kernelBuffer - inKernel)
        framed += part
        inKernel += part
    }

    private var latency: TimeSpan { suffers(.latency) ? .milliseconds(800) : .milliseconds(5) }

    private func network() {
        guard !suffers(.blackHole), !isDeadAtServer else { return }
        let part = suffers(.trickle) ? min(inKernel, Int.random(in: 0..<20, using: &random) == 0 ? 1 : 0) : inKernel
        if part > 0 {
            inKernel -= part
            arriving.append((now + latency, part))
        }
        while let first = arriving.first, first.time <= now {
            stream?.arrived(first.bytes)
            arrivedBytes += first.bytes
            arriving.removeFirst()
        }
        while let ping = pingsArriving.first, ping.barrier <= arrivedBytes {
            words.append((now + latency, .pingAnswer(ping.payload)))
            pingsArriving.removeFirst()
        }
    }

    private func serve() {
        guard var stream, !isDeadAtServer else { return }
        defer { if self.stream != nil { self.stream = stream } }
        guard !suffers(.stopsReading) else { return }
        let budget = schedule.handlerRate / 20
        let (read, credits) = stream.read(budget)
        if !stream.hasUnread { caughtUp = now }
        for cargo in read {
            if cargo.isHeartbeat { words.append((now + latency, .command)) }
            books.handle(cargo)
        }
        for credit in credits { words.append((now + latency, .credit(credit))) }
    }

    private func deliverWords() {
        guard !suffers(.blackHole), agent.link.isUp else { return }
        while let first = words.first, first.time <= now, agent.link.isUp {
            words.removeFirst()
            agent.lastHeard = now
            switch first.word {
            case .credit(let increment):
                credit += UInt64(increment)
                agent.confirmation.credited(increment, at: now)
                accept()
            case .pingAnswer(let payload): agent.confirmation.pingAcknowledged(payload, at: now)
            case .command:
                agent.confirmation.accepted()
                accept()
            case .end, .broken: return lost(handlerReadsRest: false)
            }
            confirm()
        }
    }

    private func confirm() {
        let offset = agent.confirmation.offset
        agent.outbox.confirm(upTo: offset)
        while let first = agent.sent.first, first.end <= offset {
            agent.sent.removeFirst()
            agent.made[first.cargo] = nil
            if !first.cargo.isHeartbeat && !books.seen.contains(first.cargo) { unread(first.cargo) }
        }
    }

    /// Confirmed, and not read yet. That may be only where the handler has not come round to it for as long as two PINGs
    /// are apart.
    private func unread(_ cargo: Cargo) {
        stalledTail.insert(cargo)
        if now - caughtUp < Confirmation.pingSpacing {
            problems.append("batch \(cargo) was confirmed, and the handler had not read it")
        }
    }

    private func breakConnection(handlerReadsRest: Bool) {
        guard agent.link.isUp else { return }
        lost(handlerReadsRest: handlerReadsRest)
    }

    private func lost(handlerReadsRest: Bool) {
        finishAtServer(handlerReadsRest: handlerReadsRest)
        agent.outbox.streamLost()
        agent.sent = []
        agent.spooler.disconnected()
        agent.link = .down(until: now + .milliseconds(.random(in: 100...5000, using: &random)))
    }

    /// The kernel has sent on what it had, or nobody reads the rest.
    private func finishAtServer(handlerReadsRest: Bool) {
        if handlerReadsRest, var rest = stream, !isDeadAtServer {
            rest.arrived(inKernel + arriving.reduce(0) { $0 + $1.bytes })
            for cargo in rest.read(.max).read { books.handle(cargo) }
        }
        stream = nil
        (inKernel, arriving, words, pingsArriving) = (0, [], [], [])
    }

    // MARK: The disk

    private func askDisk() {
        if let question = agent.question {
            guard now >= question.done else { return }
            agent.question = nil
            agent.spooler.completed(answer(question.request), at: now)
        }
        // Some requests a step: the disk is faster than the clock.
        for _ in 0..<4 {
            guard let request = agent.spooler.next(at: now) else {
                if let due = agent.spooler.due(at: now), due <= now { problems.append("the driver would spin") }
                break
            }
            if Int.random(in: 0..<10, using: &random) == 0 {
                agent.question = (request, now + .milliseconds(.random(in: 20...300, using: &random)))
                return
            }
            agent.spooler.completed(answer(request), at: now)
        }
        if !agent.hasRoom { _ = agent.spooler.relieveMemory(at: now) }
    }

    private func answer(_ request: SpoolRequest) -> SpoolAnswer {
        let answer = perform(request)
        if case .synced = answer { noted = agent.outbox.ledger }
        // A worker that dies over its answer: another one opens the folder and is asked the same.
        if Int.random(in: 0..<50, using: &random) == 0 {
            store = nil
            return perform(request)
        }
        return answer
    }

    private func perform(_ request: SpoolRequest) -> SpoolAnswer {
        do throws(SpoolError) {
            if let store { return store.perform(request) }
            let opened = try SpoolStore(disk: disk, segmentSize: policy.segmentSize) { 0 }
            store = opened
            return opened.perform(request)
        } catch {
            return .failed(error.description)
        }
    }

    // MARK: The end of an agent

    private func kill(losingPower: Bool) {
        finishAtServer(handlerReadsRest: !losingPower && Bool.random(using: &random))
        // A spool that is full and may not give anything up keeps nothing new.
        let isFull = disk.bytes + 2 * policy.piece > schedule.disk
        for (cargo, time) in agent.made where !books.seen.contains(cargo) && (isFull || now - time < .seconds(3)) {
            mayBeMissing.insert(cargo)
        }
        resentBefore += agent.outbox.ledger.resent - resentAtStart
        store = nil
        if losingPower { disk.losePower(&random) }
        noted = noted.isBalanced ? noted : Ledger()
        let left = (try? SpoolStore.inspecting(disk).contents.reduce(0) { $0 + $1.records }) ?? 0
        let books = Ledger.continuing(noted, spooled: left)
        agent = SimulatedAgent(laneCount: Self.laneCount, policy: policy, books: books, at: now)
        agent.outbox.continueBooks(books)
        resentAtStart = books.resent
        // The start waits for the spool.
        if let request = agent.spooler.next(at: now) { agent.spooler.completed(answer(request), at: now) }
    }
}

extension SimulatedAgent.Link {
    fileprivate var isUp: Bool {
        if case .down = self { false } else { true }
    }
}
