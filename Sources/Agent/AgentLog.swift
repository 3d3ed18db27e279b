// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import Syscalls

/// Where log lines go: a file, and stderr when that is a terminal or the journal, or there is no file.
final class LogSink {
    /// What stderr is.
    enum StandardError {
        case unused, terminal
        /// systemd's journal, which wants a priority in front and has a time of its own (sd-daemon(3)).
        case journal

        /// What this process was given. Only the journal's own socket is the journal, whoever else has inherited its name
        /// (systemd.exec(5), JOURNAL_STREAM).
        static func current(_ environment: [String: String]) -> StandardError {
            if isatty(2) == 1 { return .terminal }
            var status = stat()
            guard let stream = environment["JOURNAL_STREAM"], unsafe fstat(2, &status) == 0,
                stream == "\(status.st_dev):\(status.st_ino)"
            else { return .unused }
            return .journal
        }
    }

    /// Nil: stderr only.
    let path: String?
    private var file: FileDescriptor?
    private let standardError: StandardError
    /// Bytes in the file.
    private var size = 0
    /// The size at which `onGrown` is called.
    private var rotateAt = Int.max
    /// The least severe line that is written, for all loggers.
    var level: Logger.Level
    /// Hears of every line at warning level or above, whatever `level` is.
    var onProblem: ((LogEvent, Logger.Metadata) -> Void)?
    /// The file has reached `maximumSize`.
    var onGrown: (() -> Void)?
    var maximumSize = Int.max { didSet { rotateAt = maximumSize } }

    /// - Parameter path: opened for appending, made when absent, mode 0600; nil for stderr only.
    init(path: String?, level: Logger.Level, standardError: StandardError) throws(Errno) {
        self.path = path
        self.level = level
        self.standardError = path == nil && standardError == .unused ? .terminal : standardError
        if case .journal = standardError {
            // A journal that hangs must not stop the loop: what it does not take at once is in the file.
            let flags = fcntl(2, F_GETFL)
            _ = fcntl(2, F_SETFL, flags | O_NONBLOCK)
        }
        if path != nil { try reopen() }
    }

    /// Opens the file anew, after it was put aside.
    func reopen() throws(Errno) {
        guard let path else { return }
        let opened = try FileDescriptor.open(path, .append)
        size = max(0, Int(lseek(opened.rawValue, 0, SEEK_END)))
        file = consume opened
        rotateAt = maximumSize
    }

    /// It could not be put aside: not asked again before it has grown by as much again.
    func deferRotation() { rotateAt = size + maximumSize }

    func log(_ level: Logger.Level, _ text: String) {
        let line = AgentLogHandler.line(level.rawValue.uppercased(), text)
        switch standardError {
        case .unused: break
        case .terminal: writeStandardError(line)
        case .journal: writeStandardError(Array("<\(Self.priority(level))>\(AgentLogHandler.oneLine(text))\n".utf8))
        }
        write(line)
    }

    /// syslog(3).
    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    private func write(_ line: [UInt8]) {
        switch file {
        case .some(let file):
            // A full disk must not stop the agent; the line is lost, and the next one may fit again.
            do throws(Errno) { unsafe try file.writeAll(line.span.bytes) } catch {
                if standardError == .unused { writeStandardError(line) }
            }
        case .none: return
        }
        size += line.count
        if size >= rotateAt {
            rotateAt = .max
            onGrown?()
        }
    }

    /// Writes a line whatever the level is.
    func say(_ text: String) { log(.notice, text) }

    private func writeStandardError(_ line: [UInt8]) {
        unsafe line.withUnsafeBytes { bytes in _ = unsafe Glibc.write(2, bytes.baseAddress, bytes.count) }
    }
}

/// Lines as operators know them: time, level, message, and what belongs to it as `key=value`.
struct AgentLogHandler: LogHandler {
    private nonisolated(unsafe) let sink: LogSink
    /// The sink's: a change holds for every logger.
    var logLevel: Logger.Level {
        get { unsafe sink.level }
        set { unsafe sink.level = newValue }
    }
    var metadata: Logger.Metadata = [:]

    /// The sink is used by the loop's thread only, as everything of the agent is.
    init(sink: LogSink) { unsafe self.sink = sink }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = event.metadata.map { metadata.merging($0) { $1 } } ?? metadata
        var text = "\(event.message)"
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { text += " \(key)=\(value)" }
        unsafe sink.log(event.level, text)
        if event.level >= .warning { unsafe sink.onProblem?(event, all) }
    }

    static func line(_ level: String, _ text: String) -> [UInt8] {
        Array("\(timestamp())\t\(level)\t\(oneLine(text))\n".utf8)
    }

    /// A line stays a line: control characters of foreign text are shown as spaces.
    static func oneLine(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { return text }
        return String(decoding: text.utf8.map { $0 < 0x20 || $0 == 0x7f ? 0x20 : $0 }, as: UTF8.self)
    }

    /// Local time with milliseconds and offset, as ISO 8601.
    private static func timestamp() -> String {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        var parts = unsafe tm()
        unsafe localtime_r(&now.tv_sec, &parts)
        let offset = unsafe parts.tm_gmtoff / 60
        let date = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        let time = unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        let milliseconds = String(now.tv_nsec / 1_000_000 + 1000).dropFirst()
        return
            "\(date)T\(time).\(milliseconds)\(offset < 0 ? "-" : "+")\(two(abs(offset) / 60))\(two(abs(offset) % 60))"
    }

    private static func two(_ value: some BinaryInteger) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
