// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A folder of one test.
struct TemporaryFolder {
    let path: String

    init() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "elkeid-test-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        // As the kernel shows it in /proc.
        self.path = URL(filePath: path).resolvingSymlinksInPath().path
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}

/// What is in a file, or nothing when it is not there.
func text(of path: String) -> String {
    (try? Data(contentsOf: URL(filePath: path))).map { String(decoding: $0, as: UTF8.self) } ?? ""
}

func write(_ text: String, to path: String) throws {
    try ChildProcess.withoutStarts { try Data(text.utf8).write(to: URL(filePath: path)) }
}

/// The last lines of a file, for messages.
func tail(of path: String, lines: Int = 15) -> String {
    let name = URL(filePath: path).lastPathComponent
    let all = text(of: path).split(separator: "\n")
    return "--- \(name)\n" + all.suffix(lines).map { $0.prefix(600) }.joined(separator: "\n")
}

/// A file that a plugin writes in one step when it has something to say.
func decoded<T: Decodable>(_ type: T.Type, from path: String) -> T? {
    guard let data = try? Data(contentsOf: URL(filePath: path)) else { return nil }
    return try? JSONDecoder().decode(type, from: data)
}

enum Repository {
    private static let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    /// Tests/Vectors of this repository.
    static let vectors = tests.appending(path: "Vectors").path
    /// Tests/Interop/components: an odd web server, and a maker of archives.
    static let components = tests.appending(path: "Interop/components").path
    /// Tests/Interop/facts: programs that say what a heartbeat must have in it.
    static let facts = tests.appending(path: "Interop/facts").path
}
