// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Components
import ElkeidWire
import Reactor
import TestSupport
import Testing

/// A moment of the clock that the tests make up.
func moment(_ seconds: UInt64) -> MonotonicTime { MonotonicTime(nanoseconds: (1000 + seconds) * 1_000_000_000) }

/// A checksum with letters in it, so that upper case makes a difference.
func checksum(_ number: Int) -> String {
    let digits = String(0xabc0 + number, radix: 16)
    return String(repeating: "0", count: 64 - digits.count) + digits
}

/// A version of the component that the tests are about.
func version(_ number: Int, detail: String = "") -> PluginConfig {
    PluginConfig(
        name: "plugin",
        type: "exec",
        version: "\(number)",
        sha256: checksum(number),
        downloadURLs: ["http://files.test/\(number)"],
        detail: detail
    )
}

extension PluginConfig {
    /// The same, but for what `change` does.
    func with(_ change: (inout PluginConfig) -> Void) -> PluginConfig {
        var copy = self
        change(&copy)
        return copy
    }

    var inUpperCase: PluginConfig { with { $0.sha256 = $0.sha256.uppercased() } }
}

extension Manifest {
    /// What the disk has once `config` is in place.
    init(of config: PluginConfig) {
        self.init(config: config, mainSHA256: config.mainSHA256 ?? checksum(0), files: [config.name])
    }
}

/// What a component can be told.
enum Input {
    case want(PluginConfig?)
    case prepared(Component.Preparation)
    case installed(Component.InstallOutcome)
    case swapped(Result<Component.SwapOutcome, StoreFailure>)
    case rolledBack(Result<Manifest, StoreFailure>)
    case removed(StoreFailure?)
    case started
    case ended(String)
    case changed
    case stopped
    case woke

    /// The program in place is the one that `config` means.
    static func ready(_ config: PluginConfig) -> Input { .prepared(.ready(Manifest(of: config))) }

    /// The swap has succeeded.
    static func inPlace(_ config: PluginConfig, keepsPrevious: Bool) -> Input {
        .swapped(.success(Component.SwapOutcome(manifest: Manifest(of: config), hasPrevious: keepsPrevious)))
    }

    static func backTo(_ config: PluginConfig) -> Input { .rolledBack(.success(Manifest(of: config))) }
}

extension Component {
    mutating func take(_ input: Input, at now: MonotonicTime) -> [Action] {
        switch input {
        case .want(let config): want(config, at: now)
        case .prepared(let outcome): prepared(outcome, at: now)
        case .installed(let outcome): installed(outcome, at: now)
        case .swapped(let result): swapped(result, at: now)
        case .rolledBack(let result): rolledBack(result, at: now)
        case .removed(let failure): removed(failure, at: now)
        case .started: processStarted(at: now)
        case .ended(let reason): processEnded(reason, at: now)
        case .changed: programChanged(at: now)
        case .stopped: processStopped(at: now)
        case .woke: woke(at: now)
        }
    }
}

/// Asks for no time that has come already: the timer would fire at once, and again.
func expectWakesAhead(
    _ actions: [Component.Action],
    of now: MonotonicTime,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    for case .wake(let time) in actions {
        #expect(time > now, "it asks for a time that has come", sourceLocation: sourceLocation)
    }
}

/// A component under test: calls, and the actions that each must give.
struct Trial {
    var component: Component

    /// - Parameter found: the version in place when the agent starts.
    init(found: PluginConfig? = nil, hasPrevious: Bool = false, isOnProbation: Bool = false, bad: [BadVersion] = []) {
        let disk = found.map {
            FoundComponent(
                name: "plugin",
                manifest: Manifest(of: $0),
                hasPrevious: hasPrevious,
                isOnProbation: isOnProbation
            )
        }
        component = Component(name: "plugin", policy: Component.Policy(), found: disk, bad: bad)
    }

    /// A folder that nobody has described is in place.
    static func withStrangeFolder() -> Trial {
        var trial = Trial()
        let folder = FoundComponent(name: "plugin", manifest: nil, hasPrevious: false)
        trial.component = Component(name: "plugin", policy: Component.Policy(), found: folder)
        return trial
    }

    /// `config` is in place, has proven itself, and runs since moment 0.
    static func running(_ config: PluginConfig) -> Trial {
        var trial = Trial(found: config)
        trial.step(0, .want(config), [.prepare(config)])
        trial.step(0, .ready(config), [.start(config)])
        trial.step(0, .started, [])
        return trial
    }

