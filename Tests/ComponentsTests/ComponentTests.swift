// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Components
import ElkeidWire
import Reactor
import Testing

private let v1 = version(1, detail: "one")
private let v2 = version(2, detail: "two")
private let v3 = version(3, detail: "three")

@Suite("Components: installing")
struct ComponentInstallTests {
    @Test func installsStartsAndCountsAsGood() {
        var trial = Trial()
        trial.step(0, .want(v1), [.install(v1)])
        #expect(trial.component.isInstalling)
        #expect(trial.component.installedVersion == nil)
        trial.step(5, .installed(.staged), [.swap(v1)])
        #expect(!trial.component.isInstalling)
        trial.step(5, .inPlace(v1, keepsPrevious: false), [.prepare(v1)])
        #expect(trial.component.installedVersion == "1")
        #expect(trial.component.isOnProbation)
        trial.step(6, .ready(v1), [.start(v1)])
        #expect(trial.component.process == .running(v1))
        trial.step(6, .started, [.wake(at: moment(66))])
        trial.step(66, .woke, [.report(.proven), .prove])
        #expect(!trial.component.isOnProbation)
        #expect(trial.component.problem == nil)
        trial.step(70, .ended("exit status 1"), [])
        #expect(trial.component.process == .running(v1))
    }

    /// Neither addresses nor the case of a checksum are another content.
    @Test func doesNotInstallTheSameContentAgain() {
        var trial = Trial.running(v1)
        trial.step(1, .want(v1), [])
        trial.step(2, .want(v1.inUpperCase), [])
        trial.step(3, .want(v1.with { $0.downloadURLs = ["http://elsewhere.test/1"] }), [])
        trial.step(4, .want(v1.with { $0.downloadURLs = [] }), [])
        #expect(trial.component.problem == nil)
    }

    @Test func startsAgainWithAnotherDetail() {
        var trial = Trial.running(v1)
        let other = v1.inUpperCase.with { $0.detail = "other" }
        let last = v1.with { $0.detail = "last" }
        trial.step(1, .want(other), [.stop])
        trial.step(2, .stopped, [.prepare(other)])
        trial.step(3, .ready(other), [.start(other)])
        // Overtaken while it stops, and while it is looked at.
        trial.step(4, .want(v1), [.stop])
        trial.step(5, .want(other), [])
        trial.step(6, .stopped, [.prepare(other)])
        trial.step(7, .want(last), [])
        trial.step(8, .ready(other), [.prepare(last)])
        trial.step(9, .ready(last), [.start(last)])
        #expect(trial.component.process == .running(last))
    }

    @Test func runsTheOldVersionUntilTheNewOneIsStaged() {
        var trial = Trial.running(v1)
        trial.step(10, .want(v2), [.install(v2)])
        trial.step(11, .ended("exit status 1"), [])
        trial.step(11, .started, [])
        #expect(trial.component.process == .running(v1))
        trial.step(40, .installed(.staged), [.stop])
        #expect(trial.component.process == .stopping)
        #expect(trial.component.installedVersion == "1")
        trial.step(41, .stopped, [.swap(v2)])
        trial.step(42, .inPlace(v2, keepsPrevious: true), [.prepare(v2)])
        trial.step(42, .ready(v2), [.start(v2)])
        trial.step(43, .started, [.wake(at: moment(103))])
        #expect(trial.component.installedVersion == "2")
    }

    /// An agent that starts runs what is there, with its own configuration, and installs what is wanted.
    @Test func startsTheVersionInPlaceBesideAnInstallation() {
        var trial = Trial(found: v1)
        trial.step(0, .want(v2), [.install(v2), .prepare(v1)])
        trial.step(1, .ready(v1), [.start(v1)])
        trial.step(2, .installed(.staged), [.stop])
    }

    // MARK: Another wish

    @Test func givesAnInstallationUpForANewerOne() {
        var trial = Trial.running(v1)
        trial.step(1, .want(v2), [.install(v2)])
        trial.step(2, .want(v3), [.cancelInstall, .install(v3)])
        trial.step(3, .installed(.staged), [.stop])
        trial.step(4, .stopped, [.swap(v3)])
    }

    /// The server has corrected an address.
    @Test func beginsAnInstallationAnewFromOtherAddresses() {
        let moved = v2.with { $0.downloadURLs = ["http://elsewhere.test/2"] }
        var trial = Trial.running(v1)
        trial.step(1, .want(v2), [.install(v2)])
        trial.step(2, .want(v2.inUpperCase.with { $0.detail = "other" }), [])
        trial.step(3, .want(moved), [.cancelInstall, .install(moved)])
        trial.step(4, .installed(.staged), [.stop])
        // It is there now, so it does not matter where from.
        trial.step(5, .want(v2), [])
        trial.step(6, .stopped, [.swap(moved)])
    }

