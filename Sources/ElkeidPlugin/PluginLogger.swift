// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// How much a line of the log matters.
public enum LogLevel: Int, Sendable, Comparable, CaseIterable {
    /// For the author of the plugin.
    case debug
    /// What happens in normal work.
    case info
    /// Something is wrong, and the plugin goes on as before.
    case warning
    /// Something does not work; by default the server hears of it.
    case error

    public static func < (left: LogLevel, right: LogLevel) -> Bool {
        left.rawValue < right.rawValue
    }

    /// What existing servers know from plugins.
    fileprivate var recordName: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warn"
        case .error: "error"
        }
    }
}

/// The log of a plugin: lines on standard error, which the agent keeps in the plugin's folder, and records of type
/// 1011 for what the server should know.
///
///     let logger = PluginLogger(client: client)
///     logger.warning("cannot read \(path): \(error)")
///
/// Any thread may use it, but not the closures that build a record: an error is a record itself. A message below both
/// levels is not even built.
public final class PluginLogger: Sendable {
    /// The data type of log records: fields `level`, `source` and `msg`.
    public static let dataType: Int32 = 1011

    private let client: PluginClient?
    private let level: LogLevel
    private let recordLevel: LogLevel
    private let hasToldOfFailure = Atomic<Bool>(false)

    /// - Parameters:
    ///   - client: sends the records; nil for none, such as before there is a client.
    ///   - level: messages of this level and above are lines on standard error.
    ///   - recordLevel: messages of this level and above are records.
    public init(client: PluginClient?, level: LogLevel = .info, recordLevel: LogLevel = .error) {
        self.client = client
        self.level = level
        self.recordLevel = recordLevel
    }

    /// Logs at the level `debug`; see `log`.
    public func debug(_ message: @autoclosure () -> String, file: String = #fileID, line: Int = #line) {
        log(.debug, message(), file: file, line: line)
    }

    /// Logs at the level `info`; see `log`.
    public func info(_ message: @autoclosure () -> String, file: String = #fileID, line: Int = #line) {
        log(.info, message(), file: file, line: line)
    }

    /// Logs at the level `warning`; see `log`.
    public func warning(_ message: @autoclosure () -> String, file: String = #fileID, line: Int = #line) {
        log(.warning, message(), file: file, line: line)
    }

    /// Logs at the level `error`; see `log`.
    public func error(_ message: @autoclosure () -> String, file: String = #fileID, line: Int = #line) {
        log(.error, message(), file: file, line: line)
    }

    /// Logs one message. A record that cannot be sent is no error for the caller; a line says so the first time.
    public func log(
        _ level: LogLevel,
        _ message: @autoclosure () -> String,
        file: String = #fileID,
        line: Int = #line
    ) {
        guard level >= min(self.level, recordLevel) else { return }
        let message = message()
        let source = "\(file):\(line)"
        if level >= self.level { writeLine(level, source, message) }
        guard level >= recordLevel, let client else { return }
        do throws(PluginError) {
            let result = try client.send(dataType: Self.dataType) { (record) in
                record.add("level", level.recordName)
                record.add("source", source)
                record.add("msg", message)
            }
            if result == .dropped { tellOnce("the agent does not read") }
        } catch {
            tellOnce("\(error)")
        }
    }

    private func tellOnce(_ reason: String) {
        guard !hasToldOfFailure.exchange(true, ordering: .relaxed) else { return }
        writeLine(.warning, "\(#fileID):\(#line)", "a log record was not sent, and more may follow: \(reason)")
    }

    /// A line break in a message must not look like another line of the log.
    private func writeLine(_ level: LogLevel, _ source: String, _ message: String) {
        var text = message
        if message.utf8.contains(UInt8(ascii: "\n")) {
            text = message.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n")
        }
        writeToStandardError("\(utcTime()) \(level.recordName.uppercased()) \(source) \(text)\n")
    }
}

/// The time of day such as 2026-11-29T21:38:12Z.
private func utcTime() -> String {
    var seconds = time(nil)
    var parts = unsafe tm()
    unsafe gmtime_r(&seconds, &parts)
    let date = unsafe "\(parts.tm_year + 1900)-\(twoDigits(parts.tm_mon + 1))-\(twoDigits(parts.tm_mday))"
    return unsafe "\(date)T\(twoDigits(parts.tm_hour)):\(twoDigits(parts.tm_min)):\(twoDigits(parts.tm_sec))Z"
}

private func twoDigits(_ number: CInt) -> String {
    number < 10 ? "0\(number)" : "\(number)"
}
