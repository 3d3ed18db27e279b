// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire

/// A version that is not tried again, and why.
public struct BadVersion: Equatable, Sendable {
    public let identity: ComponentIdentity
    /// A version whose signature was wrong is another one with the right one.
    public let signature: String
    public let reason: String

    public init(identity: ComponentIdentity, signature: String, reason: String) {
        self.identity = identity
        self.signature = signature.lowercased()
        self.reason = reason
    }

    public init(_ config: PluginConfig, reason: String) {
        self.init(identity: ComponentIdentity(config), signature: config.signature, reason: reason)
    }

    func describes(_ config: PluginConfig) -> Bool {
        identity == ComponentIdentity(config) && signature == config.signature.lowercased()
    }
}

/// What the disk has of a component when the agent starts.
public struct FoundComponent: Equatable, Sendable {
    public var name: String
    /// Else there is only what an installation had begun.
    public var hasFolder: Bool
    /// Nil: nobody has described the folder.
    public var manifest: Manifest?
    /// A version to go back to is kept.
    public var hasPrevious: Bool
    /// The version in place had not proven itself.
    public var isOnProbation: Bool

    public init(
        name: String,
        hasFolder: Bool = true,
        manifest: Manifest?,
        hasPrevious: Bool,
        isOnProbation: Bool = false
    ) {
        self.name = name
        self.hasFolder = hasFolder
        self.manifest = manifest
        self.hasPrevious = hasPrevious
        self.isOnProbation = isOnProbation
    }
}

/// Why the files of a component could not be changed: what and where.
public struct StoreFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
