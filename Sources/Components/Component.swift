// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire
public import Reactor

/// Decides over one component: which version is installed, which one runs, and what is done next. It holds no file,
/// no process and no clock: outcomes and times come in, actions go out.
///
/// It is told what is wanted, and compares that with what there is each time something has happened (`reconcile`). So a
/// newer wish is taken up at once, whatever is under way: an installation is given up, a swap of a moment is finished
/// first.
///
/// ```
/// wanted ≠ installed ──install──▶ staged ──stop──▶ swap ──prepare──▶ start ──60 s──▶ proven
///        (the installed version runs on)   │                           │
///                                          ▼                           ▼ ends within 60 s
///                                    retried later          roll back, marked bad
/// ```
public struct Component: Sendable {
    public struct Policy: Sendable, Equatable {
        /// How long a new version must run before it counts as good.
        public var probation = TimeSpan.seconds(60)
        /// Between attempts to install: a server that is down is not asked in vain for ever, a mended one is found soon.
        public var retryMinimum = TimeSpan.seconds(30)
        public var retryMaximum = TimeSpan.seconds(1800)
        public init() {}
    }

    public enum Action: Equatable, Sendable {
        /// Is the program in place the one that the configuration means? Answered by `prepared`.
        case prepare(PluginConfig)
        /// Get the files and stage them. Answered by `installed`.
        case install(PluginConfig)
        /// Give the installation up; there is no answer.
        case cancelInstall
        /// Run it, and go on running it. `processEnded` tells when it ends by itself, though it is started again then.
        case start(PluginConfig)
        /// Stop it. Answered by `processStopped`.
        case stop
        /// Put the staged version in place. Answered by `swapped`.
        case swap(PluginConfig)
        /// Put the previous version back. Answered by `rolledBack`.
        case rollBack
        /// Remove it from the disk. Answered by `removed`.
        case remove
        /// The version in place has proven itself: the disk may forget that it had to.
        case prove
        /// Call `woke` at that time, instead of at an earlier one.
        case wake(at: MonotonicTime)
        /// What must survive a restart has changed.
        case persist
        case report(Report)
    }

    /// What operators should know.
    public enum Report: Equatable, Sendable {
        case refused(String)
        case installFailed(String, retryIn: TimeSpan)
        case rollingBack(String)
        case rolledBack(to: String)
        case proven
        case diskFailed(String, retryIn: TimeSpan)
    }

    public enum Process: Equatable, Sendable {
        case stopped
        case running(PluginConfig)
        case stopping
    }

    private enum Work: Equatable, Sendable {
        case none
        case preparing(PluginConfig)
        case swapping(PluginConfig)
        case rollingBack
        case removing
    }

    private enum Installation: Equatable, Sendable {
        case none
        case running(PluginConfig)
        case staged(PluginConfig)
    }

    private enum Probation: Equatable, Sendable {
        case passed
        /// In place, and not started yet.
        case pending
        case until(MonotonicTime)
    }

    /// What is on the disk.
    private enum Place: Equatable, Sendable {
        case empty
        /// A folder that nobody has described: the original agent's, or one that was put there by hand.
        case unknown
        case version(Manifest)
        /// A folder whose program is not what its manifest says.
        case broken
    }

    /// Versions that are remembered as bad: more than a server switches between.
    static let badLimit = 8

    public let name: String
    private let policy: Policy
    public private(set) var wanted: PluginConfig?
    private var place: Place
    private var hasPrevious: Bool
    public private(set) var process = Process.stopped
    private var work = Work.none
    private var installation = Installation.none
    private var probation: Probation
    /// The version in place must go.
    private var mustRollBack = false
    /// An installation may have left files.
    private var hasStaging = false
    public private(set) var bad: [BadVersion]
    private var failures = 0
    private var retryAt: MonotonicTime?
    private var diskRetryAt: MonotonicTime?
    private var rollBackRetryAt: MonotonicTime?
    /// It was tried in vain: then a newer version is put in place all the same.
    private var rollBackHasFailed = false
    private var lastProblem: String?

    /// - Parameters:
    ///   - found: what was on the disk when the agent started; nil when there is nothing.
    ///   - bad: versions that were rolled back or refused.
    public init(name: String, policy: Policy, found: FoundComponent? = nil, bad: [BadVersion] = []) {
        self.name = name
        self.policy = policy
        self.bad = bad
        place = found.map { $0.manifest.map { .version($0) } ?? ($0.hasFolder ? .unknown : .empty) } ?? .empty
        hasStaging = found?.hasFolder == false
        hasPrevious = found?.hasPrevious == true
        probation = found?.isOnProbation == true ? .pending : .passed
        // An agent that ended between the verdict and the rollback.
        if case .version(let manifest) = place, hasPrevious { mustRollBack = isBad(manifest.config) }
    }

