// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
public import ElkeidWire

/// Records for people and for machines to read.
public enum RecordText {
    /// Why something went wrong is in their last words: errors of agents and of plugins.
    static let errorTypes: Set<Int32> = [1010, 1011]
    /// Characters of one value in a line, unless it is such a record's, and bytes of one in JSON.
    static let valueLimit = 60
    static let jsonValueLimit = 1024

    /// "5050 pid=1 comm=systemd …", at most `limit` characters, without anything that a terminal would obey.
    public static func line(_ record: Record, limit: Int) -> String {
        var text = "\(record.dataType)"
        let isError = errorTypes.contains(record.dataType)
        let valueLimit = isError ? limit : valueLimit
        for entry in record.payload?.entries ?? [] {
            text += " \(visible(entry.name, limit: valueLimit))=\(quoted(visible(entry.value, limit: valueLimit)))"
            // No need to decode what is cut off anyway.
            if text.count > limit { break }
        }
        return text.count > limit ? text.prefix(max(0, limit - 1)) + "…" : text
    }

    /// The same for bytes that should be a record.
    public static func line(_ bytes: [UInt8], limit: Int) -> String {
        do throws(WireError) { return line(try Record(decoding: bytes), limit: limit) } catch {
            return String("payload cannot be read: \(error.description)".prefix(limit))
        }
    }

    /// `{"data_type":5050,"timestamp":1,"fields":{"pid":"1"}}`
    public static func json(_ bytes: [UInt8]) -> JSONText {
        var object = JSONText()
        guard let record = try? Record(decoding: bytes) else { return object }
        object.add("data_type", Int(record.dataType))
        object.add("timestamp", Int(record.timestamp))
        var fields = JSONText()
        for entry in record.payload?.entries ?? [] {
            let value = entry.value.prefix(jsonValueLimit)
            fields.add(String(decoding: entry.name, as: UTF8.self), String(decoding: value, as: UTF8.self))
        }
        object.add("fields", fields)
        return object
    }

    private static func quoted(_ text: String) -> String {
        text.isEmpty || text.contains(" ") || text.contains("=") ? "\"\(text)\"" : text
    }
}