    @Test func givesAStagedVersionUpForANewerOne() {
        var trial = Trial.running(v1)
        trial.step(1, .want(v2), [.install(v2)])
        trial.step(2, .installed(.staged), [.stop])
        trial.step(3, .want(v3), [.install(v3)])
        trial.step(4, .stopped, [.prepare(v1)])
        trial.step(5, .ready(v1), [.start(v1)])
        trial.step(6, .installed(.staged), [.stop])
        trial.step(7, .stopped, [.swap(v3)])
    }

    /// A swap takes a moment: it is finished, then the newer one is installed.
    @Test func finishesASwapBeforeANewerInstallation() {
        var trial = Trial()
        trial.step(0, .want(v1), [.install(v1)])
        trial.step(1, .installed(.staged), [.swap(v1)])
        trial.step(2, .want(v2), [])
        trial.step(3, .inPlace(v1, keepsPrevious: false), [.install(v2), .prepare(v1)])
        trial.step(4, .ready(v1), [.start(v1)])
        #expect(trial.component.process == .running(v1))
    }

    @Test func givesAnInstallationUpWhenTheOldVersionIsWantedAgain() {
        var trial = Trial.running(v1)
        trial.step(1, .want(v2), [.install(v2)])
        trial.step(2, .want(v1), [.cancelInstall])
        // Staged already, and about to be swapped.
        trial.step(3, .want(v2), [.install(v2)])
        trial.step(4, .installed(.staged), [.stop])
        trial.step(5, .want(v1), [])
        trial.step(6, .stopped, [.prepare(v1)])
        trial.step(7, .ready(v1), [.start(v1)])
        // Too late: the swap goes on.
        trial.step(8, .want(v2), [.install(v2)])
        trial.step(9, .installed(.staged), [.stop])
        trial.step(10, .stopped, [.swap(v2)])
        trial.step(11, .want(v1), [])
        trial.step(12, .inPlace(v2, keepsPrevious: true), [.install(v1), .prepare(v2)])
    }

    // MARK: What cannot be installed

    @Test func doesNotTryARefusedVersionAgain() {
        var trial = Trial.running(v1)
        trial.step(1, .want(v2), [.install(v2)])
        trial.step(2, .installed(.refused("it is no archive")), [.report(.refused("it is no archive")), .persist])
        #expect(trial.component.bad.map(\.identity) == [ComponentIdentity(v2)])
        #expect(trial.component.problem?.hasPrefix("version 2 is refused: it is no archive; ") == true)
        #expect(trial.component.process == .running(v1))
        trial.step(3, .want(v2), [])
        trial.step(4, .want(v2.inUpperCase.with { $0.detail = "other" }), [])
        trial.step(5, .want(v3), [.install(v3)])
        #expect(trial.component.problem == nil)
        trial.step(6, .want(v2), [.cancelInstall])

        // Another agent knows it as well, and runs what is there.
        var next = Trial(found: v1, bad: trial.component.bad)
        next.step(0, .want(v2), [.prepare(v1)])
        next.step(1, .ready(v1), [.start(v1)])
        #expect(next.component.problem == trial.component.problem)
        next.step(2, .want(v2.with { $0.sha256 = checksum(9) }), [.install(v2.with { $0.sha256 = checksum(9) })])
    }

    /// A mistake of the server's that it has corrected.
    @Test func triesTheSameVersionWithAnotherSignature() {
        let wrong = v2.with { $0.signature = checksum(98) }
        let right = v2.with { $0.signature = checksum(2) }
        var trial = Trial.running(v1)
        trial.step(1, .want(wrong), [.install(wrong)])
        trial.step(2, .installed(.refused("the signature")), [.report(.refused("the signature")), .persist])
        trial.step(3, .want(wrong.with { $0.signature = $0.signature.uppercased() }), [])
        trial.step(4, .want(right), [.install(right)])

        // The version in place is not made a bad one by that.
        let mistaken = v1.with { $0.signature = checksum(98) }
        var same = Trial.running(v1)
        same.step(1, .want(mistaken), [.install(mistaken)])
        same.step(2, .installed(.refused("the signature")), [.report(.refused("the signature")), .persist])
        #expect(same.component.process == .running(v1))
        #expect(same.component.problem?.contains("the signature") == true)
        same.step(3, .want(v1), [])
        #expect(same.component.problem == nil)
        var next = Trial(found: v1, bad: same.component.bad)
        next.step(0, .want(v1), [.prepare(v1)])
        next.step(1, .ready(v1), [.start(v1)])
    }

    @Test func remembersTheLastBadVersionsOnly() {
        var trial = Trial.running(v1)
        for number in 10..<20 {
            trial.step(1, .want(version(number)), [.install(version(number))])
            trial.step(1, .installed(.refused("no")), [.report(.refused("no")), .persist])
        }
        #expect(trial.component.bad.map(\.identity.version) == (12..<20).map { "\($0)" })
    }