    /// `new` has taken the place of `old`, and runs since moment 0.
    static func upgraded(from old: PluginConfig, to new: PluginConfig) -> Trial {
        var trial = Trial.running(old)
        trial.step(0, .want(new), [.install(new)])
        trial.step(0, .installed(.staged), [.stop])
        trial.step(0, .stopped, [.swap(new)])
        trial.step(0, .inPlace(new, keepsPrevious: true), [.prepare(new)])
        trial.step(0, .ready(new), [.start(new)])
        trial.step(0, .started, [.wake(at: moment(60))])
        return trial
    }

    mutating func step(
        _ seconds: UInt64,
        _ input: Input,
        _ expected: [Component.Action],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let actions = component.take(input, at: moment(seconds))
        #expect(actions == expected, "upon \(input)", sourceLocation: sourceLocation)
        expectWakesAhead(actions, of: moment(seconds), sourceLocation: sourceLocation)
    }
}

// MARK: A model of the world

/// A disk, an installer, a process and a clock that do what a component says, or fail to; and what must hold meanwhile.
struct World {
    /// What servers may want: three versions, also with another detail and in upper case, archives, impossible ones.
    static let wishes: [PluginConfig] = {
        var wishes: [PluginConfig] = []
        for number in 1...3 {
            wishes += [version(number), version(number, detail: "other"), version(number).inUpperCase]
        }
        wishes.append(version(5).with { $0.type = PluginConfig.archiveType })
        var signed = version(6)
        signed.type = PluginConfig.archiveType
        signed.signature = checksum(60)
        wishes.append(signed)
        wishes.append(version(World.impossible).with { $0.sha256 = "" })
        wishes.append(version(World.impossible).with { $0.downloadURLs = [] })
        wishes.append(version(World.impossible).with { $0.type = "agent" })
        return wishes
    }()
    /// The version that cannot be installed.
    private static let impossible = 4

