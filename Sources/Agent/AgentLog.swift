// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import Syscalls

/// Where log lines go: a file, and stderr when that is a terminal or there is no file.
final class LogSink {
    /// Nil: stderr only.
    let path: String?
    private var file: FileDescriptor?
    private let toStandardError: Bool
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
    init(path: String?, level: Logger.Level, alsoStandardError: Bool) throws(Errno) {
        self.path = path
        self.level = level
        toStandardError = alsoStandardError || path == nil
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

    func write(_ line: [UInt8]) {
        if toStandardError { writeStandardError(line) }
        switch file {
        case .some(let file):
            // A full disk must not stop the agent; the line is lost, and the next one may fit again.
            do throws(Errno) { unsafe try file.writeAll(line.span.bytes) } catch { writeStandardError(line) }
        case .none: return
        }
        size += line.count
        if size >= rotateAt {
            rotateAt = .max
            onGrown?()
        }
    }

    /// Writes a line whatever the level is.
    func say(_ text: String) { write(AgentLogHandler.line("NOTICE", text)) }

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
        unsafe sink.write(Self.line(event.level.rawValue.uppercased(), text))
        if event.level >= .warning { unsafe sink.onProblem?(event, all) }
    }

    static func line(_ level: String, _ text: String) -> [UInt8] {
        Array("\(timestamp())\t\(level)\t\(oneLine(text))\n".utf8)
    }

    /// A line stays a line: control characters of foreign text are shown as spaces.
    private static func oneLine(_ text: String) -> String {
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