    @Test func waitsLongerAfterEachFailedInstallation() {
        var trial = Trial()
        var now: UInt64 = 0
        trial.step(now, .want(v1), [.install(v1)])
        for pause in [30, 60, 120, 240, 480, 960, 1800, 1800] as [UInt64] {
            trial.step(
                now,
                .installed(.failed("status 503")),
                [
                    .report(.installFailed("status 503", retryIn: .seconds(Int64(pause)))),
                    .wake(at: moment(now + pause)),
                ]
            )
            #expect(trial.component.problem == "version 1 cannot be installed: status 503")
            // Not before its time.
            trial.step(now + pause - 1, .woke, [.wake(at: moment(now + pause))])
            now += pause
            trial.step(now, .woke, [.install(v1)])
        }
        trial.step(now, .installed(.staged), [.swap(v1)])
        trial.step(now, .inPlace(v1, keepsPrevious: false), [.prepare(v1)])
        #expect(trial.component.problem == nil)
    }

    @Test func triesAtOnceWhenItIsWantedAgain() {
        var trial = Trial.running(v1)
        let failure = { (pause: UInt64, now: UInt64) -> [Component.Action] in
            [.report(.installFailed("no", retryIn: .seconds(Int64(pause)))), .wake(at: moment(now + pause))]
        }
        trial.step(0, .want(v2), [.install(v2)])
        trial.step(1, .installed(.failed("no")), failure(30, 1))
        trial.step(2, .want(v2), [.install(v2)])
        // It is no news, so its pauses go on growing.
        trial.step(3, .installed(.failed("no")), failure(60, 3))
        // Another version begins anew.
        trial.step(4, .want(v3), [.install(v3)])
        trial.step(5, .installed(.failed("no")), failure(30, 5))
        #expect(trial.component.process == .running(v1))
    }

    private static let noChecksum = "the configuration's checksum is no SHA-256 in hexadecimal: "

    /// Checksum, addresses and type, and what is said about them.
    private static let obstacles: [(sha256: String, urls: [String], type: String, reason: String)] = [
        ("", ["http://a/f"], "exec", "the configuration has no checksum (sha256) for it"),
        ("abc", ["http://a/f"], "exec", noChecksum + "abc"),
        (letters(64, "g"), ["http://a/f"], "", noChecksum + letters(64, "g")),
        (letters(63, "a"), ["http://a/f"], "", noChecksum + letters(63, "a")),
        (letters(65, "a"), ["http://a/f"], "", noChecksum + letters(65, "a")),
        // 64 bytes, and none of them a digit.
        (letters(32, "\u{e9}"), ["http://a/f"], "", noChecksum + letters(32, "\u{e9}")),
        (letters(1000, "a"), ["http://a/f"], "", noChecksum + letters(80, "a")),
        (letters(64, "a"), [], "exec", "the configuration has no download_urls for it"),
        (letters(64, "a"), ["http://a/f"], "agent", "its type \"agent\" is not known; exec and tar.gz are"),
    ]

    private static func letters(_ count: Int, _ letter: Character) -> String { String(repeating: letter, count: count) }

    @Test(arguments: 0..<obstacles.count)
    func saysWhyItCannotBeInstalled(index: Int) {
        let (sha256, urls, type, reason) = Self.obstacles[index]
        var config = v2
        config.sha256 = sha256
        config.downloadURLs = urls
        config.type = type
        var trial = Trial.running(v1)
        trial.step(1, .want(config), [.report(.refused(reason))])
        #expect(trial.component.problem == "version 2 cannot be installed: \(reason)")
        #expect(trial.component.process == .running(v1))
        #expect(trial.component.bad.isEmpty)
        // It is said once.
        trial.step(2, .want(config), [])
        trial.step(3, .woke, [])
        // A better one is taken.
        trial.step(4, .want(v3), [.install(v3)])
        #expect(trial.component.problem == nil)

        var next = Trial(found: v1)
        next.step(0, .want(config), [.report(.refused(reason)), .prepare(v1)])
        next.step(1, .ready(v1), [.start(v1)])
        #expect(next.component.problem == "version 2 cannot be installed: \(reason)")
    }

    @Test(arguments: ["", "exec", "tar.gz"])
    func installsKnownTypes(type: String) {
        let config = v2.inUpperCase.with { $0.type = type }
        var trial = Trial()
        trial.step(0, .want(config), [.install(config)])
    }
}

