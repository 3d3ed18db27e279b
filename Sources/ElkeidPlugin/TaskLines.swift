// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Tasks as people type them in debug mode: lines of a data type, one space and the data; the data may be missing.
struct TaskLines: TaskSource {
    var buffer = InputBuffer()
    private let limit: Int
    /// Bytes that are known to hold no end of a line.
    private var searched = 0
    private var tasks = 0

    init(limit: Int) {
        self.limit = limit
    }

    var expected: Int { buffer.count }

    mutating func next() throws(PluginError) -> PluginTask? {
        while let length = lengthOfLine() {
            if let task = try take(length, terminator: 1) { return task }
        }
        guard buffer.count <= limit else { throw .taskTooLarge(length: buffer.count, limit: limit) }
        return nil
    }

    /// The last line may lack its end.
    mutating func end() throws(PluginError) -> PluginTask? {
        try take(buffer.count, terminator: 0)
    }

    private mutating func lengthOfLine() -> Int? {
        let count = buffer.count
        var position = searched
        while position < count, buffer.bytes[position] != UInt8(ascii: "\n") { position += 1 }
        searched = position
        return position < count ? position : nil
    }

    /// The task of the first line; nil for an empty one.
    private mutating func take(_ length: Int, terminator: Int) throws(PluginError) -> PluginTask? {
        guard length <= limit else { throw .taskTooLarge(length: length, limit: limit) }
        defer {
            buffer.removeFirst(length + terminator)
            searched = 0
        }
        guard length > 0 else { return nil }
        guard var task = PluginTask(line: buffer.bytes.extracting(..<length)) else {
            throw .malformedTask(.notATaskLine)
        }
        tasks += 1
        task.token = "debug-\(tasks)"
        return task
    }
}

extension PluginTask {
    /// Nil when the line is not `DATA_TYPE` or `DATA_TYPE DATA` in UTF-8.
    fileprivate init?(line: Span<UInt8>) {
        guard let text = try? UTF8Span(validating: line) else { return nil }
        let words = String(copying: text).utf8.split(
            separator: UInt8(ascii: " "),
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        guard let number = words.first, number.first != UInt8(ascii: "+"), let dataType = Int32(Substring(number))
        else {
            return nil
        }
        self.init(dataType: dataType, data: words.count > 1 ? String(Substring(words[1])) : "")
    }
}
