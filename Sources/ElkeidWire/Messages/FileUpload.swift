// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// One piece of a file sent with FileExt.Upload. The server takes the file's name from the first piece's token.
public struct FileUploadRequest: WireMessage, Equatable, Sendable {
    public var token = ""
    public var data: [UInt8] = []

    public init() {}

    public init(token: String, data: [UInt8]) {
        self.token = token
        self.data = data
    }

    public mutating func merge(_ reader: WireReader) throws(WireError) {
        var reader = reader
        while let field = try reader.nextField() {
            switch field.number {
            case 1: token = try reader.string(field)
            case 2: data = try reader.bytes(field)
            default: try reader.skip(field)
            }
        }
    }

    public var encodedSize: Int {
        WireWriter.stringSize(1, token) + (data.isEmpty ? 0 : WireWriter.elementSize(2, length: data.count))
    }

    public func encode(into writer: inout WireWriter) {
        writer.string(1, token)
        writer.bytes(2, data)
    }
}

/// The server's reply once all pieces have arrived.
public struct FileUploadResponse: WireMessage, Equatable, Sendable {
    /// An open enumeration, as in proto3: values without a name are kept.
    public struct Status: RawRepresentable, Equatable, Sendable {
        public var rawValue: Int32

        public init(rawValue: Int32) {
            self.rawValue = rawValue
        }

        public static let success = Status(rawValue: 0)
        public static let failed = Status(rawValue: 1)
    }

    public var status = Status.success

    public init() {}

    public init(status: Status) {
        self.status = status
    }

    public mutating func merge(_ reader: WireReader) throws(WireError) {
        var reader = reader
        while let field = try reader.nextField() {
            switch field.number {
            case 1: status = Status(rawValue: try reader.int32(field))
            default: try reader.skip(field)
            }
        }
    }

    public var encodedSize: Int {
        WireWriter.int64Size(1, Int64(status.rawValue))
    }

    public func encode(into writer: inout WireWriter) {
        writer.int32(1, status.rawValue)
    }
}
