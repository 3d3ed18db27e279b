// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Components
import Glibc
import Logging
import Plugins
import Reactor
import Syscalls

// What an earlier agent left: its state, its processes, and what it had half done.
extension DesiredPlugins {
    /// Begins: plugins run from the last desired state before any server is reached.
    func start() {
        loadState()
        store.orphans { [unowned self] result in
            guard !self.isStopping else { return }
            switch result {
            case .success(let orphans): for orphan in orphans { self.end(orphan) }
            case .failure(let failure):
                self.log.error("what an earlier agent may have left running cannot be found: \(failure)")
            }
        }
        recover()
    }

    private func loadState() {
        let path = environment.stateFile
        let text: [UInt8]
        do throws(Errno) { text = try FileDescriptor.readFile(path, limit: 16 << 20) } catch {
            guard error != .notFound else { return }
            log.error(
                "the components' state cannot be read: \(path): \(error); the plugins that are installed are started"
            )
            isStateLost = true
            return
        }
        if let state = ComponentState(text) {
            desired = state.desired
            keptBad = state.bad
            return
        }
        let aside = "\(path).corrupt"
        let moved = unsafe rename(path, aside) == 0
        log.error(
            "\(path) is damaged and \(moved ? "put aside as \(aside)" : "not used"); the plugins that are installed are started"
        )
        isStateLost = true
    }

    private func end(_ orphan: Orphan) {
        log.warning(
            "plugin \(orphan.name) of an earlier agent still runs; it is ended",
            metadata: ["pgid": "\(orphan.group)"]
        )
        let group = orphan.group
        orphans[group] = OrphanEnding(
            orphan,
            steps: OrphanEnding.steps(term: environment.term),
            reactor: environment.reactor,
            log: log
        ) { [unowned self] in
            self.orphans[group] = nil
            self.realise(removingOthers: self.hasServerSpoken)
        }
    }

    /// Finishes or undoes what was half done, finds out what there is, and begins.
    func recover() {
        store.recover { [unowned self] result in
            guard !self.isStopping else { return }
            switch result {
            case .failure(let failure):
                self.log.error("the plugins' folder cannot be used: \(failure); tried again in a minute")
                self.retryStart.arm(after: .seconds(60))
            case .success(let (found, problems)):
                for problem in problems { self.log.error("a plugin's folder is not in order: \(problem)") }
                self.found = Dictionary(found.map { ($0.name, $0) }) { $1 }
                if self.isStateLost, self.desired.isEmpty {
                    self.desired = found.compactMap(\.manifest?.config)
                    self.persist()
                }
                self.realise(removingOthers: self.hasServerSpoken)
                self.sweepLater.schedule()
            }
        }
    }
}