    /// Nothing is wanted, and nothing is left.
    public var isGone: Bool { wanted == nil && !hasFiles && process == .stopped && work == .none }
    private var hasFiles: Bool { place != .empty || hasStaging }
    public var isOnProbation: Bool { probation != .passed }
    public var installedVersion: String? {
        if case .version(let manifest) = place { manifest.config.version } else { nil }
    }
    private var isStaged: Bool { if case .staged = installation { true } else { false } }
    public var isInstalling: Bool { if case .running = installation { true } else { false } }

    /// Why what is wanted does not run, for the agent's state.
    public var problem: String? { badness(wanted)?.reason ?? lastProblem }

    // MARK: Inputs

    /// The server wants this, or nothing of this name any more.
    public mutating func want(_ config: PluginConfig?, at now: MonotonicTime) -> [Action] {
        let isNews = config.map { wanted?.hasContent(of: $0) != true } ?? (wanted != nil)
        wanted = config
        if isNews {
            failures = 0
            lastProblem = nil
        }
        // Said again is asked again: an operator's way to have it tried now.
        retryAt = nil
        diskRetryAt = nil
        rollBackRetryAt = nil
        return reconcile(now)
    }

    public enum Preparation: Equatable, Sendable {
        case ready(Manifest)
        /// Another program, or none, is in its place.
        case differs(String)
        case failed(String)
    }

    public mutating func prepared(_ outcome: Preparation, at now: MonotonicTime) -> [Action] {
        guard case .preparing(let config) = work else { return [] }
        work = .none
        switch outcome {
        case .ready(let manifest):
            place = .version(manifest)
            guard wanted != nil, !needsOtherStart(config) else { return reconcile(now) }
            process = .running(config)
            if let wanted, manifest.satisfies(wanted), !isBad(wanted) {
                lastProblem = nil
                failures = 0
            }
            return [.start(config)] + reconcile(now)
        case .differs(let reason):
            place = place == .empty ? .empty : .broken
            lastProblem = reason
            return reconcile(now)
        case .failed(let reason): return diskFailed(reason, now)
        }
    }

    public enum InstallOutcome: Equatable, Sendable {
        case staged
        /// It may succeed another time.
        case failed(String)
        /// What the checksum stands for can never be installed.
        case refused(String)
    }

    public mutating func installed(_ outcome: InstallOutcome, at now: MonotonicTime) -> [Action] {
        guard case .running(let config) = installation else { return [] }
        switch outcome {
        case .staged:
            installation = .staged(config)
            return reconcile(now)
        case .failed(let reason):
            installation = .none
            let wait = nextPause()
            retryAt = now + wait
            lastProblem = "version \(config.version) cannot be installed: \(reason)"
            return [.report(.installFailed(reason, retryIn: wait))] + reconcile(now)
        case .refused(let reason):
            installation = .none
            mark(config, "version \(config.version) is refused: \(reason); \(Self.untilThen)")
            return [.report(.refused(reason)), .persist] + reconcile(now)
        }
    }

    public struct SwapOutcome: Equatable, Sendable {
        public var manifest: Manifest
        /// The version before it is kept.
        public var hasPrevious: Bool

        public init(manifest: Manifest, hasPrevious: Bool) {
            self.manifest = manifest
            self.hasPrevious = hasPrevious
        }
    }

    public mutating func swapped(
        _ result: Result<SwapOutcome, StoreFailure>,
        at now: MonotonicTime
    ) -> [Action] {
        guard case .swapping = work else { return [] }
        work = .none
        switch result {
        case .success(let done):
            installation = .none
            failures = 0
            lastProblem = nil
            place = .version(done.manifest)
            hasPrevious = done.hasPrevious
            probation = .pending
            mustRollBack = false
            rollBackHasFailed = false
            return reconcile(now)
        case .failure(let failure):
            // The version in place is started again, and the other one staged anew in a while.
            installation = .none
            let wait = nextPause()
            retryAt = now + wait
            lastProblem = failure.description
            return [.report(.diskFailed(failure.description, retryIn: wait))] + reconcile(now)
        }
    }

