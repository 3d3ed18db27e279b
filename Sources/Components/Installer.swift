// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import DiskWorker
import ElkeidWire
import Glibc
import HTTP1
import JSON
import Reactor
import Syscalls
import TLS
import Upgrade

/// The process that installs one component: it gets the file, checks it, unpacks it confined to the folder that it
/// unpacks into, and leaves a complete version beside the one in place. What goes wrong in here, or takes its time,
/// touches neither the agent nor what runs.
///
/// It is this program with `Installer.argument`. Descriptor 3 brings an `InstallJob` and takes `InstallMessage`s. When the
/// agent is gone it ends.
public enum Installer {
    public static let argument = "--install-component"
    /// Processor time for unpacking: a minute of a slow machine's.
    fileprivate static let cpuSeconds: UInt32 = 300

    /// The process's life.
    public static func run() -> Never {
        unsafe CLinux_process_name("elkeid-install")
        CLinux_idle_io(1)
        signal(SIGPIPE, SIG_IGN)
        // A file over RLIMIT_FSIZE is an error of the write, not the end of the process.
        signal(SIGXFSZ, SIG_IGN)
        let process = InstallProgram(FileDescriptor(owning: SelfProcess.childDescriptor))
        process.run()
        exit(0)
    }
}

private final class InstallProgram {
    private let socket: FileDescriptor
    private var failure: InstallFailure?

    init(_ socket: consuming FileDescriptor) { self.socket = socket }

    func run() {
        guard let job = readJob() else { return say(.failed("the job makes no sense")) }
        do throws(InstallFailure) {
            try install(job)
            say(.staged)
        } catch {
            switch error {
            case .failed(let reason): say(.failed(reason))
            case .refused(let reason): say(.refused(reason))
            }
        }
    }

    private func readJob() -> InstallJob? {
        var line: [UInt8] = []
        do throws(Errno) {
            while line.last != 0x0a {
                let before = line.count
                try socket.readChunk(appendingTo: &line, capacity: 64 << 10)
                guard line.count > before, line.count < 1 << 20 else { return nil }
            }
        } catch {
            return nil
        }
        return (try? JSONValue(parsing: line)).flatMap(InstallJob.init(json:))
    }

    private func say(_ message: InstallMessage) {
        let line = message.json.encoded + [0x0a]
        // The agent is gone when it does not take this; so does this process then.
        do throws(Errno) { unsafe try socket.writeAll(line.span.bytes) } catch { exit(1) }
    }

    private func failing<R: ~Copyable>(_ path: String, _ body: () throws(Errno) -> R) throws(InstallFailure) -> R {
        do throws(Errno) { return try body() } catch { throw .failed("\(path): \(error)") }
    }

    // MARK: Steps

    private func install(_ job: InstallJob) throws(InstallFailure) {
        if let package = job.agentPackage { return try stage(package, job) }
        let store = ComponentStore(root: job.root)
        let name = job.config.name
        let staging = store.staging(name)
        try failing(staging) { () throws(Errno) in try FileDescriptor.makeDirectories(staging) }
        let part = "\(staging)/\(job.config.sha256.lowercased().prefix(16)).part"
        try removeOthers(than: part, in: staging)
        try download(job, to: part)
        let new = store.new(name)
        do throws(StoreFailure) {
            try store.locked { () throws(StoreFailure) in
                // What an exchange has left there may be the version to go back to.
                try store.recoverExchange(name)
                try store.discard(new)
            }
        } catch {
            throw .failed(error.description)
        }
        try failing(new) { () throws(Errno) in if unsafe mkdir(new, 0o701) != 0 { throw Errno.current } }

        let file = try failing(part) { () throws(Errno) in try FileDescriptor.open(part, .read) }
        var magic: [UInt8] = []
        try failing(part) { () throws(Errno) in try file.readChunk(appendingTo: &magic, capacity: 2) }
        lseek(file.rawValue, 0, SEEK_SET)
        // What the file is decides: old servers leave the type out, and some are wrong about it.
        if magic == [0x1f, 0x8b] {
            // Its bytes live on with the descriptor; afterwards nothing out here can be reached.
            unsafe unlink(part)
            try unpack(file, into: new, job.config)
        } else {
            guard job.config.type != PluginConfig.archiveType else {
                unsafe unlink(part)
                throw .refused("its type is tar.gz, but the file is no gzip")
            }
            try failing(part) { () throws(Errno) in try FileDescriptor.rename(part, to: "\(new)/\(name)") }
            let folder = try failing(new) { () throws(Errno) in try FileDescriptor.open(new, .directory) }
            try complete(folder, [name], job.config)
        }
        // That it is there at all is synced with the exchange that puts it in place.
    }

