// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A configuration, and what is to be said about it.
public struct LoadResult: Sendable, Equatable {
    /// Always complete: what could not be used was replaced by its default.
    public var configuration: AgentConfiguration
    /// In the order of the file, then what concerns it as a whole.
    public var diagnostics: [Diagnostic]
    /// False if the syntax of the file is broken: `configuration` then has nothing of it, and the last good copy should
    /// be used instead.
    public var usable: Bool
}

extension AgentConfiguration {
    /// Makes a configuration of a parsed file and what overrides it: the environment beats `specified_env`, which beats
    /// the file. Never traps and never fails: a bad value is reported and its default used.
    ///
    /// - Parameters:
    ///   - parsed: The file, or an empty one where there is none.
    ///   - environment: The environment of the process.
    ///   - specifiedEnv: The content of `specified_env`, if there is one.
    public static func load(
        from parsed: ParseResult,
        environment: [String: String] = [:],
        specifiedEnv: SpecifiedEnvironment? = nil
    ) -> LoadResult {
        var reader = SectionReader(file: parsed.file)
        var configuration = AgentConfiguration(folder: parsed.file.folder)
        if parsed.usable { configuration.read(parsed.file.sections, with: &reader) }
        let origins = configuration.override(
            environment: environment,
            specifiedEnv: specifiedEnv,
            diagnostics: &reader.diagnostics
        )
        configuration.check(reader: &reader, origins: origins)
        return LoadResult(
            configuration: configuration,
            diagnostics: parsed.diagnostics + (specifiedEnv?.diagnostics ?? [])
                + reader.diagnostics.finished(file: parsed.file.path),
            usable: parsed.usable
        )
    }

    private mutating func read(_ sections: [ConfigurationFile.Section], with reader: inout SectionReader) {
        var regions: [String: Region] = [:]
        for section in sections {
            switch (section.kind, section.name) {
            case ("agent", nil): reader.read(section, Schema.agent, into: &agent)
            case ("tls", nil): reader.read(section, Schema.tls, into: &tls)
            case ("transfer", nil): reader.read(section, Schema.transfer, into: &transfer)
            case ("spool", nil): reader.read(section, Schema.spool, into: &spool)
            case ("plugins", nil): reader.read(section, Schema.plugins, into: &plugins)
            case ("upgrade", nil): reader.read(section, Schema.upgrade, into: &upgrade)
            case ("timeouts", nil): reader.read(section, Schema.timeouts, into: &timeouts)
            case ("region", let name?):
                if reader.acceptsRegion(name, of: section) {
                    reader.read(section, Schema.region, into: &regions[name, default: Region()])
                }
            case ("plugin", let name?):
                if reader.acceptsPlugin(name, of: section) {
                    reader.read(section, Schema.plugin, into: &pluginOverrides[name, default: PluginOverride()])
                }
            case ("region", nil), ("plugin", nil): reader.reportMissingName(of: section)
            default: reader.reportUnknown(section)
            }
        }
        if !regions.isEmpty { self.regions = regions }
    }
}