@Suite("Components: rolling back")
struct ComponentRollBackTests {
    @Test func putsThePreviousVersionBack() {
        var trial = Trial.upgraded(from: v1, to: v2)
        trial.step(20, .ended("signal 11"), [.report(.rollingBack("signal 11")), .persist, .stop])
        trial.step(20, .ended("signal 11"), [])
        trial.step(21, .stopped, [.rollBack])
        trial.step(22, .backTo(v1), [.report(.rolledBack(to: "1")), .prepare(v1)])
        trial.step(23, .ready(v1), [.start(v1)])
        trial.step(23, .started, [])
        #expect(trial.component.process == .running(v1))
        #expect(!trial.component.isOnProbation)
        #expect(trial.component.installedVersion == "1")
        #expect(trial.component.bad.map(\.identity) == [ComponentIdentity(v2)])
        let problem = trial.component.problem ?? ""
        #expect(problem.hasPrefix("version 2 ended within 60 s of its start (signal 11) and was rolled back"))

        // The bad one again is nothing new, another version or checksum is.
        trial.step(30, .want(v2), [])
        trial.step(31, .want(v2.inUpperCase.with { $0.detail = "other" }), [])
        let mended = v2.with { $0.sha256 = checksum(22) }
        trial.step(32, .want(mended), [.install(mended)])
        #expect(trial.component.problem == nil)
        trial.step(33, .want(v3), [.cancelInstall, .install(v3)])
        trial.step(34, .want(v2), [.cancelInstall])
        trial.step(35, .ended("exit status 1"), [])
    }

    @Test func putsThePreviousVersionBackWhenTheNewOneCannotBeStarted() {
        var trial = Trial.running(v1)
        trial.step(0, .want(v2), [.install(v2)])
        trial.step(0, .installed(.staged), [.stop])
        trial.step(0, .stopped, [.swap(v2)])
        trial.step(0, .inPlace(v2, keepsPrevious: true), [.prepare(v2)])
        trial.step(0, .ready(v2), [.start(v2)])
        trial.step(1, .ended("no such file"), [.report(.rollingBack("no such file")), .persist, .stop])
        trial.step(1, .stopped, [.rollBack])
    }

    /// The version that is wanted meanwhile is installed once the previous one is back.
    @Test func rollsBackBeforeAnotherVersionIsInstalled() {
        var trial = Trial.upgraded(from: v1, to: v2)
        trial.step(20, .ended("signal 11"), [.report(.rollingBack("signal 11")), .persist, .stop])
        trial.step(21, .want(v3), [])
        trial.step(22, .stopped, [.rollBack])
        trial.step(23, .backTo(v1), [.report(.rolledBack(to: "1")), .install(v3), .prepare(v1)])
        #expect(trial.component.problem == nil)
    }

    /// It goes on beside a rollback: only the bad version is given up.
    @Test func keepsAnotherInstallationWhileItRollsBack() {
        var trial = Trial.upgraded(from: v1, to: v2)
        trial.step(10, .want(v3), [.install(v3), .wake(at: moment(60))])
        trial.step(20, .ended("signal 11"), [.report(.rollingBack("signal 11")), .persist, .stop])
        trial.step(21, .stopped, [.rollBack])
        trial.step(22, .installed(.staged), [])
        trial.step(23, .backTo(v1), [.report(.rolledBack(to: "1")), .swap(v3)])
    }

    @Test func hasNothingToGoBackToTheFirstTime() {
        var trial = Trial()
        trial.step(0, .want(v1), [.install(v1)])
        trial.step(0, .installed(.staged), [.swap(v1)])
        trial.step(0, .inPlace(v1, keepsPrevious: false), [.prepare(v1)])
        trial.step(0, .ready(v1), [.start(v1)])
        trial.step(0, .started, [.wake(at: moment(60))])
        trial.step(50, .ended("signal 11"), [])
        #expect(trial.component.isOnProbation)
        #expect(trial.component.bad.isEmpty)
        // It is started again, and its time with it.
        trial.step(51, .started, [.wake(at: moment(111))])
        trial.step(60, .woke, [.wake(at: moment(111))])
        trial.step(111, .woke, [.report(.proven), .prove])
        #expect(!trial.component.isOnProbation)
    }

    @Test func doesNotRollBackAVersionThatHasProvenItself() {
        var trial = Trial.upgraded(from: v1, to: v2)
        trial.step(60, .woke, [.report(.proven), .prove])
        trial.step(61, .ended("signal 11"), [])
        #expect(trial.component.process == .running(v2))
        #expect(trial.component.bad.isEmpty)

        // Its end is heard of before the clock.
        var other = Trial.upgraded(from: v1, to: v2)
        other.step(60, .ended("signal 11"), [.report(.proven), .prove])
        #expect(other.component.process == .running(v2))
        #expect(other.component.bad.isEmpty)
    }

    /// A stop that was asked for is no failure, and the time begins anew.
    @Test func beginsTheTimeAnewAfterAStop() {
        var trial = Trial.upgraded(from: v1, to: v2)
        let other = v2.with { $0.detail = "other" }
        trial.step(50, .want(other), [.stop, .wake(at: moment(60))])
        trial.step(51, .stopped, [.prepare(other)])
        trial.step(52, .ready(other), [.start(other)])
        trial.step(53, .started, [.wake(at: moment(113))])
        trial.step(112, .ended("signal 11"), [.report(.rollingBack("signal 11")), .persist, .stop])
    }

