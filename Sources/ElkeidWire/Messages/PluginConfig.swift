// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// One component that the server wants on this host: a plugin, or the agent itself (`name` "elkeid-agent").
/// Nothing in it has been checked but its encoding: servers pass on empty lists, odd versions and any name.
public struct PluginConfig: WireMessage, Equatable, Sendable {
    public var name = ""
    /// "tar.gz", "exec" or "agent"; old servers may leave it out.
    public var type = ""
    public var version = ""
    /// Of the downloaded file, lower-case hexadecimal.
    public var sha256 = ""
    /// SHA-256 of the executable inside an archive; not a cryptographic signature.
    public var signature = ""
    /// To be tried in this order.
    public var downloadURLs: [String] = []
    /// The plugin's environment variable DETAIL.
    public var detail = ""

    public init() {}

    public init(
        name: String,
        type: String = "",
        version: String = "",
        sha256: String = "",
        signature: String = "",
        downloadURLs: [String] = [],
        detail: String = ""
    ) {
        self.name = name
        self.type = type
        self.version = version
        self.sha256 = sha256
        self.signature = signature
        self.downloadURLs = downloadURLs
        self.detail = detail
    }

    public mutating func merge(_ reader: WireReader) throws(WireError) {
        var reader = reader
        while let field = try reader.nextField() {
            switch field.number {
            case 1: name = try reader.string(field)
            case 2: type = try reader.string(field)
            case 3: version = try reader.string(field)
            case 4: sha256 = try reader.string(field)
            case 5: signature = try reader.string(field)
            case 6: downloadURLs.append(try reader.string(field))
            case 7: detail = try reader.string(field)
            default: try reader.skip(field)
            }
        }
    }

    public var encodedSize: Int {
        var size = WireWriter.stringSize(1, name) + WireWriter.stringSize(2, type) + WireWriter.stringSize(3, version)
        size += WireWriter.stringSize(4, sha256) + WireWriter.stringSize(5, signature)
        for url in downloadURLs { size += WireWriter.elementSize(6, length: url.utf8.count) }
        return size + WireWriter.stringSize(7, detail)
    }

    public func encode(into writer: inout WireWriter) {
        writer.string(1, name)
        writer.string(2, type)
        writer.string(3, version)
        writer.string(4, sha256)
        writer.string(5, signature)
        for url in downloadURLs { writer.element(6, url) }
        writer.string(7, detail)
    }
}
