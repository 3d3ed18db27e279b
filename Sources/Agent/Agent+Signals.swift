// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import CLinux
import Configuration
import Control
import Delivery
import DiskWorker
import Glibc
import Logging
import Reactor
import Syscalls
import Transport

// What the guardian and the operator ask for by signals.
extension Agent {
    func received(signal: Int32) {
        switch signal {
        case SIGHUP: _ = reload()
        case SIGUSR1: for line in stateDump() { sink.say(line) }
        case SIGUSR2: returnMemory()
        default: stopSignalled(signal)
        }
    }

    // MARK: SIGTERM

    private func stopSignalled(_ signal: Int32) {
        if stopRequested {
            log.warning("second request to stop: the plugins are killed")
            plugins.killAll()
            return finish()
        }
        stop("signal \(signal)")
    }

    /// Plugins first, so that their last records are read; then the queue; then the stream; what is left is spooled.
    func stop(_ reason: String) {
        guard !stopRequested else { return }
        stopRequested = true
        log.info("the agent stops: \(reason)")
        notifier.stopping()
        heartbeat.cancel()
        tasks.stop()
        upgrade.stop()
        stopLimit.arm(after: TimeSpan(configuration.timeouts.stop))
        spool.spooler.stopReplaying()
        plugins.stopAll { [unowned self] in
            // What the end of the last plugin has brought up goes with the rest.
            self.errors?.send()
            self.transfer.stop(within: TimeSpan(self.configuration.timeouts.flush)) { [unowned self] in
                self.spool.finish { [unowned self] in self.finish() }
            }
        }
    }

    func stopTakesTooLong() {
        log.error("stopping takes longer than [timeouts] stop; what still runs is killed")
        plugins.killAll()
        finish()
    }

    private func finish() {
        stopLimit.cancel()
        outbox.dropAll(.stopped)
        let ledger = outbox.ledger
        sayDrops(ledger)
        log.info("the agent has stopped", metadata: ["ledger": "\(ledger.json)"])
        closeBooks()
        control?.close()
        reactor.stop()
    }

    // MARK: SIGHUP

    /// Takes the configuration file over if it is faultless; else the old one stays.
    ///
    /// - Returns: what is wrong with it.
    func reload() -> [String] {
        guard !stopRequested else { return ["the agent stops"] }
        notifier.reloading()
        defer { notifier.reloaded() }
        do throws(Errno) {
            let loaded = try source.loadFile()
            let result = loaded.result
            guard result.usable, !result.diagnostics.hasErrors(strict: true) else {
                for diagnostic in result.diagnostics { log.error("\(diagnostic)") }
                log.error("\(source.path) is refused, the configuration in use stays; correct it and reload again")
                return result.diagnostics.map { "\($0)" }
            }
            for diagnostic in result.diagnostics { log.warning("\(diagnostic)") }
            apply(result.configuration)
            if let text = loaded.text { keepLastGood(text) }
            log.info("configuration reloaded", metadata: ["file": "\(source.path)"])
            return []
        } catch {
            let problem = "\(source.path): \(error); the configuration in use stays"
            log.error("\(problem)")
            return [problem]
        }
    }

    private func keepLastGood(_ text: [UInt8]) {
        let path = "\(configuration.agent.workDirectory)/\(ConfigurationSource.copyName)"
        disk.writeFile(path, text, mode: 0o600) { [log] result in
            if case .failure(let error) = result { log.warning("no copy of the configuration can be kept: \(error)") }
        }
    }
}