    /// The agent has been started again meanwhile: the disk knows that the version has not proven itself.
    @Test func rollsBackAfterARestartOfTheAgent() {
        var trial = Trial(found: v2, hasPrevious: true, isOnProbation: true)
        #expect(trial.component.isOnProbation)
        trial.step(0, .want(v2), [.prepare(v2)])
        trial.step(1, .ready(v2), [.start(v2)])
        trial.step(5, .started, [.wake(at: moment(65))])
        trial.step(30, .ended("signal 11"), [.report(.rollingBack("signal 11")), .persist, .stop])
        trial.step(31, .stopped, [.rollBack])
        trial.step(32, .backTo(v1), [.report(.rolledBack(to: "1")), .prepare(v1)])
        trial.step(33, .ready(v1), [.start(v1)])

        var good = Trial(found: v2, hasPrevious: true, isOnProbation: true)
        good.step(0, .want(v2), [.prepare(v2)])
        good.step(1, .ready(v2), [.start(v2)])
        good.step(5, .started, [.wake(at: moment(65))])
        good.step(65, .woke, [.report(.proven), .prove])

        // Without that mark it is an ordinary version.
        var old = Trial(found: v2, hasPrevious: true)
        old.step(0, .want(v2), [.prepare(v2)])
        old.step(1, .ready(v2), [.start(v2)])
        old.step(1, .started, [])
        old.step(2, .ended("signal 11"), [])
    }

    // MARK: A rollback that has begun is finished

    /// The agent ended between the decision, which it kept, and the rollback.
    @Test func finishesTheRollBackOfTheAgentBefore() {
        let bad = BadVersion(v2, reason: "it was rolled back")
        var trial = Trial(found: v2, hasPrevious: true, isOnProbation: true, bad: [bad])
        trial.step(0, .want(v2), [.rollBack])
        trial.step(1, .backTo(v1), [.report(.rolledBack(to: "1")), .prepare(v1)])
        trial.step(2, .ready(v1), [.start(v1)])

        // Another version is wanted by now.
        var other = Trial(found: v2, hasPrevious: true, isOnProbation: true, bad: [bad])
        other.step(0, .want(v3), [.rollBack])
        other.step(1, .backTo(v1), [.report(.rolledBack(to: "1")), .install(v3), .prepare(v1)])
    }

    /// There is none to go back to, or it cannot be put back: better a bad version than none.
    @Test func runsABadVersionWhereThereIsNoOther() {
        var trial = Trial(found: v2, bad: [BadVersion(v2, reason: "it is refused")])
        trial.step(0, .want(v2), [.prepare(v2)])
        trial.step(1, .ready(v2), [.start(v2)])
        #expect(trial.component.problem == "it is refused")
        trial.step(2, .want(v3), [.install(v3)])
    }

    @Test func rollsBackAlthoughNothingWasWantedForAMoment() {
        var trial = Trial.upgraded(from: v1, to: v2)
        trial.step(20, .ended("signal 11"), [.report(.rollingBack("signal 11")), .persist, .stop])
        trial.step(21, .want(nil), [])
        trial.step(22, .want(v2), [])
        trial.step(23, .stopped, [.rollBack])
    }

    /// Its stop takes longer than what was left of its time.
    @Test func doesNotCountAFailedVersionAsGood() {
        var trial = Trial.upgraded(from: v1, to: v2)
        trial.step(55, .ended("signal 11"), [.report(.rollingBack("signal 11")), .persist, .stop])
        trial.step(56, .started, [])
        trial.step(60, .woke, [])
        trial.step(69, .stopped, [.rollBack])
    }
}

@Suite("Components: files")
struct ComponentFileTests {
    // MARK: What is found

    @Test func adoptsAFolderThatNobodyHasDescribed() {
        var trial = Trial.withStrangeFolder()
        #expect(trial.component.installedVersion == nil)
        trial.step(0, .want(v1), [.prepare(v1)])
        trial.step(1, .ready(v1), [.start(v1)])
        trial.step(2, .started, [])
        #expect(trial.component.installedVersion == "1")
        #expect(!trial.component.isOnProbation)
    }

    @Test func installsWhereAFolderHasSomethingElse() {
        var trial = Trial.withStrangeFolder()
        trial.step(0, .want(v1), [.prepare(v1)])
        trial.step(1, .prepared(.differs("another checksum")), [.install(v1)])
        #expect(trial.component.problem == "another checksum")
        trial.step(2, .installed(.staged), [.swap(v1)])
        trial.step(3, .inPlace(v1, keepsPrevious: false), [.prepare(v1)])
        #expect(trial.component.problem == nil)
    }