    public mutating func rolledBack(_ result: Result<Manifest, StoreFailure>, at now: MonotonicTime) -> [Action] {
        guard work == .rollingBack else { return [] }
        work = .none
        switch result {
        case .success(let manifest):
            mustRollBack = false
            rollBackHasFailed = false
            failures = 0
            place = .version(manifest)
            hasPrevious = false
            probation = .passed
            return [.report(.rolledBack(to: manifest.config.version))] + reconcile(now)
        case .failure(let failure):
            // What is in place runs on as well as it can meanwhile.
            rollBackHasFailed = true
            let wait = nextPause()
            rollBackRetryAt = now + wait
            lastProblem = failure.description
            return [.report(.diskFailed(failure.description, retryIn: wait))] + reconcile(now)
        }
    }

    public mutating func removed(_ failure: StoreFailure?, at now: MonotonicTime) -> [Action] {
        guard work == .removing else { return [] }
        work = .none
        if let failure { return diskFailed(failure.description, now) }
        place = .empty
        hasPrevious = false
        hasStaging = false
        probation = .passed
        mustRollBack = false
        rollBackHasFailed = false
        bad = []
        return [.persist] + reconcile(now)
    }

    public mutating func processStarted(at now: MonotonicTime) -> [Action] {
        guard case .running = process, probation == .pending, !mustRollBack else { return [] }
        probation = .until(now + policy.probation)
        return reconcile(now)
    }

    /// It ended, or could not be started, though it should run. `reason` says how.
    public mutating func processEnded(_ reason: String, at now: MonotonicTime) -> [Action] {
        guard case .running(let config) = process, isOnProbation, !mustRollBack else { return [] }
        // It has proven itself, and nobody has noticed yet.
        if case .until(let end) = probation, end <= now { return reconcile(now) }
        guard hasPrevious, case .version(let manifest) = place else {
            // There is nothing to go back to: it is started again, and its time with it.
            probation = .pending
            return []
        }
        mustRollBack = true
        probation = .pending
        mark(
            manifest.config,
            "version \(config.version) ended within \(Int(policy.probation.seconds)) s of its start (\(reason)) and was "
                + "rolled back; \(Self.untilThen)"
        )
        return [.report(.rollingBack(reason)), .persist] + reconcile(now)
    }

    /// The program is not the file any more that was checked: it is looked at again before it is started.
    public mutating func programChanged(at now: MonotonicTime) -> [Action] {
        guard case .running = process else { return [] }
        process = .stopping
        // Whatever changes it may go on doing so.
        diskRetryAt = now + TimeSpan.seconds(1)
        return [.stop]
    }

    /// It has ended for good, as it was asked to.
    public mutating func processStopped(at now: MonotonicTime) -> [Action] {
        guard process == .stopping else { return [] }
        process = .stopped
        if case .until = probation { probation = .pending }
        return reconcile(now)
    }

    public mutating func woke(at now: MonotonicTime) -> [Action] { reconcile(now) }

    // MARK: What to do next

    private mutating func reconcile(_ now: MonotonicTime) -> [Action] {
        var actions: [Action] = []
        if let time = retryAt, time <= now { retryAt = nil }
        if let time = diskRetryAt, time <= now { diskRetryAt = nil }
        if let time = rollBackRetryAt, time <= now { rollBackRetryAt = nil }
        if case .until(let end) = probation, end <= now {
            probation = .passed
            actions += [.report(.proven), .prove]
        }
        let target = isBad(wanted) ? nil : wanted
        supersede(target, &actions)
        if work == .none { act(target, &actions) }
        if let wake = nextWake { actions.append(.wake(at: wake)) }
        return actions
    }

    /// An installation of something that is not wanted any more ends at once.
    private mutating func supersede(_ target: PluginConfig?, _ actions: inout [Action]) {
        switch installation {
        case .none: return
        case .running(let config):
            if let target, target.hasContent(of: config), target.downloadURLs == config.downloadURLs { return }
            actions.append(.cancelInstall)
        case .staged(let config):
            if target?.hasContent(of: config) == true { return }
        }
        installation = .none
    }

    private mutating func act(_ target: PluginConfig?, _ actions: inout [Action]) {
        guard let wanted else { return leave(&actions) }
        if mustRollBack, rollBackRetryAt == nil, !(rollBackHasFailed && isStaged) {
            return whenStopped(&actions) {
                $0.work = .rollingBack
            } then: {
                .rollBack
            }
        }
        if let target, needsInstall(target) {
            switch installation {
            case .staged(let config):
                return whenStopped(&actions) {
                    $0.work = .swapping(config)
                } then: {
                    .swap(config)
                }
            case .running: break
            case .none: beginInstall(target, &actions)
            }
        }
        if case .running(let current) = process {
            guard needsOtherStart(current) else { return }
            process = .stopping
            return actions.append(.stop)
        }
        guard process == .stopped, diskRetryAt == nil, let candidate = startCandidate(wanted) else { return }
        work = .preparing(candidate)
        actions.append(.prepare(candidate))
    }

