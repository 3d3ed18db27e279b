// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls
import TestSupport

/// A plugin that does what it is told by lines on its standard input, and the agent's ends of its pipes.
final class PluginProbe {
    /// How it is started.
    struct Options {
        var arguments: [String] = []
        var environment: [String] = []
        /// Whether it is offered descriptor 5.
        var offersHighPriority = false
        /// Bytes that the pipe of records holds; nil: the system's own number.
        var pipeCapacity: Int?
    }

    private static let patience: CInt = 30_000

    let pid: CInt
    /// The agent's ends; -1 when closed.
    private(set) var tasks: CInt = -1
    private(set) var records: CInt = -1
    private(set) var highPriorityRecords: CInt = -1
    private var input: CInt
    private let output: CInt
    private var printed: [UInt8] = []
    private var arrived: [CInt: [UInt8]] = [:]
    private var isReaped = false

    init(_ program: String, _ options: Options = Options()) throws {
        var commands = try Pipe()
        var answers = try Pipe()
        var taskPipe = try Pipe()
        var recordPipe = try Pipe()
        var highPriorityPipe = try Pipe()
        let childInput = try take(&commands.read)
        let childOutput = try take(&answers.write)
        let childTasks = try take(&taskPipe.read)
        let childRecords = try take(&recordPipe.write)
        let childUrgent = try take(&highPriorityPipe.write)
        if let capacity = options.pipeCapacity { childRecords.growPipe(to: capacity) }
        var child = Child(program, options.arguments)
        child.environment += options.environment
        var descriptors = [
            childInput.rawValue, childOutput.rawValue, 2, childTasks.rawValue, childRecords.rawValue,
        ]
        if options.offersHighPriority {
            child.environment.append("ELKEID_PLUGIN_HIGH_PRIORITY_PIPE=1")
            descriptors.append(childUrgent.rawValue)
        }
        pid = try ChildProcess.withoutStarts { try child.start(descriptors) }
        input = try take(&commands.write).release()
        output = try take(&answers.read).release()
        tasks = try take(&taskPipe.write).release()
        records = try take(&recordPipe.read).release()
        highPriorityRecords = try take(&highPriorityPipe.read).release()
        try closeAll(childInput, childOutput, childTasks, childRecords, childUrgent)
        let first = try answer()
        guard first == "ready" else { throw Failure("\(program) says \(first)") }
    }

    /// The one of a language's library.
    static func of(
        _ language: PluginLanguage,
        _ arguments: String...,
        offersHighPriority: Bool = false,
        pipeCapacity: Int? = nil
    ) throws -> PluginProbe {
        try PluginProbe(
            language.probe(),
            Options(arguments: arguments, offersHighPriority: offersHighPriority, pipeCapacity: pipeCapacity)
        )
    }

    deinit {
        if !isReaped {
            kill(pid, SIGKILL)
            _ = Child.reap(pid)
        }
        for descriptor in [input, output, tasks, records, highPriorityRecords] where descriptor >= 0 {
            close(descriptor)
        }
    }

    // MARK: Commands

    /// Gives it lines, and returns what it says to the last one.
    func run(_ lines: String...) throws -> String {
        try tell(lines.joined(separator: "\n"))
        return try answer()
    }

    /// Gives it lines, and leaves the answer for later.
    func tell(_ lines: String) throws { try Self.write(Array((lines + "\n").utf8), to: input) }

    /// The next line that it prints.
    func answer() throws -> String {
        while true {
            if let end = printed.firstIndex(of: 0x0a) {
                let line = String(decoding: printed[..<end], as: UTF8.self)
                printed.removeSubrange(...end)
                return line
            }
            guard try Self.read(output, into: &printed) else { throw Failure("the probe ended without an answer") }
        }
    }

    /// Sends one record with fields, and returns what it says of it.
    func send(_ dataType: Int32, _ timestamp: Int64, _ fields: [RecordFrame.Field], high: Bool = false) throws -> String
    {
        let lines = fields.map { "field \(hex($0.key)) \(hex($0.value))" }
        let head = "record \(dataType) \(timestamp)\(high ? " high" : "")"
        try tell(([head] + lines + ["send"]).joined(separator: "\n"))
        return try answer()
    }

    /// Lets it go without a goodbye of its own: end of the commands, which it answers by ending.
    func finish() throws -> CInt {
        close(input)
        input = -1
        return reap()
    }

    func send(signal: CInt) { kill(pid, signal) }

    /// Waits for its end: its exit code, or 128 + the signal.
    func reap() -> CInt {
        isReaped = true
        return Child.reap(pid)
    }

    // MARK: The agent's side

    func writeTasks(_ bytes: [UInt8]) throws { try Self.write(bytes, to: tasks) }

    func closeTasks() {
        close(tasks)
        tasks = -1
    }

    /// Nobody has the pipe's reading end any more, no child of other tests either that is being started.
    func closeRecords() {
        ChildProcess.withoutStarts { _ = close(records) }
        records = -1
    }

    /// The next record.
    func record(high: Bool = false) throws -> RecordFrame {
        guard let frame = try next(high ? highPriorityRecords : records) else {
            throw Failure("the records ended")
        }
        return frame
    }

    func records(_ count: Int, high: Bool = false) throws -> [RecordFrame] {
        try (0..<count).map { _ in try record(high: high) }
    }

    /// All until the plugin has closed its end.
    func remainingRecords() throws -> [RecordFrame] {
        var frames: [RecordFrame] = []
        while let frame = try next(records) { frames.append(frame) }
        return frames
    }

    private func next(_ descriptor: CInt) throws -> RecordFrame? {
        var bytes = arrived[descriptor] ?? []
        defer { arrived[descriptor] = bytes }
        while true {
            if bytes.count >= 4 {
                let length = (0..<4).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
                if bytes.count >= 4 + length {
                    let frame = Array(bytes[4..<4 + length])
                    bytes.removeSubrange(..<(4 + length))
                    return try RecordFrame(frame)
                }
            }
            guard try Self.read(descriptor, into: &bytes) else {
                guard bytes.isEmpty else { throw Failure("the records end with \(bytes.count) bytes of a frame") }
                return nil
            }
        }
    }

    // MARK: Descriptors

    /// - Returns: false at the end of file.
    private static func read(_ descriptor: CInt, into bytes: inout [UInt8]) throws -> Bool {
        var entry = pollfd(fd: descriptor, events: CShort(POLLIN), revents: 0)
        guard unsafe poll(&entry, 1, patience) > 0 else { throw Failure("nothing came for \(patience / 1000) s") }
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
        guard count >= 0 else { throw Failure("reading failed: \(Errno.current)") }
        bytes += chunk[..<count]
        return count > 0
    }

    private static func write(_ bytes: [UInt8], to descriptor: CInt) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { throw Failure("the probe does not read: \(Errno.current)") }
            rest = rest.dropFirst(count)
        }
    }
}

private func closeAll(
    _ a: consuming FileDescriptor,
    _ b: consuming FileDescriptor,
    _ c: consuming FileDescriptor,
    _ d: consuming FileDescriptor,
    _ e: consuming FileDescriptor
) throws {
    try a.close()
    try b.close()
    try c.close()
    try d.close()
    try e.close()
}