    /// An archive's checksum says nothing about the program, without a signature.
    @Test func installsWhereAFolderCannotBeCompared() {
        let archive = v1.with { $0.type = PluginConfig.archiveType }
        let signed = archive.with { $0.signature = checksum(11) }
        var trial = Trial.withStrangeFolder()
        trial.step(0, .want(archive), [.install(archive)])
        var other = Trial.withStrangeFolder()
        other.step(0, .want(signed), [.prepare(signed)])
    }

    @Test func installsAnewWhenTheProgramIsNotWhatItWas() {
        var trial = Trial(found: v1)
        trial.step(0, .want(v1), [.prepare(v1)])
        trial.step(1, .prepared(.differs("another checksum")), [.install(v1)])
        trial.step(2, .installed(.staged), [.swap(v1)])
        trial.step(3, .inPlace(v1, keepsPrevious: false), [.prepare(v1)])
        trial.step(4, .ready(v1), [.start(v1)])

        // It changes while it runs: seen when it is started again.
        var running = Trial.running(v1)
        running.step(1, .changed, [.stop])
        running.step(1, .changed, [])
        // Not at once: whatever changes it may go on doing so.
        running.step(1, .stopped, [.wake(at: moment(2))])
        running.step(2, .woke, [.prepare(v1)])
        running.step(3, .prepared(.differs("another checksum")), [.install(v1)])
    }

    @Test func doesNotStartAVersionOfWhichTheProgramDiffers() {
        var trial = Trial(found: v1)
        trial.step(0, .want(v2), [.install(v2), .prepare(v1)])
        trial.step(1, .prepared(.differs("another checksum")), [])
        trial.step(2, .installed(.refused("no")), [.report(.refused("no")), .persist])
        #expect(trial.component.process == .stopped)
        trial.step(3, .want(v1), [.install(v1)])
    }

    // MARK: Removal

    @Test func stopsThenRemoves() {
        var trial = Trial.running(v1)
        trial.step(1, .want(nil), [.stop])
        trial.step(2, .want(nil), [])
        #expect(!trial.component.isGone)
        trial.step(3, .stopped, [.remove])
        #expect(!trial.component.isGone)
        trial.step(4, .removed(nil), [.persist])
        #expect(trial.component.isGone)
        #expect(trial.component.installedVersion == nil)
    }

    @Test func givesAnInstallationUpAndRemoves() {
        var trial = Trial()
        trial.step(0, .want(v1), [.install(v1)])
        trial.step(1, .want(nil), [.cancelInstall, .remove])
        #expect(!trial.component.isGone)
        trial.step(2, .removed(nil), [.persist])
        #expect(trial.component.isGone)

        var running = Trial.running(v1)
        running.step(1, .want(v2), [.install(v2)])
        running.step(2, .want(nil), [.cancelInstall, .stop])
        running.step(3, .stopped, [.remove])

        var staged = Trial.running(v1)
        staged.step(1, .want(v2), [.install(v2)])
        staged.step(2, .installed(.staged), [.stop])
        staged.step(3, .want(nil), [])
        staged.step(4, .stopped, [.remove])
    }

    @Test func removesAfterWhatIsUnderWay() {
        var preparing = Trial(found: v1)
        preparing.step(0, .want(v1), [.prepare(v1)])
        preparing.step(1, .want(nil), [])
        preparing.step(2, .ready(v1), [.remove])

        var swapping = Trial()
        swapping.step(0, .want(v1), [.install(v1)])
        swapping.step(1, .installed(.staged), [.swap(v1)])
        swapping.step(2, .want(nil), [])
        swapping.step(3, .inPlace(v1, keepsPrevious: false), [.remove])
    }

    /// What is left of a failed installation is removed too.
    @Test func removesWhatAnInstallationMayHaveLeft() {
        var trial = Trial()
        trial.step(0, .want(v1), [.install(v1)])
        trial.step(1, .installed(.refused("no")), [.report(.refused("no")), .persist])
        trial.step(2, .want(nil), [.remove])
        trial.step(3, .removed(nil), [.persist])
        #expect(trial.component.isGone)
        // And what was known of its versions.
        #expect(trial.component.bad.isEmpty)
        trial.step(4, .want(v1), [.install(v1)])
    }

    @Test func removesWhatIsOnTheDiskAndNeverWanted() {
        var trial = Trial(found: v1)
        trial.step(0, .want(nil), [.remove])
        var nothing = Trial()
        nothing.step(0, .want(nil), [])
        #expect(nothing.component.isGone)
    }

    @Test func comesBackWhenItIsWantedAgain() {
        var stopping = Trial.running(v1)
        stopping.step(1, .want(nil), [.stop])
        stopping.step(2, .want(v1), [])
        stopping.step(3, .stopped, [.prepare(v1)])

        var removing = Trial.running(v1)
        removing.step(1, .want(nil), [.stop])
        removing.step(2, .stopped, [.remove])
        removing.step(3, .want(v1), [])
        removing.step(4, .removed(nil), [.persist, .install(v1)])
        #expect(!removing.component.isGone)
    }

