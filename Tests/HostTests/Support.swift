// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Host

/// A recorded file tree in a folder of its own, removed with this object.
final class RecordedTree {
    let root: String
    var tree: FileTree { FileTree(root: root) }

    init(_ files: [String: String] = [:]) throws {
        root = FileManager.default.temporaryDirectory.appendingPathComponent("tree-" + UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        for (path, content) in files { try write(content, to: path) }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: root)
    }

    func write(_ content: some Collection<UInt8>, to path: String) throws {
        let full = root + path
        try FileManager.default.createDirectory(
            atPath: (full as NSString).deletingLastPathComponent,
            withIntermediateDirectories: true
        )
        try Data(content).write(to: URL(fileURLWithPath: full))
    }

    func write(_ content: String, to path: String) throws { try write(content.utf8, to: path) }

    func remove(_ path: String) throws { try FileManager.default.removeItem(atPath: root + path) }

    func contents(_ path: String) -> String? { try? String(contentsOfFile: root + path, encoding: .utf8) }

    func permissions(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: root + path)
        return (attributes[.posixPermissions] as? NSNumber)?.intValue ?? -1
    }

    func setPermissions(_ permissions: Int, of path: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: permissions], ofItemAtPath: root + path)
    }
}

/// What a program prints; nil when it is not installed or fails.
func output(of program: String, _ arguments: [String]) -> String? {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(["LC_ALL": "C"]) { $1 }
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return nil }
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { return nil }
    return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
}

/// A process that lives until its input ends.
final class WaitingProcess {
    private let process = Process()
    private let input = Pipe()
    var pid: Int32 { process.processIdentifier }

    init() throws {
        process.executableURL = URL(fileURLWithPath: "/bin/cat")
        process.standardInput = input
        let echo = Pipe()
        process.standardOutput = echo
        try process.run()
        // What it repeats tells that it is past its own start, during which its descriptors come and go.
        try input.fileHandleForWriting.write(contentsOf: Data("x".utf8))
        _ = try echo.fileHandleForReading.read(upToCount: 1)
    }

    func end() {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}

/// A file of this host as a test reads it.
func hostFile(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
}

func hostEntries(_ path: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
}

/// One line of "name: value" or "name value" of a file of this host, as words.
func hostWords(_ path: String, after name: String) -> [String] {
    let lines = (hostFile(path) ?? "").split(separator: "\n").map(String.init)
    let line = lines.first { $0.hasPrefix(name) } ?? ""
    return line.dropFirst(name.count).split(whereSeparator: \.isWhitespace).map(String.init)
}