    /// The agent's own package is left as it is; what is installed then, is the package manager's business.
    private func stage(_ package: InstallJob.AgentPackage, _ job: InstallJob) throws(InstallFailure) {
        let folder = UpgradeFolder(path: job.root)
        try failing(folder.path) { () throws(Errno) in try FileDescriptor.makeDirectories(folder.path) }
        let part = "\(folder.path)/\(job.config.sha256.lowercased().prefix(16)).part"
        try removeOthers(than: part, in: folder.path)
        try download(job, to: part)
        say(.stage("looking into the package"))
        guard let installed = PackageKind.ofInstalledAgent() else {
            throw .failed("this agent was not installed from a package, so none can replace it")
        }
        var beginning: [UInt8] = []
        try failing(part) { () throws(Errno) in
            try FileDescriptor.open(part, .read).readChunk(appendingTo: &beginning, capacity: 32)
        }
        func refuse(_ reason: String) -> InstallFailure {
            unsafe unlink(part)
            return .refused(reason)
        }
        guard let kind = PackageKind(beginning: beginning) else { throw refuse("it is neither a deb nor an rpm") }
        guard kind == installed else {
            throw refuse("it is a package of the kind \(kind), this host's agent is one of the kind \(installed)")
        }
        let facts: PackageFacts
        do throws(PackageProblem) { facts = try PackageFacts.read(part, kind).get() } catch {
            throw error.isOfHost ? .failed(error.description) : refuse(error.description)
        }
        let objection = facts.objection(
            version: job.config.version,
            kind: kind,
            machine: PackageFacts.thisMachine,
            allowsForeign: package.allowsForeign
        )
        if let objection { throw refuse(objection) }
        try checkRoom(for: part)
        var state = package.state
        state.kind = kind
        state.isForeign = facts.isForeign
        // Of an upgrade that nobody has ended.
        unsafe unlink(folder.guardProgram)
        try failing(folder.path) { () throws(Errno) in
            try FileDescriptor.rename(part, to: folder.newPackage(kind))
            try folder.write(state)
            try FileDescriptor.open(folder.path, .directory).sync()
        }
    }

    /// A package manager that runs out of space half-way leaves a worse host than one that is not begun.
    private func checkRoom(for package: String) throws(InstallFailure) {
        var file = stat()
        guard unsafe stat(package, &file) == 0 else { throw .failed("\(package): \(Errno.current)") }
        // Compressed to a third or less; the new files are there beside the old ones for a while.
        let needed = UInt64(max(0, file.st_size)) * 8
        for place in ["/usr/sbin", "/var"] {
            var status = statvfs()
            guard unsafe statvfs(place, &status) == 0 else { continue }
            let free = UInt64(status.f_bavail) * UInt64(status.f_frsize)
            guard free >= needed else {
                throw .failed(
                    "\(place) has \(free >> 20) MiB free, and an upgrade needs \(needed >> 20); make room there"
                )
            }
        }
    }

    /// Downloads of other versions will not be resumed.
    private func removeOthers(than part: String, in staging: String) throws(InstallFailure) {
        try failing(staging) { () throws(Errno) in
            for entry in try FileDescriptor.open(staging, .directory).entries() {
                guard let text = entry.text, text.hasSuffix(".part"), "\(staging)/\(text)" != part else { continue }
                unsafe unlink("\(staging)/\(text)")
            }
        }
    }