    // MARK: A disk that fails

    private func failed(_ pause: UInt64, at now: UInt64) -> [Component.Action] {
        [.report(.diskFailed("the disk", retryIn: .seconds(Int64(pause)))), .wake(at: moment(now + pause))]
    }

    @Test func preparesAgainLater() {
        var trial = Trial(found: v1)
        trial.step(0, .want(v1), [.prepare(v1)])
        trial.step(0, .prepared(.failed("the disk")), failed(30, at: 0))
        #expect(trial.component.problem == "the disk")
        trial.step(29, .woke, [.wake(at: moment(30))])
        trial.step(30, .woke, [.prepare(v1)])
        trial.step(31, .prepared(.failed("the disk")), failed(60, at: 31))
        // At once when it is asked for.
        trial.step(40, .want(v1), [.prepare(v1)])
        trial.step(41, .ready(v1), [.start(v1)])
        #expect(trial.component.problem == nil)
    }

    @Test func installsAnewLaterWhenTheSwapHasFailed() {
        var trial = Trial()
        trial.step(0, .want(v1), [.install(v1)])
        var now: UInt64 = 1
        for pause in [30, 60, 120] as [UInt64] {
            trial.step(now, .installed(.staged), [.swap(v1)])
            trial.step(now, .swapped(.failure(StoreFailure("the disk"))), failed(pause, at: now))
            #expect(trial.component.problem == "the disk")
            now += pause
            trial.step(now, .woke, [.install(v1)])
        }
        trial.step(now, .installed(.staged), [.swap(v1)])
        trial.step(now, .inPlace(v1, keepsPrevious: false), [.prepare(v1)])
        #expect(trial.component.problem == nil)
    }

    /// What was in place before the swap that failed runs until the next attempt.
    @Test func runsTheOldVersionAfterAFailedSwap() {
        var trial = Trial.running(v1)
        trial.step(0, .want(v2), [.install(v2)])
        trial.step(1, .installed(.staged), [.stop])
        trial.step(1, .stopped, [.swap(v2)])
        trial.step(
            2,
            .swapped(.failure(StoreFailure("the disk"))),
            [.report(.diskFailed("the disk", retryIn: .seconds(30))), .prepare(v1), .wake(at: moment(32))]
        )
        trial.step(3, .ready(v1), [.start(v1), .wake(at: moment(32))])
        trial.step(3, .started, [])
        trial.step(32, .woke, [.install(v2)])
        #expect(trial.component.process == .running(v1))
        trial.step(40, .installed(.staged), [.stop])
        trial.step(41, .stopped, [.swap(v2)])
        trial.step(42, .inPlace(v2, keepsPrevious: true), [.prepare(v2)])
    }

    /// The version that has failed runs on meanwhile, as well as it can.
    @Test func rollsBackAgainLater() {
        var trial = Trial.upgraded(from: v1, to: v2)
        trial.step(20, .ended("signal 11"), [.report(.rollingBack("signal 11")), .persist, .stop])
        trial.step(21, .stopped, [.rollBack])
        var now: UInt64 = 22
        for pause in [30, 60, 120] as [UInt64] {
            trial.step(
                now,
                .rolledBack(.failure(StoreFailure("the disk"))),
                [
                    .report(.diskFailed("the disk", retryIn: .seconds(Int64(pause)))), .prepare(v2),
                    .wake(at: moment(now + pause)),
                ]
            )
            trial.step(now + 1, .ready(v2), [.start(v2), .wake(at: moment(now + pause))])
            trial.step(now + 2, .started, [])
            trial.step(now + 3, .ended("signal 11"), [])
            now += pause
            trial.step(now, .woke, [.stop])
            trial.step(now, .stopped, [.rollBack])
        }
        trial.step(now, .backTo(v1), [.report(.rolledBack(to: "1")), .prepare(v1)])
        trial.step(now, .ready(v1), [.start(v1)])
        #expect(!trial.component.isOnProbation)
    }

    /// Neither can it be put back nor can it be looked at what is in place: both have to wait.
    @Test func doesNotAskADiskThatFailsAgainAtOnce() {
        var trial = Trial.upgraded(from: v1, to: v2)
        trial.step(20, .ended("signal 11"), [.report(.rollingBack("signal 11")), .persist, .stop])
        trial.step(21, .stopped, [.rollBack])
        let first = trial.component.take(.rolledBack(.failure(StoreFailure("the disk"))), at: moment(22))
        #expect(!first.contains(.rollBack))
        expectWakesAhead(first, of: moment(22))
        guard first.contains(.prepare(v2)) else { return }
        let second = trial.component.take(.prepared(.failed("the disk")), at: moment(23))
        #expect(!second.contains(.prepare(v2)))
        #expect(!second.contains(.rollBack))
        expectWakesAhead(second, of: moment(23))
    }

