// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

extension AgentConfiguration {
    /// The effective configuration as a file, every key of it.
    ///
    /// Parsed again as the file it came from, it gives an equal configuration, provided that file was named by an
    /// absolute path (or else paths stay relative to the process's folder).
    public func render() -> String {
        var blocks = [
            Self.block("[agent]", Schema.agent, agent),
            Self.block("[tls]", Schema.tls, tls),
        ]
        for (name, region) in regions.sorted(by: { $0.key < $1.key }) {
            blocks.append(Self.block("[region \"\(name)\"]", Schema.region, region))
        }
        blocks += [
            Self.block("[transfer]", Schema.transfer, transfer),
            Self.block("[spool]", Schema.spool, spool),
            Self.block("[plugins]", Schema.plugins, plugins),
        ]
        for (name, plugin) in pluginOverrides.sorted(by: { $0.key < $1.key }) {
            blocks.append(Self.block("[plugin \"\(name)\"]", Schema.plugin, plugin))
        }
        blocks.append(Self.block("[upgrade]", Schema.upgrade, upgrade))
        blocks.append(Self.block("[timeouts]", Schema.timeouts, timeouts))
        return blocks.joined(separator: "\n")
    }

    private static func block<Section>(_ header: String, _ keys: [Key<Section>], _ section: Section) -> String {
        var text = header + "\n"
        for key in keys {
            // A line for each item: a list of any length stays below the longest line.
            let values = key.render(section)
            for value in values.isEmpty ? [""] : values {
                text += value.isEmpty ? "\(key.name) =\n" : "\(key.name) = \(value)\n"
            }
        }
        return text
    }
}
