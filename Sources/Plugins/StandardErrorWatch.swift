// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
public import Logging
public import Reactor
import Syscalls

/// Keeps the standard error files of all plugins from growing without end.
///
/// The kernel tells when one is written to (inotify(7)); then it is left alone for a while, and looked at. A plugin that
/// writes nothing costs nothing, one that writes a line now and then two wakeups a line and no more than two a second, and
/// one that floods is looked at every few milliseconds, so that it gets no further than some times the limit.
public final class StandardErrorWatch: ReadinessHandler {
    static let longest = TimeSpan.seconds(1)
    static let shortest = TimeSpan.milliseconds(5)

    private struct Entry {
        let file: StandardErrorFile
        let name: String
        var size = 0
        var timesCut = 0
        var isBeingCut = false
    }

    /// Leaves only the last `keep` bytes of a file, which may block, elsewhere; `completion` gets what it says, or nil.
    public typealias Cutter = (
        _ path: String, _ keep: Int, _ completion: @escaping (_ problem: String?) -> Void
    ) -> Void

    private let reactor: Reactor
    private let log: Logger
    private let cut: Cutter
    private var source: Source?
    private var entries: [Int32: Entry] = [:]
    private var pause = StandardErrorWatch.shortest
    private var lastLook = MonotonicTime(nanoseconds: 0)
    private lazy var timer = reactor.makeTimer { [unowned self] in self.look() }

    public init(reactor: Reactor, log: Logger, cut: @escaping Cutter) {
        self.reactor = reactor
        self.log = log
        self.cut = cut
    }

    /// Watches a file that is there; nil when that cannot be done.
    func add(_ file: StandardErrorFile, plugin: String) -> Int32? {
        if source == nil {
            let raw = CLinux_inotify_create()
            guard raw >= 0 else { return unwatched(plugin) }
            source = reactor.watch(FileDescriptor(owning: raw), for: .read, handler: self)
        }
        guard let source else { return nil }
        let watch = source.withDescriptor { unsafe CLinux_inotify_watch_writes($0.rawValue, file.path) }
        guard watch >= 0 else { return unwatched(plugin) }
        entries[watch] = Entry(file: file, name: plugin)
        return watch
    }

    private func unwatched(_ plugin: String) -> Int32? {
        let remedy = "raise fs.inotify.max_user_watches and max_user_instances (sysctl)"
        log.warning("the stderr file of \(plugin) is not capped: inotify: \(Errno.current); \(remedy)")
        return nil
    }

    func remove(_ watch: Int32) {
        guard entries.removeValue(forKey: watch) != nil else { return }
        // EINVAL: the kernel has forgotten it with its file.
        _ = source?.withDescriptor { CLinux_inotify_unwatch($0.rawValue, watch) }
    }

    /// Something was written somewhere: which file is found by looking at all, when the time has come.
    public func handle(_ readiness: Readiness, of source: Source) {
        source.wait(for: [])
        // After a time of quiet the first words may be the beginning of a flood.
        if MonotonicTime.now() - lastLook > Self.longest { pause = Self.shortest }
        timer.arm(after: pause)
    }

    private func look() {
        guard let source else { return }
        lastLook = MonotonicTime.now()
        var events: [UInt8] = []
        do throws(Errno) {
            repeat {
                events = []
                try source.withDescriptor { fd throws(Errno) in
                    try fd.readChunk(appendingTo: &events, capacity: 16 << 10)
                }
            } while events.count > 12 << 10
        } catch {
            if error != .again { log.warning("inotify: \(error)") }
        }
        var mostGrown = 0
        for (watch, entry) in entries {
            let size = entry.file.size
            mostGrown = max(mostGrown, size - entry.size)
            entries[watch]?.size = size
            if size > StandardErrorFile.limit, !entry.isBeingCut { cut(watch, entry, size) }
        }
        // The time in which a quarter of the limit fills at this rate; never much longer than the one before.
        let scaled = pause.nanoseconds / Int64(max(1, mostGrown)) * Int64(StandardErrorFile.limit / 4)
        let next = min(TimeSpan(nanoseconds: scaled), TimeSpan(nanoseconds: pause.nanoseconds * 2))
        pause = min(Self.longest, max(Self.shortest, next))
        source.wait(for: .read)
    }

    private func cut(_ watch: Int32, _ entry: Entry, _ size: Int) {
        entries[watch]?.isBeingCut = true
        entries[watch]?.timesCut += 1
        if entry.timesCut == 0 {
            log.warning(
                "plugin \(entry.name) has written \(size) bytes to its stderr, of which the end is kept, now and again",
                metadata: ["stderr": "\(entry.file.path)"]
            )
        }
        cut(entry.file.path, StandardErrorFile.kept) { [unowned self] problem in
            self.entries[watch]?.isBeingCut = false
            self.entries[watch]?.size = StandardErrorFile.kept
            if let problem { self.log.warning("a stderr file cannot be cut: \(problem)") }
        }
    }
}
