// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Glibc
import Testing

/// What the ordinary command line tools make of our output, and we of theirs.
@Suite struct PeerTests {
    struct Tool: Sendable, CustomTestStringConvertible {
        let coding: ContentCoding
        let path: String

        var testDescription: String { path }
        var isPresent: Bool { unsafe access(path, X_OK) == 0 }
    }

    enum Failed: Error {
        case temporaryFile(CInt)
    }

    static let tools = [Tool(coding: .gzip, path: "/usr/bin/gzip"), Tool(coding: .zstd, path: "/usr/bin/zstd")]
        .filter(\.isPresent)
    static let sizes = [0, 1, 65_537, 1 << 20]

    @Test(.enabled(if: !tools.isEmpty, "neither gzip nor zstd is installed"), arguments: tools, Sample.allCases)
    func toolReadsOurs(_ tool: Tool, _ sample: Sample) throws {
        for size in Self.sizes {
            let message = sample.bytes(size)
            #expect(try run(tool, "-dc", on: compress(tool.coding, message)) == message, "\(size) bytes")
        }
    }

    @Test(.enabled(if: !tools.isEmpty, "neither gzip nor zstd is installed"), arguments: tools, ["-1c", "-9c"])
    func weReadTheTools(_ tool: Tool, _ option: String) throws {
        for size in Self.sizes {
            let message = Sample.text.bytes(size) + Sample.random.bytes(size)
            let packed = try run(tool, option, on: message)
            #expect(try Decompressor(tool.coding).run(packed) == message, "\(size) bytes")
        }
    }

    /// The output of the tool with these bytes as its standard input, by way of files: pipes could fill up.
    private func run(_ tool: Tool, _ option: String, on input: [UInt8]) throws -> [UInt8] {
        guard let source = unsafe tmpfile() else { throw Failed.temporaryFile(errno) }
        defer { unsafe fclose(source) }
        guard let target = unsafe tmpfile() else { throw Failed.temporaryFile(errno) }
        defer { unsafe fclose(target) }
        try #require(unsafe fwrite(input, 1, input.count, source) == input.count)
        // Flushes, and the child shares the position.
        unsafe rewind(source)

        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, fileno(source), STDIN_FILENO)
        unsafe posix_spawn_file_actions_adddup2(&actions, fileno(target), STDOUT_FILENO)
        let arguments = unsafe [strdup(tool.path), strdup(option), nil]
        defer { for index in unsafe arguments.indices { unsafe free(arguments[index]) } }
        var child: pid_t = 0
        try #require(unsafe posix_spawn(&child, tool.path, &actions, nil, arguments, environ) == 0)
        var status: CInt = -1
        try #require(unsafe waitpid(child, &status, 0) == child)
        try #require(status == 0, "\(tool.path) \(option)")

        unsafe fseek(target, 0, SEEK_END)
        var output = [UInt8](repeating: 0, count: unsafe ftell(target))
        unsafe rewind(target)
        try #require(unsafe fread(&output, 1, output.count, target) == output.count)
        return output
    }
}
