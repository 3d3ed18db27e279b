// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire
import JSON

/// What must be known when the agent starts again, before any server is reached: a small file.
public struct ComponentState: Equatable, Sendable {
    /// The complete list that the server sent last.
    public var desired: [PluginConfig]
    /// Versions that are not tried again, by component.
    public var bad: [String: [BadVersion]]

    public init(desired: [PluginConfig] = [], bad: [String: [BadVersion]] = [:]) {
        self.desired = desired
        self.bad = bad
    }

    public var encoded: [UInt8] {
        let bad = self.bad.filter { !$0.value.isEmpty }.mapValues { versions in
            JSONValue.array(
                versions.map {
                    .object([
                        "identity": $0.identity.json, "signature": .string($0.signature), "reason": .string($0.reason),
                    ])
                }
            )
        }
        let json = JSONValue.object([
            "format": .integer(1), "desired": .array(desired.map(\.json)), "bad": .object(bad),
        ])
        return json.encoded + [0x0a]
    }

    /// Nil when the file is not what this or an earlier version has written.
    public init?(_ text: [UInt8]) {
        guard let json = try? JSONValue(parsing: text), json["format"]?.integer == 1,
            let desired = json["desired"]?.array, case .object(let bad)? = json["bad"]
        else { return nil }
        let configs = desired.compactMap(PluginConfig.init(json:))
        guard configs.count == desired.count else { return nil }
        var versions: [String: [BadVersion]] = [:]
        for (name, list) in bad {
            guard let list = list.array else { return nil }
            versions[name] = list.compactMap { entry in
                guard let identity = entry["identity"].flatMap(ComponentIdentity.init(json:)),
                    let reason = entry["reason"]?.string
                else { return nil }
                return BadVersion(identity: identity, signature: entry["signature"]?.string ?? "", reason: reason)
            }
        }
        self.init(desired: configs, bad: versions)
    }
}
