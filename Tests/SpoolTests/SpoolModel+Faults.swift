// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport
import Syscalls
import TestSupport

// What goes wrong, and how the spool is asked.
extension SpoolModel {
    func changeTrouble() {
        if memory.failure != nil || memory.capacity != .max {
            memory.failure = nil
            memory.capacity = .max
            note("the disk is well")
        } else if fills && random.oneIn(2) {
            memory.capacity = memory.bytes + random.int(0...5000)
            note("the disk is full")
        } else if fails {
            // EIO
            memory.failure = Errno(rawValue: 5)
            hasFailed = true
            note("the disk fails")
        }
    }

    /// The disk worker is killed, and another takes its place: everything that was written is there.
    func kill(agentToo: Bool) throws {
        guard memory.failure == nil else { return }
        note(agentToo ? "all are killed" : "the worker is killed")
        isDisturbed = false
        store = nil
        try checkInspection(afterPowerLoss: false)
        guard let contents = listing() else {
            return try check(mayFail(.open), "it cannot be opened")
        }
        try settleDrops()
        let found = try compare(contents)
        if agentToo { adopt(contents, found, isSynced: false) }
    }

    /// Everything that was synced is there; of the rest nobody knows.
    func losePower() throws {
        note("power is lost")
        memory.failure = nil
        memory.capacity = .max
        memory.losePower(&random)
        store = nil
        hasLostPower = true
        for index in lanes.indices where lanes[index].uncertainDrops > 0 { lanes[index].batches = [] }
        try checkInspection(afterPowerLoss: true)
        guard let contents = listing() else { throw contradiction("it cannot be opened") }
        let found = try compare(contents, afterPowerLoss: true)
        adopt(contents, found, isSynced: true)
    }

    /// Another agent knows what it is told, and nothing else.
    private func adopt(_ contents: [SpoolContents], _ found: [String: [SpoolBatch]], isSynced: Bool) {
        for index in lanes.indices {
            let synced = lanes[index].synced
            lanes[index].restart()
            guard let own = contents.first(where: { $0.lane == lanes[index].lane }) else { continue }
            lanes[index].batches = found[own.lane.name] ?? []
            lanes[index].first = own.first
            lanes[index].end = own.end
            lanes[index].told = own.first.sequence
            lanes[index].synced = isSynced ? own.end.sequence : min(synced, own.end.sequence)
            lanes[index].hasFiles = true
        }
    }

    /// May a request have failed?
    func mayFail(_ kind: SpoolRequest.Kind) -> Bool {
        if isDisturbed || memory.failure != nil { return true }
        guard memory.capacity != .max else { return false }
        // To move a cursor takes no space, but where a power cut took its file.
        return kind == .append
            || lanes.contains { lane in
                guard let segments = try? memory.segments(lane.stem), !segments.isEmpty else { return false }
                return memory.contents(of: "\(lane.stem).cursor").count < 576
            }
    }
}

extension SpoolModel {
    // MARK: Asking

    func note(_ text: String) {
        trace.append(text)
        if trace.count > 40 { trace.removeFirst() }
    }

    func contradiction(_ text: String) -> Contradiction {
        Contradiction("seed \(random.seed): \(text), after: \(trace.joined(separator: "; "))")
    }

    func check(_ condition: Bool, _ text: @autoclosure () -> String) throws(Contradiction) {
        guard condition else { throw contradiction(text()) }
    }

    /// What the spool says, opened if it is not; nil when that is not possible.
    func listing() -> [SpoolContents]? {
        guard case .opened(let contents, _, _) = perform(.open) else { return nil }
        return contents
    }

    /// As a disk worker does it.
    func perform(_ request: SpoolRequest) -> SpoolAnswer {
        if let store { return store.perform(request) }
        do throws(SpoolError) {
            let opened = try SpoolStore(disk: disk, segmentSize: segmentSize) { 0 }
            store = opened
            return opened.perform(request)
        } catch {
            return .failed(error.description)
        }
    }

    /// As an agent does it: a worker that dies over a request is replaced, and the next one is asked the same.
    func ask(_ request: SpoolRequest, _ text: String = "") -> SpoolAnswer {
        note("\(request.kind) \(text)")
        isDisturbed = false
        timesAsked = 1
        if kills && random.oneIn(8) {
            disk.stop(after: random.int(0...9), writing: random.int(0...3000))
            _ = perform(request)
            disk.heal()
            store = nil
            note("killed over it")
            // The next one could not open the spool, say.
            isDisturbed = random.oneIn(3)
            if isDisturbed { return .failed("nobody answers") }
            timesAsked = 2
        } else if fails && random.oneIn(8) {
            isDisturbed = true
            hasFailed = true
            disk.stop(after: random.int(0...9))
            defer { disk.heal() }
            note("failing")
            return perform(request)
        }
        return perform(request)
    }
}
