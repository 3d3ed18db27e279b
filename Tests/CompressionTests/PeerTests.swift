// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Foundation
import Testing

/// What the ordinary command line tools make of our output, and we of theirs.
@Suite struct PeerTests {
    struct Tool: Sendable, CustomStringConvertible {
        let coding: ContentCoding
        let path: String

        var description: String { path }
        var isPresent: Bool { FileManager.default.isExecutableFile(atPath: path) }
    }

    static let tools = [Tool(coding: .gzip, path: "/usr/bin/gzip"), Tool(coding: .zstd, path: "/usr/bin/zstd")]
        .filter(\.isPresent)
    static let sizes = [0, 1, 65_537, 3 << 20]

    @Test(.enabled(if: !tools.isEmpty, "neither gzip nor zstd is installed"), arguments: tools, Sample.allCases)
    func toolReadsOurs(_ tool: Tool, _ sample: Sample) throws {
        for size in Self.sizes {
            let message = sample.bytes(size)
            #expect(try run(tool, ["-d", "-c"], on: compress(tool.coding, message)) == message, "\(size) bytes")
        }
    }

    @Test(.enabled(if: !tools.isEmpty, "neither gzip nor zstd is installed"), arguments: tools, ["-1", "-9"])
    func weReadTheTools(_ tool: Tool, _ level: String) throws {
        for size in Self.sizes {
            let message = Sample.text.bytes(size) + Sample.random.bytes(size)
            let packed = try run(tool, [level, "-c"], on: message)
            #expect(try Decompressor(tool.coding).run(packed) == message, "\(size) bytes")
        }
    }

    /// The output of the tool with these bytes as its standard input, by way of files: pipes could fill up.
    private func run(_ tool: Tool, _ arguments: [String], on input: [UInt8]) throws -> [UInt8] {
        let directory = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let source = directory.appending(path: "input")
        let target = directory.appending(path: "output")
        try Data(input).write(to: source)
        try Data().write(to: target)
        let process = Process()
        process.executableURL = URL(filePath: tool.path)
        process.arguments = arguments
        process.standardInput = try FileHandle(forReadingFrom: source)
        process.standardOutput = try FileHandle(forWritingTo: target)
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(tool.path) \(arguments)")
        return [UInt8](try Data(contentsOf: target))
    }
}