    /// The previous version is lost, say: what is wanted now has to come all the same.
    @Test func installsAnotherVersionAlthoughTheRollBackFails() {
        var trial = Trial.upgraded(from: v1, to: v2)
        trial.step(20, .ended("signal 11"), [.report(.rollingBack("signal 11")), .persist, .stop])
        trial.step(21, .stopped, [.rollBack])
        var now: UInt64 = 22
        var wake: UInt64?
        var pending = trial.component.take(.rolledBack(.failure(StoreFailure("the disk"))), at: moment(now))
        pending += trial.component.take(.want(v3), at: moment(now))
        for _ in 0..<200 {
            if pending.isEmpty, let time = wake {
                now = max(now, time)
                wake = nil
                pending = trial.component.take(.woke, at: moment(now))
            }
            guard !pending.isEmpty else { break }
            let answer: Input
            switch pending.removeFirst() {
            case .prepare(let config): answer = .ready(config)
            case .rollBack: answer = .rolledBack(.failure(StoreFailure("the disk")))
            case .install: answer = .installed(.staged)
            case .stop: answer = .stopped
            case .swap(let config):
                #expect(config == v3)
                return
            case .wake(let time):
                wake = UInt64((time - moment(0)).seconds)
                continue
            default: continue
            }
            now += 1
            pending += trial.component.take(answer, at: moment(now))
        }
        Issue.record("version 3 is never put in place")
    }

    @Test func removesAgainLater() {
        var trial = Trial(found: v1)
        trial.step(0, .want(nil), [.remove])
        trial.step(1, .removed(StoreFailure("the disk")), failed(30, at: 1))
        #expect(!trial.component.isGone)
        trial.step(31, .woke, [.remove])
        trial.step(32, .removed(StoreFailure("the disk")), failed(60, at: 32))
        trial.step(40, .want(nil), [.remove])
        trial.step(41, .removed(nil), [.persist])
        #expect(trial.component.isGone)
    }

    // MARK: Inputs out of turn

    /// What nobody waits for leads to nothing.
    @Test func ignoresAnswersThatNobodyWaitsFor() {
        let answers: [Input] = [
            .ready(v2), .prepared(.differs("late")), .prepared(.failed("late")), .installed(.staged),
            .installed(.failed("late")), .installed(.refused("late")), .inPlace(v2, keepsPrevious: true),
            .swapped(.failure(StoreFailure("late"))), .backTo(v2), .rolledBack(.failure(StoreFailure("late"))),
            .removed(nil), .removed(StoreFailure("late")), .stopped, .woke,
        ]
        for answer in answers {
            var trial = Trial.running(v1)
            trial.step(1, answer, [])
            #expect(trial.component.process == .running(v1))
            #expect(trial.component.installedVersion == "1")
            #expect(trial.component.bad.isEmpty)
        }
        for input in [.started, .ended("late"), .changed, .stopped] as [Input] {
            var trial = Trial(found: v1, hasPrevious: true, isOnProbation: true)
            trial.step(0, input, [])
            #expect(trial.component.process == .stopped)
        }
    }

    /// Something happens after the end of its time, and before the clock has said so.
    @Test func neverAsksForATimeThatHasCome() {
        for input in [.want(v2), .want(v3), .want(v2.with { $0.detail = "other" }), .changed] as [Input] {
            var trial = Trial.upgraded(from: v1, to: v2)
            let actions = trial.component.take(input, at: moment(61))
            expectWakesAhead(actions, of: moment(61))
        }
        // The same for the next attempt of an installation.
        var trial = Trial(found: v2, isOnProbation: true)
        trial.step(0, .want(v3), [.install(v3), .prepare(v2)])
        trial.step(1, .ready(v2), [.start(v2)])
        trial.step(
            2,
            .installed(.failed("no")),
            [.report(.installFailed("no", retryIn: .seconds(30))), .wake(at: moment(32))]
        )
        let actions = trial.component.take(.started, at: moment(33))
        expectWakesAhead(actions, of: moment(33))
    }
}

@Suite("Components against a model")
struct ComponentModelTests {
    /// Whatever happens in whatever order: nothing is done twice, nothing is done to files in use, and what is wanted
    /// runs in the end.
    @Test(arguments: 0..<40 as Range<UInt64>)
    func randomWalks(block: UInt64) {
        for seed in (block * 50)..<(block * 50 + 50) {
            var world = World(seed: seed)
            var steps = 0
            while steps < 60 && world.violation == nil {
                world.step()
                steps += 1
            }
            world.settle()
            guard let violation = world.violation else { continue }
            Issue.record("seed \(seed), step \(steps): \(violation)\n\(world.account)")
            return
        }
    }
}
