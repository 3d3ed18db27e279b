// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import ElkeidWire
import Glibc
import JSON
import Syscalls

// Putting a version in place, and taking it back. The order of the steps is what makes a crash harmless; each is synced
// before the next one relies on it.
extension ComponentStore {
    enum Exchange: String { case swap, rollback }

    /// What is about to change places: the journal, before the first rename.
    private struct Journal {
        let exchange: Exchange
        /// Of the folder that comes into place, and of the one that was there; 0 when there was none.
        let incoming: UInt64
        let outgoing: UInt64
        /// Is the outgoing version worth going back to, or what was kept before it?
        let keepsOutgoing: Bool

        var json: JSONValue {
            .object([
                "exchange": .string(exchange.rawValue), "incoming": .integer(Int64(bitPattern: incoming)),
                "outgoing": .integer(Int64(bitPattern: outgoing)), "keeps_outgoing": .bool(keepsOutgoing),
            ])
        }

        init(_ exchange: Exchange, incoming: UInt64, outgoing: UInt64, keepsOutgoing: Bool) {
            self.exchange = exchange
            self.incoming = incoming
            self.outgoing = outgoing
            self.keepsOutgoing = keepsOutgoing
        }

        init?(_ path: String) {
            guard let text = try? FileDescriptor.readFile(path), let json = try? JSONValue(parsing: text),
                let exchange = json["exchange"]?.string.flatMap(Exchange.init(rawValue:)),
                let incoming = json["incoming"]?.integer, let outgoing = json["outgoing"]?.integer,
                let keepsOutgoing = json["keeps_outgoing"]?.bool
            else { return nil }
            self.init(
                exchange,
                incoming: UInt64(bitPattern: incoming),
                outgoing: UInt64(bitPattern: outgoing),
                keepsOutgoing: keepsOutgoing
            )
        }
    }

    /// Where the folder that comes into place stands, and afterwards the one that was there.
    private func source(_ exchange: Exchange, _ name: String) -> String {
        exchange == .swap ? new(name) : previous(name)
    }

    /// Puts what is staged in place; nothing may run from either folder. Asked again, since a worker died over it, it
    /// finds out how far that one came.
    func swap(_ config: PluginConfig) throws(StoreFailure) -> Component.SwapOutcome {
        let name = config.name
        try recoverExchange(name)
        guard let staged = manifest(in: new(name)) else {
            if let placed = manifest(in: folder(name)), placed.satisfies(config), exists(probation(name)) {
                return Component.SwapOutcome(manifest: placed, hasPrevious: manifest(in: previous(name)) != nil)
            }
            throw StoreFailure("\(new(name)): nothing complete is staged there")
        }
        if exists(folder(name)) {
            try carryOver(from: folder(name), except: ownedPaths(name), into: new(name))
        }
        try exchange(.swap, name)
        // As long as the exchange is not finished, the version before stands where the new one was.
        let kept = manifest(in: previous(name)) != nil || manifest(in: new(name)) != nil
        return Component.SwapOutcome(manifest: staged, hasPrevious: kept)
    }

    /// Puts the previous version back, with the state files as they are now. It can be asked again as well.
    func rollBack(_ name: String) throws(StoreFailure) -> Manifest {
        try recoverExchange(name)
        guard let kept = manifest(in: previous(name)) else {
            if let placed = manifest(in: folder(name)), !exists(probation(name)) { return placed }
            throw StoreFailure("\(previous(name)): no previous version is kept there")
        }
        // State that was carried away from it has gone on living in the newer version; but not what that version brought
        // a file of its own for.
        let newer = manifest(in: folder(name))?.files ?? []
        try removeAll(from: previous(name), but: OwnedPaths(kept.files + newer))
        try carryOver(from: folder(name), except: ownedPaths(name), into: previous(name))
        try exchange(.rollback, name)
        return kept
    }

    private func exchange(_ kind: Exchange, _ name: String) throws(StoreFailure) {
        let source = source(kind, name)
        guard let incoming = inode(source) else { throw StoreFailure("\(source): there is no such folder") }
        let journal = Journal(
            kind,
            incoming: incoming,
            outgoing: inode(folder(name)) ?? 0,
            keepsOutgoing: kind == .swap && isWorthKeeping(name, next: manifest(in: source))
        )
        try writeSynced(journal.json.encoded, to: self.journal(name))
        try syncFolder(staging(name))
        if journal.outgoing == 0 {
            try rename(source, to: folder(name))
        } else if unsafe CLinux_rename(source, folder(name), CLINUX_RENAME_EXCHANGE) != 0 {
            let error = Errno.current
            guard [ENOSYS, EINVAL].contains(error.rawValue) else { throw StoreFailure("\(source): \(error)") }
            try rename(folder(name), to: aside(name))
            do throws(StoreFailure) {
                try rename(source, to: folder(name))
            } catch {
                try rename(aside(name), to: folder(name))
                throw error
            }
            try rename(aside(name), to: source)
        }
        // It has happened. What cannot be finished now, on a full disk say, the journal has for whoever comes next.
        do throws(StoreFailure) {
            try syncFolder(root)
            try finish(journal, name)
        } catch {
            return
        }
    }

    /// What nobody has described cannot be started again, a broken copy of the same version is no way back, and one that has
    /// not proven itself is a worse one than the version before it.
    private func isWorthKeeping(_ name: String, next: Manifest?) -> Bool {
        guard let outgoing = manifest(in: folder(name)) else { return false }
        if let next, ComponentIdentity(next.config) == ComponentIdentity(outgoing.config) { return false }
        return !exists(probation(name)) || manifest(in: previous(name)) == nil
    }

    /// The incoming folder is in its place; what is left is the other one's. It can be done again from any point on.
    private func finish(_ journal: Journal, _ name: String) throws(StoreFailure) {
        let source = source(journal.exchange, name)
        if exists(aside(name)) { try rename(aside(name), to: source) }
        switch journal.exchange {
        case .swap:
            if inode(source) == journal.outgoing {
                if journal.keepsOutgoing {
                    try discard(previous(name))
                    try rename(source, to: previous(name))
                } else {
                    try discard(source)
                }
            }
            if !exists(probation(name)) { try writeSynced([], to: probation(name)) }
        case .rollback:
            if inode(source) == journal.outgoing { try discard(source) }
            try unlinkIfThere(probation(name))
        }
        try syncFolder(staging(name))
        try unlinkIfThere(self.journal(name))
        try syncFolder(staging(name))
    }

    /// Finishes or undoes what a crash left of an exchange.
    func recoverExchange(_ name: String) throws(StoreFailure) {
        guard exists(journal(name)) else { return }
        guard let journal = Journal(self.journal(name)) else {
            // It is written before anything is moved, whole or not at all; so nothing was moved.
            return try unlinkIfThere(self.journal(name))
        }
        if inode(folder(name)) == journal.incoming { return try finish(journal, name) }
        // Between two renames there is nothing in place.
        if !exists(folder(name)), inode(aside(name)) == journal.outgoing { try rename(aside(name), to: folder(name)) }
        try unlinkIfThere(self.journal(name))
        try syncFolder(root)
    }
}
