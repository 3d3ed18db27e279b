// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire
public import JSON

/// Which content a configuration asks for. Two that are equal need no other installation, whatever their addresses are.
public struct ComponentIdentity: Hashable, Sendable, CustomStringConvertible {
    public let version: String
    /// Of the file that is downloaded, lower-case hexadecimal.
    public let sha256: String

    public init(version: String, sha256: String) {
        self.version = version
        self.sha256 = sha256.lowercased()
    }

    public init(_ config: PluginConfig) { self.init(version: config.version, sha256: config.sha256) }

    public var description: String { "version \(version)" }

    public var json: JSONValue { .object(["version": .string(version), "sha256": .string(sha256)]) }

    public init?(json: JSONValue) {
        guard let version = json["version"]?.string, let sha256 = json["sha256"]?.string else { return nil }
        self.init(version: version, sha256: sha256)
    }
}

extension PluginConfig {
    /// The rule of managers and of the original agent: `[0-9A-Za-z_-]+`. It is a name of a folder too.
    public static func isName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 200
            && name.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d
                    || $0 == 0x5f
            }
    }

    /// SHA-256 of the program itself, where the configuration says it: `signature` of an archive's main file, or that of
    /// the file that is downloaded when that is the program.
    public var mainSHA256: String? {
        let text = signature.isEmpty && type != Self.archiveType ? sha256 : signature
        return text.isEmpty ? nil : text.lowercased()
    }

    /// Asks for the same content as another, so that nothing has to be installed to change from one to the other.
    public func hasContent(of other: PluginConfig) -> Bool {
        ComponentIdentity(self) == ComponentIdentity(other) && signature.lowercased() == other.signature.lowercased()
    }

    public static let archiveType = "tar.gz"

    public var json: JSONValue {
        .object([
            "name": .string(name), "type": .string(type), "version": .string(version), "sha256": .string(sha256),
            "signature": .string(signature), "urls": .strings(downloadURLs), "detail": .string(detail),
        ])
    }

    public init?(json: JSONValue) {
        guard let name = json["name"]?.string, Self.isName(name), let type = json["type"]?.string,
            let version = json["version"]?.string, let sha256 = json["sha256"]?.string,
            let signature = json["signature"]?.string, let urls = json["urls"]?.strings,
            let detail = json["detail"]?.string
        else { return nil }
        self.init(
            name: name,
            type: type,
            version: version,
            sha256: sha256,
            signature: signature,
            downloadURLs: urls,
            detail: detail
        )
    }
}
