// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What a server asks of a plugin, or of the agent itself (`objectName` "elkeid-agent"). Sent to a plugin as a frame on
/// its descriptor 3. Being Swift strings, the fields are valid UTF-8, which Rust plugins insist on; what a server has sent
/// otherwise is told by `hasInvalidText`.
public struct PluginTask: WireMessage, Equatable, Sendable {
    public var dataType: Int32 = 0
    /// The plugin's name.
    public var objectName = ""
    public var data = ""
    /// Returned in the record that reports the result.
    public var token = ""
    /// A text was not UTF-8 when it was decoded. It has U+FFFD in the place of what was wrong, and is not what was meant.
    public private(set) var hasInvalidText = false

    /// How it was read is not part of it.
    public static func == (left: PluginTask, right: PluginTask) -> Bool {
        left.dataType == right.dataType && left.objectName == right.objectName && left.data == right.data
            && left.token == right.token
    }

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
            case 2: objectName = try text(field, &reader)
            case 3: data = try text(field, &reader)
            case 4: token = try text(field, &reader)
            default: try reader.skip(field)
            }
        }
    }

    /// A task that cannot be carried out has to be answered all the same, so the rest of it must be readable.
    private mutating func text(_ field: WireField, _ reader: inout WireReader) throws(WireError) -> String {
        let bytes = try reader.bytes(field)
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        hasInvalidText = true
        return String(decoding: bytes, as: UTF8.self)
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
