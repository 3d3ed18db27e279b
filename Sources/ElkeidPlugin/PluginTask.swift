// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A command from the server for this plugin.
public struct PluginTask: Sendable, Equatable {
    /// What to do; which numbers a plugin answers to is its own matter.
    public var dataType: Int32
    /// The name of the plugin that is meant.
    public var objectName: String
    /// The parameters, usually JSON.
    public var data: String
    /// Identifies the task; a result record must repeat it in its field `token`.
    public var token: String

    public init(dataType: Int32, objectName: String = "", data: String = "", token: String = "") {
        self.dataType = dataType
        self.objectName = objectName
        self.data = data
        self.token = token
    }
}

extension PluginTask {
    /// Decodes `Task{1: int32 data_type, 2: string object_name, 3: string data, 4: string token}`.
    /// Fields may come in any order; the last of a repeated one counts; unknown ones are ignored.
    init(decoding bytes: Span<UInt8>) throws(PluginError.MalformedTask) {
        self.init(dataType: 0)
        var reader = ProtobufReader(bytes)
        while !reader.isAtEnd {
            let (field, wireType) = try reader.readTag()
            switch field {
            case 1:
                guard wireType == 0 else { throw .wrongWireType(field: field) }
                dataType = Int32(truncatingIfNeeded: try reader.readVarint())
            case 2, 3, 4:
                guard wireType == 2 else { throw .wrongWireType(field: field) }
                let text = try reader.readString(field: field)
                switch field {
                case 2: objectName = text
                case 3: data = text
                default: token = text
                }
            default:
                try reader.skip(wireType: wireType)
            }
        }
    }
}