    private var random: SeededRandom
    private var component: Component
    private var now = moment(0)
    private var wake: MonotonicTime?
    // The disk.
    private var installed: Manifest?
    /// Of a program that nobody has described.
    private var strangeProgram: String?
    private var isCorrupt = false
    private var isDiskBad = false
    private var previous: Manifest?
    private var staged: PluginConfig?
    private var isOnProbation = false
    private var keptBad: [BadVersion] = []
    // What is under way.
    private var process = Component.Process.stopped
    private var hasStarted = false
    private var storeAction: Component.Action?
    private var installing: PluginConfig?
    private var wanted: PluginConfig?
    private var history: [(now: MonotonicTime, input: Input, actions: [Component.Action])] = []
    /// What did not hold first.
    private(set) var violation: String?

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        component = Component(name: "plugin", policy: Component.Policy())
        switch random.int(0...3) {
        case 0: break
        case 1: strangeProgram = version(random.int(1...3)).sha256
        case 2: installed = Manifest(of: version(random.int(1...3)))
        default:
            installed = Manifest(of: version(random.int(1...3)))
            previous = Manifest(of: version(random.int(1...3)))
            isOnProbation = random.oneIn(2)
        }
        beginAnew()
    }

    /// The last calls and what they gave.
    var account: String {
        history.suffix(20).map { entry in
            "\((entry.now - moment(0)).seconds) s \(entry.input) -> \(entry.actions)"
        }.joined(separator: "\n")
    }

    private mutating func require(_ holds: Bool, _ otherwise: String) {
        if !holds && violation == nil { violation = otherwise }
    }

    private func isBad(_ config: PluginConfig) -> Bool {
        component.bad.contains {
            $0.identity == ComponentIdentity(config) && $0.signature == config.signature.lowercased()
        }
    }

    private var isRunning: Bool { if case .running = process { true } else { false } }

    // MARK: The component's end

    /// Another agent: it has what the disk has, and nothing else.
    private mutating func beginAnew() {
        wake = nil
        process = .stopped
        storeAction = nil
        installing = nil
        staged = nil
        let hasFolder = installed != nil || strangeProgram != nil
        let found = FoundComponent(
            name: "plugin",
            manifest: installed,
            hasPrevious: previous != nil,
            isOnProbation: isOnProbation
        )
        component = Component(
            name: "plugin",
            policy: Component.Policy(),
            found: hasFolder ? found : nil,
            bad: keptBad
        )
        give(.want(wanted))
    }

    private mutating func give(_ input: Input) {
        let actions = component.take(input, at: now)
        history.append((now, input, actions))
        for action in actions { perform(action) }
    }

    /// An answer to something that is not asked any more.
    private mutating func giveLate(_ input: Input) {
        let actions = component.take(input, at: now)
        history.append((now, input, actions))
        require(actions.isEmpty, "an answer that nobody waits for leads to something")
    }

    private mutating func perform(_ action: Component.Action) {
        switch action {
        case .prepare, .swap, .rollBack, .remove:
            require(storeAction == nil, "two questions to the store at once")
            require(process == .stopped, "the files are touched while the process runs")
            if case .swap(let config) = action { require(staged == config, "a swap without a staged version") }
            if case .rollBack = action { require(previous != nil, "a rollback to nothing") }
            if case .remove = action { require(installing == nil, "a removal during an installation") }
            storeAction = action
        case .install(let config):
            require(installing == nil, "two installations at once")
            require(!isBad(config), "an installation of a bad version")
            require(config.version != "\(Self.impossible)", "an installation that is impossible")
            installing = config
            staged = nil
        case .cancelInstall:
            require(installing != nil, "the end of an installation that is not there")
            installing = nil
        case .start(let config):
            require(process == .stopped, "two starts without a stop between them")
            require(storeAction == nil, "a start while the files are touched")
            require(installed?.satisfies(config) == true, "a start of what is not in place")
            process = .running(config)
            hasStarted = false
        case .stop:
            require(isRunning, "a stop of what does not run")
            process = .stopping
        case .prove: isOnProbation = false
        case .wake(let time):
            require(time > now, "it asks for a time that has come")
            wake = time
        case .persist: keptBad = component.bad
        case .report: break
        }
    }

    // MARK: The world's end

    /// Does what the store was asked for, or fails to, and gives its answer.
    private mutating func done(_ action: Component.Action, succeeds: Bool) -> Input {
        switch action {
        case .prepare(let config):
            guard succeeds else { return .prepared(.failed("the disk")) }
            if let program = strangeProgram, program == config.mainSHA256, !isCorrupt {
                strangeProgram = nil
                installed = Manifest(of: config)
                return .ready(config)
            }
            guard var manifest = installed, manifest.satisfies(config), !isCorrupt else {
                return .prepared(.differs("it is another"))
            }
            manifest.config = config
            installed = manifest
            return .prepared(.ready(manifest))
        case .swap(let config):
            guard succeeds else {
                if random.oneIn(2) { staged = nil }
                return .swapped(.failure(StoreFailure("the disk")))
            }
            // A copy of the same version is no way back.
            let isAnother = installed.map { ComponentIdentity($0.config) } != ComponentIdentity(config)
            previous = isAnother ? installed : nil
            installed = Manifest(of: config)
            strangeProgram = nil
            staged = nil
            isCorrupt = false
            isOnProbation = true
            return .inPlace(config, keepsPrevious: previous != nil)
        case .rollBack:
            guard succeeds, let back = previous else { return .rolledBack(.failure(StoreFailure("the disk"))) }
            installed = back
            previous = nil
            isCorrupt = false
            isOnProbation = false
            return .rolledBack(.success(back))
        default:
            // A removal that fails may have done the half of it.
            if succeeds || random.oneIn(2) {
                installed = nil
                strangeProgram = nil
            }
            guard succeeds else { return .removed(StoreFailure("the disk")) }
            previous = nil
            staged = nil
            isCorrupt = false
            isOnProbation = false
            return .removed(nil)
        }
    }

    private mutating func answerStore(succeeds: Bool) {
        guard let action = storeAction else { return }
        storeAction = nil
        let answer = done(action, succeeds: succeeds)
        give(answer)
        let isAsked = history.last?.actions.contains(action) == true
        require(succeeds || !isAsked, "what has failed is asked for again at once")
    }

    private mutating func answerInstallation(_ outcome: Component.InstallOutcome) {
        guard let config = installing else { return }
        installing = nil
        if outcome == .staged { staged = config }
        give(.installed(outcome))
    }

    /// The process starts, ends, or has ended as it was asked to.
    private mutating func stepProcess() {
        switch process {
        case .stopped: return
        case .stopping:
            process = .stopped
            give(.stopped)
        case .running:
            let chance = random.int(0...7)
            hasStarted = chance < 4
            let input: Input = chance < 4 ? .started : (chance < 7 ? .ended("exit status 1") : .changed)
            give(input)
        }
    }

    private mutating func stepLate() {
        switch random.int(0...6) {
        case 0:
            if case .prepare? = storeAction { return }
            giveLate(.prepared(.failed("late")))
        case 1:
            if case .swap? = storeAction { return }
            giveLate(.swapped(.failure(StoreFailure("late"))))
        case 2: if storeAction != .rollBack { giveLate(.rolledBack(.failure(StoreFailure("late")))) }
        case 3: if storeAction != .remove { giveLate(.removed(nil)) }
        case 4: if installing == nil { giveLate(.installed(.staged)) }
        case 5:
            guard !isRunning else { return }
            giveLate(.started)
            giveLate(.ended("late"))
            giveLate(.changed)
        default: if process != .stopping { giveLate(.stopped) }
        }
    }

    private mutating func wakeUp() {
        wake = nil
        give(.woke)
    }

    /// Something that is under way goes on.
    private mutating func stepOn() {
        let isDue = wake.map { $0 <= now } ?? false
        let ways = [storeAction != nil, installing != nil, process != .stopped, isDue]
        let enabled = ways.indices.filter { ways[$0] }
        guard !enabled.isEmpty else { return }
        switch enabled[random.int(0...(enabled.count - 1))] {
        case 0:
            let isLucky = random.int(0...4) < (isDiskBad ? 1 : 4)
            answerStore(succeeds: isLucky)
        case 1:
            switch random.int(0...8) {
            case 0: answerInstallation(.refused("it is no archive"))
            case 1, 2: answerInstallation(.failed("the network"))
            default: answerInstallation(.staged)
            }
        case 2: stepProcess()
        default: wakeUp()
        }
    }

    /// The program is changed, the disk fails from now on or no more, or the agent is another one.
    private mutating func stepAside() {
        switch random.int(0...3) {
        case 0: if storeAction == nil && process == .stopped { isCorrupt = true }
        case 1:
            // What it asked for last may have been done.
            if let action = storeAction, random.oneIn(2) { _ = done(action, succeeds: true) }
            beginAnew()
        default: isDiskBad.toggle()
        }
    }

    /// One thing happens. What is due may be late.
    mutating func step() {
        switch random.int(0...23) {
        case 0, 1:
            wanted = random.oneIn(7) ? nil : Self.wishes[random.int(0...(Self.wishes.count - 1))]
            give(.want(wanted))
        case 2, 3: stepLate()
        case 4...7:
            let spans: [Int64] = [1, 5, 20, 61, 200]
            now = now + TimeSpan.seconds(spans[random.int(0...4)])
        case 8: stepAside()
        default: stepOn()
        }
    }

    /// From here on everything succeeds, until nothing is left to be done.
    mutating func settle() {
        for _ in 0..<300 where violation == nil {
            if storeAction != nil {
                answerStore(succeeds: true)
            } else if installing != nil {
                answerInstallation(.staged)
            } else if process == .stopping {
                stepProcess()
            } else if isRunning && !hasStarted {
                hasStarted = true
                give(.started)
            } else if let time = wake {
                now = max(now, time)
                wakeUp()
            } else {
                return checkEnd()
            }
        }
        require(false, "it does not come to rest")
    }

    private mutating func checkEnd() {
        guard let wanted else {
            require(component.isGone && process == .stopped, "nothing is wanted, and something is left")
            return require(installed == nil && strangeProgram == nil, "nothing is wanted, and files are left")
        }
        if isBad(wanted) || wanted.version == "\(Self.impossible)" {
            require(component.problem != nil, "what is wanted does not run, and nobody is told")
            guard let installed, !isCorrupt, component.installedVersion != nil else { return }
            let isForgotten = isBad(installed.config) && previous != nil && isOnProbation
            require(!isForgotten, "a rollback was begun and not finished")
            return require(isRunning, "the version in place does not run on")
        }
        require(installed?.satisfies(wanted) == true, "what is wanted is not installed")
        require(component.problem == nil, "there is a problem although all is well")
        require(!component.isOnProbation && !isOnProbation, "it never counts as good")
        guard case .running(let config) = process else { return require(false, "what is wanted does not run") }
        require(config.hasContent(of: wanted) && config.detail == wanted.detail, "something else runs")
    }
}