    /// Nothing of this name is wanted: it is stopped, then removed.
    private mutating func leave(_ actions: inout [Action]) {
        guard hasFiles || process != .stopped else { return }
        whenStopped(&actions) {
            $0.work = .removing
        } then: {
            .remove
        }
    }

    /// Does something with the files once nothing runs from them.
    private mutating func whenStopped(
        _ actions: inout [Action],
        mark: (inout Component) -> Void,
        then action: () -> Action
    ) {
        switch process {
        case .stopping: return
        case .running:
            process = .stopping
            actions.append(.stop)
        case .stopped:
            guard diskRetryAt == nil else { return }
            mark(&self)
            actions.append(action())
        }
    }

    private mutating func beginInstall(_ target: PluginConfig, _ actions: inout [Action]) {
        if let obstacle = Self.obstacle(target) {
            let text = "version \(target.version) cannot be installed: \(obstacle)"
            // Said again only when it is news.
            if lastProblem?.hasPrefix(text) != true {
                actions.append(.report(.refused(obstacle)))
                lastProblem = text + (lastProblem.map { "; \($0)" } ?? "")
            }
            return
        }
        guard retryAt == nil else { return }
        hasStaging = true
        installation = .running(target)
        actions.append(.install(target))
    }

    /// What in a configuration makes an installation impossible.
    private static func obstacle(_ config: PluginConfig) -> String? {
        if config.sha256.isEmpty { return "the configuration has no checksum (sha256) for it" }
        if config.sha256.utf8.count != 64 || !config.sha256.utf8.allSatisfy(isHexDigit) {
            return "the configuration's checksum is no SHA-256 in hexadecimal: \(config.sha256.prefix(80))"
        }
        if config.downloadURLs.isEmpty { return "the configuration has no download_urls for it" }
        guard ["", "exec", PluginConfig.archiveType].contains(config.type) else {
            return "its type \"\(config.type.prefix(40))\" is not known; exec and tar.gz are"
        }
        return nil
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }

    private func needsInstall(_ target: PluginConfig) -> Bool {
        switch place {
        case .empty, .broken: return true
        // It may be what is wanted: `prepare` finds out.
        case .unknown: return target.mainSHA256 == nil
        case .version(let manifest): return !manifest.satisfies(target)
        }
    }

    /// What can be started of what is in place.
    private func startCandidate(_ wanted: PluginConfig) -> PluginConfig? {
        switch place {
        case .empty, .broken: return nil
        case .unknown: return !isBad(wanted) && wanted.mainSHA256 != nil ? wanted : nil
        case .version(let manifest):
            return manifest.satisfies(wanted) && !isBad(wanted) ? wanted : manifest.config
        }
    }

    /// Has what the process was started from changed, without another installation?
    private func needsOtherStart(_ current: PluginConfig) -> Bool {
        guard let wanted, case .version(let manifest) = place, manifest.satisfies(wanted), !isBad(wanted) else {
            return false
        }
        return current.detail != wanted.detail || !current.hasContent(of: wanted)
    }

    // MARK: Memory

    private static let untilThen = "it is not tried again until the server sends another version or checksum"

    private func badness(_ config: PluginConfig?) -> BadVersion? {
        config.flatMap { config in bad.first { $0.describes(config) } }
    }

    private func isBad(_ config: PluginConfig?) -> Bool { badness(config) != nil }

    private mutating func mark(_ config: PluginConfig, _ reason: String) {
        bad.removeAll { $0.describes(config) }
        bad.append(BadVersion(config, reason: reason))
        if bad.count > Self.badLimit { bad.removeFirst() }
    }

    // MARK: Time

    private mutating func nextPause() -> TimeSpan {
        let factor = Int64(1) << min(failures, 20)
        failures += 1
        let (product, overflow) = policy.retryMinimum.nanoseconds.multipliedReportingOverflow(by: factor)
        return overflow ? policy.retryMaximum : min(policy.retryMaximum, TimeSpan(nanoseconds: product))
    }

    private mutating func diskFailed(_ reason: String, _ now: MonotonicTime) -> [Action] {
        let wait = nextPause()
        diskRetryAt = now + wait
        lastProblem = reason
        return [.report(.diskFailed(reason, retryIn: wait))] + reconcile(now)
    }

    private var nextWake: MonotonicTime? {
        var times = [retryAt, diskRetryAt, rollBackRetryAt].compactMap(\.self)
        if case .until(let end) = probation { times.append(end) }
        return times.min()
    }
}
