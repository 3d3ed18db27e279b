// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The folders that make-certs.sh makes.
enum CertificateSet: String, CaseIterable {
    case elkeid
    case ordinary
    case ordinaryEC = "ordinary-ec"
    case stranger
    case wrongName = "wrong-name"
    case expired
    case notYetValid = "not-yet-valid"

    private static let made = Result { try make() }

    private static func make() throws -> String {
        let folder = FileManager.default.temporaryDirectory.appending(path: "elkeid-test-certificates-\(getpid())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        _ = try ChildProcess.output(of: ["/bin/sh", Repository.vectors + "/make-certs.sh", folder], seconds: 120)
        atexit {
            if case .success(let folder) = CertificateSet.made { try? FileManager.default.removeItem(atPath: folder) }
        }
        return folder
    }

    /// `name` is a file in the set, such as "ca.crt".
    func file(_ name: String) throws -> String { try "\(Self.made.get())/\(rawValue)/\(name)" }
}

/// What the agent is configured with.
struct ClientCertificates {
    var authority: String
    var certificate: String
    var key: String

    init(_ set: CertificateSet, trusting authority: CertificateSet? = nil) throws {
        self.authority = try (authority ?? set).file("ca.crt")
        certificate = try set.file("client.crt")
        key = try set.file("client.key")
    }
}