    private func download(_ job: InstallJob, to part: String) throws(InstallFailure) {
        say(.stage("downloading"))
        do throws(Errno) {
            let reactor = try Reactor()
            let environment = ProxyEnvironment(environmentVariables(processEnvironment()))
            var outcome: InstallFailure?
            do throws(InstallFailure) {
                let downloader = try Downloader(
                    job,
                    to: part,
                    environment: environment,
                    reactor: reactor,
                    say: { [unowned self] in self.say($0) },
                    completion: { failure in
                        outcome = failure
                        reactor.stop()
                    }
                )
                defer { withExtendedLifetime(downloader) {} }
                try Self.run(reactor)
            } catch {
                outcome = error
            }
            failure = outcome
        } catch {
            throw .failed("no event loop: \(error)")
        }
        if let failure { throw failure }
    }

    private static func run(_ reactor: Reactor) throws(InstallFailure) {
        do throws(Errno) { try reactor.run() } catch { throw .failed("the event loop: \(error)") }
    }

    private func unpack(
        _ file: borrowing FileDescriptor,
        into new: String,
        _ config: PluginConfig
    ) throws(InstallFailure) {
        say(.stage("unpacking"))
        // Names in an archive are UTF-8, which libarchive converts to the locale's encoding. Read before the root changes.
        unsafe setlocale(LC_CTYPE, "C.UTF-8")
        let folder = try failing(new) { () throws(Errno) in try FileDescriptor.open(new, .directory) }
        let limits = Unpacking.Limits()
        var measures: UInt32 = 0
        guard unsafe CLinux_confine(new, UInt64(limits.bytes), Installer.cpuSeconds, &measures) == 0 else {
            throw .failed("the process cannot be confined: \(Errno.current)")
        }
        if measures & CLINUX_CONFINED_CALLS == 0 || (geteuid() == 0 && measures & CLINUX_CONFINED_ROOT == 0) {
            say(.note("the kernel does not let the archive be unpacked in full confinement (measures \(measures))"))
        }
        do throws(InstallFailure) {
            let files = try Unpacking.unpack(file, into: folder, limits: limits)
            guard files.contains(config.name) else {
                throw .refused("the archive has no file \(config.name), which is to be the program")
            }
            try complete(folder, files, config)
        } catch {
            // Gigabytes, perhaps, that nobody wants.
            empty(folder)
            throw error
        }
    }

    private func empty(_ folder: borrowing FileDescriptor) {
        for entry in (try? folder.entries()) ?? [] {
            var budget = Int.max
            try? folder.removeTree(entry.name, budget: &budget)
        }
    }

    /// The program is checked, and the version is complete once its manifest is there.
    private func complete(
        _ folder: borrowing FileDescriptor,
        _ files: [String],
        _ config: PluginConfig
    ) throws(InstallFailure) {
        let actual = try hash(folder, config.name)
        if !config.signature.isEmpty, config.signature.lowercased() != actual {
            throw .refused("its program has checksum \(actual), the signature is \(config.signature.prefix(80))")
        }
        let manifest = Manifest(config: config, mainSHA256: actual, files: files)
        do throws(Errno) {
            // Once for all files: one after the other, each would cost a turn of the disk.
            if CLinux_sync_file_system(folder.rawValue) != 0 { throw Errno.current }
            let file = try folder.createFile(Manifest.fileName, permissions: 0o600)
            unsafe try file.writeAll(manifest.json.encoded.span.bytes)
            try file.sync()
            try folder.sync()
        } catch {
            throw .failed("the staged version cannot be written: \(error)")
        }
    }

    private func hash(_ folder: borrowing FileDescriptor, _ name: String) throws(InstallFailure) -> String {
        do throws(Errno) {
            let raw = unsafe openat(folder.rawValue, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
            if raw < 0 { throw Errno.current }
            let program = FileDescriptor(owning: raw)
            if fchmod(raw, 0o700) != 0 { throw Errno.current }
            let digest = SHA256Digest()
            var chunk: [UInt8] = []
            repeat {
                chunk.removeAll(keepingCapacity: true)
                try program.readChunk(appendingTo: &chunk, capacity: 256 << 10)
                unsafe digest.update(chunk.span.bytes)
            } while !chunk.isEmpty
            try program.sync()
            return digest.finish()
        } catch {
            if error.rawValue == ELOOP { throw .refused("its program, \(name), is a link") }
            throw .failed("\(name): \(error)")
        }
    }
}
