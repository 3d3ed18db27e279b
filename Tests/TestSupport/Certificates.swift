// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// The certificate sets of Tests/Vectors/make-certs.sh, made once for a test program and removed at its end.
public enum Certificates {
    public struct Unusable: Error, CustomStringConvertible {
        public let description: String
    }

    private static let folder: Result<URL, Unusable> = {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("certificates-\(UUID().uuidString)")
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let script = tests.appendingPathComponent("Vectors/make-certs.sh").path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = [script, folder.path]
        do {
            try process.run()
        } catch {
            return .failure(Unusable(description: "\(script): \(error)"))
        }
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            return .failure(Unusable(description: "\(script) ended with \(process.terminationStatus)"))
        }
        leftovers.withLock { $0.append(folder.path) }
        atexit {
            for path in leftovers.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: path) }
        }
        return .success(folder)
    }()

    /// The path of `file` in the set `name`, such as `ca.crt` in `ordinary`.
    public static func path(_ name: String, _ file: String) throws -> String {
        try folder.get().appendingPathComponent("\(name)/\(file)").path
    }

    /// Writes a file of the test's own beside the sets.
    public static func write(_ contents: String, as file: String) throws -> String {
        let path = try folder.get().appendingPathComponent(file)
        try Data(contents.utf8).write(to: path)
        return path.path
    }
}

/// Folders to remove when the program ends.
private let leftovers = Mutex<[String]>([])
