// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire
import TLS

/// A component as the command line names it: NAME:VERSION:PATH.
public struct ComponentSpecification: Equatable, Sendable {
    public var name: String
    public var version: String
    public var path: String

    public init(name: String, version: String, path: String) {
        self.name = name
        self.version = version
        self.path = path
    }

    /// - Throws: `CenterError` that says which part is wrong.
    public init(_ text: String) throws(CenterError) {
        let parts = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, !parts[2].isEmpty else {
            throw CenterError("\"\(text)\" is not NAME:VERSION:PATH, such as collector:1.0.0.1:./collector")
        }
        guard Component.isName(parts[0]) else {
            throw CenterError("\"\(parts[0])\" is no component name: letters, digits, - and _ only")
        }
        guard Component.isVersion(parts[1]) else {
            throw CenterError("\"\(parts[1])\" is no version: four numbers, such as 1.0.0.1")
        }
        self.init(name: parts[0], version: parts[1], path: parts[2])
    }
}

/// A file that agents are told to install, measured once.
public struct Component: Equatable, Sendable {
    public let name: String
    public let version: String
    public let path: String
    /// "exec", "tar.gz" or "agent".
    public let type: String
    /// In bytes.
    public let size: Int
    /// Of the file, lower-case hexadecimal.
    public let sha256: String
    /// For an archive, the hash of the executable in it.
    public let signature: String
    /// The plugin's environment variable DETAIL.
    public var detail = ""

    /// Reads the file, and for an archive what is in it.
    public init(_ specification: ComponentSpecification) throws(CenterError) {
        name = specification.name
        version = specification.version
        path = specification.path
        size = try Folder.size(path)
        let digest = SHA256Digest()
        var start: [UInt8] = []
        try Folder.read(path) { (chunk) throws(CenterError) in
            if start.isEmpty { start = Array(chunk.prefix(2)) }
            digest.update(unsafe chunk.span.bytes)
        }
        sha256 = digest.finish()
        let isArchive = start == [0x1f, 0x8b]
        type = name == Self.agentName ? "agent" : isArchive ? "tar.gz" : "exec"
        signature = type == "tar.gz" ? try Archive.sha256(of: name, in: path) : ""
    }

    /// The name under which a configuration speaks of the agent itself.
    static let agentName = "elkeid-agent"

    /// The name of the file in URLs, in the form that a manager gives it.
    public var fileName: String {
        let suffix =
            switch type {
            case "tar.gz": ".tar.gz"
            case "agent": path.hasSuffix(".rpm") ? ".rpm" : ".deb"
            default: ".plg"
            }
        return "\(name)-default-default-\(version)\(suffix)"
    }

    /// What agents are told; `authority` is "host:port" of the HTTP server, nil when there is none.
    public func config(authority: String?) -> PluginConfig {
        PluginConfig(
            name: name,
            type: type,
            version: version,
            sha256: sha256,
            signature: signature,
            downloadURLs: authority.map { ["http://\($0)/agent/component/\(name)/\(fileName)"] } ?? [],
            detail: detail
        )
    }

    /// Names that agents accept: `[0-9A-Za-z_-]+`.
    public static func isName(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                    || byte == 0x5f || byte == 0x2d
            }
    }

    static func isVersion(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...9).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
            }
    }
}
