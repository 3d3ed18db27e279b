// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import ElkeidWire
import Glibc
import Reactor
import Syscalls

/// A center that is being watched: shows it each second, obeys commands and signals, ends in time.
final class Session {
    let center: Center
    let display: Display
    private let reactor: Reactor
    private let started = MonotonicTime.now()
    private var before = Statistics()
    private var lastTick = MonotonicTime.now()
    private var tick: Timer?
    private var end: Timer?
    private var input: CommandInput?
    private var signals: SignalSource?
    /// What to do before the loop ends; it calls `finish` when that is done. Without it the loop ends at once.
    var onStop: (() -> Void)?
    /// A second request to stop does not wait.
    var onHurry: (() -> Void)?
    private(set) var isStopping = false

    init(_ center: Center, display: Display, seconds: Int?, reactor: Reactor) throws(CenterError) {
        self.center = center
        self.display = display
        self.reactor = reactor
        center.observer = display
        do throws(Errno) {
            signals = try SignalSource([SIGINT, SIGTERM, SIGHUP], reactor: reactor) { [weak self] _ in self?.stop() }
        } catch {
            throw CenterError("signals cannot be watched: \(error)")
        }
        input = CommandInput(reactor: reactor) { [weak self] in self?.obey($0) }
        tick = reactor.makeTimer { [weak self] in self?.ticked() }
        tick?.arm(after: .seconds(1))
        if let seconds {
            end = reactor.makeTimer { [weak self] in self?.stop() }
            end?.arm(after: .seconds(Int64(seconds)))
        }
    }

    /// Runs until it is told to stop, and all is done that this asks for.
    func run() throws(CenterError) {
        display.begin(figures())
        do throws(Errno) { try reactor.run() } catch { throw CenterError("the event loop failed: \(error)") }
        tick?.cancel()
        display.conclude(figures())
    }

    func figures() -> Figures {
        let now = MonotonicTime.now()
        let figures = Figures(
            elapsed: (now - started).seconds,
            agents: center.agents,
            statistics: center.statistics,
            networkBytes: center.networkBytes,
            latest: center.latest,
            before: before,
            seconds: (now - lastTick).seconds
        )
        before = center.statistics
        lastTick = now
        return figures
    }

    private func ticked() {
        display.show(figures())
        tick?.arm(after: .seconds(1))
        if display.terminal.isBroken && !isStopping { stop() }
    }

    func stop() {
        if isStopping {
            onHurry?()
            return
        }
        isStopping = true
        end?.cancel()
        input?.close()
        if let onStop { onStop() } else { finish() }
    }

    /// Leaves the loop at the end of this turn.
    func finish() { reactor.stop() }

    private func obey(_ line: String) {
        do throws(CenterError) {
            guard let command = try ConsoleCommand.parse(line) else { return display.commandTaken() }
            switch command {
            case .task(let task): display.noted("task \(task.dataType) sent, agents: \(center.send(task))")
            case .push: display.noted("configuration sent, agents: \(center.push())")
            case .reset: display.noted("streams ended: \(center.reset())")
            case .quit: stop()
            }
        } catch {
            display.noted(error.description)
        }
        display.commandTaken()
    }
}
