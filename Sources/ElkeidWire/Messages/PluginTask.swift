// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What a server asks of a plugin, or of the agent itself (`objectName` "elkeid-agent"). Sent to a plugin as a frame on
/// its descriptor 3. Being Swift strings, the fields are valid UTF-8, which Rust plugins insist on.
public struct PluginTask: WireMessage, Equatable, Sendable {
    public var dataType: Int32 = 0
    /// The plugin's name.
    public var objectName = ""
    public var data = ""
    /// Returned in the record that reports the result.
    public var token = ""

    public init() {}

    public init(dataType: Int32, objectName: String, data: String, token: String) {
        self.dataType = dataType
        self.objectName = objectName
        self.data = data
        self.token = token
    }

    public mutating func merge(_ reader: WireReader) throws(WireError) {
        var reader = reader
        while let field = try reader.nextField() {
            switch field.number {
            case 1: dataType = try reader.int32(field)
            case 2: objectName = try reader.string(field)
            case 3: data = try reader.string(field)
            case 4: token = try reader.string(field)
            default: try reader.skip(field)
            }
        }
    }

    public var encodedSize: Int {
        WireWriter.int64Size(1, Int64(dataType)) + WireWriter.stringSize(2, objectName)
            + WireWriter.stringSize(3, data) + WireWriter.stringSize(4, token)
    }

    public func encode(into writer: inout WireWriter) {
        writer.int32(1, dataType)
        writer.string(2, objectName)
        writer.string(3, data)
        writer.string(4, token)
    }
}
