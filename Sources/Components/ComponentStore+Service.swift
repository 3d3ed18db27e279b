// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Glibc
import JSON
import Plugins
import Syscalls

// What the store is asked for, in the worker process. Everything can be asked twice.
extension ComponentStore {
    /// Entries removed at once: a fraction of a second, so that nobody waits long behind it.
    static let sweepBudget = 2000

    /// - Returns: what there is, and what could not be put in order: one folder's trouble is not the others'.
    func recover() throws(StoreFailure) -> (found: [FoundComponent], problems: [String]) {
        var problems: [String] = []
        for name in try names(of: try directory(privateFolder), privateFolder) where PluginConfig.isName(name) {
            do throws(StoreFailure) {
                try recoverExchange(name)
                try discard(new(name))
                try discard(aside(name))
                if !exists(folder(name)) { try discard(previous(name)) }
            } catch {
                problems.append(error.description)
            }
        }
        // Folders of others are left alone: where the configuration names a folder too high up, that is all of them.
        let folders = try names(of: try directory(root), root).filter { name in
            PluginConfig.isName(name) && (manifest(in: folder(name)) != nil || isFile("\(folder(name))/\(name)"))
        }
        let begun = try names(of: try directory(privateFolder), privateFolder).filter(PluginConfig.isName)
        var found: [FoundComponent] = []
        for name in Set(folders + begun).sorted() {
            found.append(
                FoundComponent(
                    name: name,
                    hasFolder: folders.contains(name),
                    manifest: manifest(in: folder(name)),
                    hasPrevious: manifest(in: previous(name)) != nil,
                    isOnProbation: exists(probation(name))
                )
            )
        }
        return (found, problems)
    }

    private func isFile(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Forgets what was begun and is not wanted any more.
    func tidy(_ name: String) throws(StoreFailure) {
        try recoverExchange(name)
        try discard(new(name))
        for entry in try names(of: try directory(staging(name)), staging(name), .file) where entry.hasSuffix(".part") {
            try unlinkIfThere("\(staging(name))/\(entry)")
        }
    }

    /// The folders in a folder, as far as their names are text.
    private func names(
        of folder: borrowing FileDescriptor,
        _ path: String,
        _ kind: DirectoryEntry.Kind = .directory
    ) throws(StoreFailure) -> [String] {
        do throws(Errno) {
            return try folder.entries().filter { $0.kind == kind }.compactMap(\.text)
        } catch {
            throw StoreFailure("\(path): \(error)")
        }
    }

    /// Looks whether the program in place is the one that `config` means; if so, its folder is described.
    func prepare(_ config: PluginConfig) throws(StoreFailure) -> PreparedProgram {
        try recoverExchange(config.name)
        let folder = folder(config.name)
        let path = "\(folder)/\(config.name)"
        let kept = manifest(in: folder)
        guard kept?.satisfies(config) != false, let expected = kept?.mainSHA256 ?? config.mainSHA256 else {
            return .differs("\(folder): what is in place is not version \(config.version)")
        }
        guard let program = try ProgramFile(path) else {
            return .differs("it is not in place: \(path): \(Errno.notFound)")
        }
        guard program.sha256 == expected else {
            return .differs("\(path) has checksum \(program.sha256), the configuration wants \(expected)")
        }
        var manifest = kept ?? Manifest(config: config, mainSHA256: expected, files: [config.name])
        manifest.config = config
        if kept == nil {
            try write(manifest, in: folder)
        } else if manifest != kept {
            // The kept one says the same of the content: a full disk is no reason not to start.
            do throws(StoreFailure) { try write(manifest, in: folder) } catch { _ = error }
        }
        return .ready(manifest, program.verified)
    }

    /// Forgets that the version in place had to prove itself.
    func prove(_ name: String) throws(StoreFailure) {
        try unlinkIfThere(probation(name))
    }

    func remove(_ name: String) throws(StoreFailure) {
        try recoverExchange(name)
        try discard(folder(name))
        try discard(staging(name))
        try syncFolder(root)
    }

    /// Removes a part of what was discarded; true when there is more.
    func sweep() throws(StoreFailure) -> Bool {
        guard exists(trash) else { return false }
        var budget = Self.sweepBudget
        let folder = try directory(privateFolder)
        do throws(Errno) {
            try folder.removeTree(Self.trashFolder.utf8CString.map(\.self), budget: &budget)
        } catch {
            throw StoreFailure("\(trash): \(error)")
        }
        return exists(trash)
    }
}

/// What `prepare` found.
enum PreparedProgram: Equatable {
    case ready(Manifest, VerifiedProgram)
    case differs(String)
}
