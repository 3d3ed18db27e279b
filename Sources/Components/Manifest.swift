// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire
import JSON

/// What belongs to an installed version: kept in its own folder, so that it moves with it.
///
/// Everything else in the folder was made by the plugin (kernel modules, databases, settings) and outlives the version.
public struct Manifest: Equatable, Sendable {
    /// In the version's folder. No archive may bring a file of this name.
    public static let fileName = ".elkeid-manifest"
    /// Bytes of a manifest: a hundred thousand paths.
    static let sizeLimit = 8 << 20

    /// What the server asked for when it was installed.
    public var config: PluginConfig
    /// Of the program, lower-case hexadecimal.
    public var mainSHA256: String
    /// Paths of files and links below the folder; their folders go without saying.
    public var files: [String]

    public init(config: PluginConfig, mainSHA256: String, files: [String]) {
        self.config = config
        self.mainSHA256 = mainSHA256
        self.files = files
    }

    /// Is this what `wanted` asks for?
    public func satisfies(_ wanted: PluginConfig) -> Bool {
        ComponentIdentity(config) == ComponentIdentity(wanted)
            && (wanted.signature.isEmpty || wanted.signature.lowercased() == mainSHA256)
    }

    var json: JSONValue {
        .object([
            "format": .integer(1), "config": config.json, "main_sha256": .string(mainSHA256),
            "files": .strings(files.sorted()),
        ])
    }

    /// What the agent has to know: the files are the store's business, and may be many.
    var summary: JSONValue {
        var short = self
        short.files = []
        return short.json
    }

    init?(json: JSONValue) {
        guard json["format"]?.integer == 1, let config = json["config"].flatMap(PluginConfig.init(json:)),
            let main = json["main_sha256"]?.string, let files = json["files"]?.strings
        else { return nil }
        self.init(config: config, mainSHA256: main, files: files)
    }
}
