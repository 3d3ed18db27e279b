// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The fields of `PackagedData` other than its records (2 … 9). They are encoded once, and the bytes reused for every
/// message until they change: protobuf lets them stand before or after the records.
public struct PackagedDataHeader: WireMessage, Equatable, Sendable {
    public var agentID = ""
    public var intranetIPv4: [String] = []
    public var extranetIPv4: [String] = []
    public var intranetIPv6: [String] = []
    public var extranetIPv6: [String] = []
    public var hostname = ""
    /// The agent's version.
    public var version = ""
    /// The agent's name.
    public var product = ""

    public init() {}

    public init(
        agentID: String,
        intranetIPv4: [String] = [],
        extranetIPv4: [String] = [],
        intranetIPv6: [String] = [],
        extranetIPv6: [String] = [],
        hostname: String = "",
        version: String = "",
        product: String = ""
    ) {
        self.agentID = agentID
        self.intranetIPv4 = intranetIPv4
        self.extranetIPv4 = extranetIPv4
        self.intranetIPv6 = intranetIPv6
        self.extranetIPv6 = extranetIPv6
        self.hostname = hostname
        self.version = version
        self.product = product
    }

    /// Reads the header of a `PackagedData`; its records are passed over unread, as unknown fields are.
    public mutating func merge(_ reader: WireReader) throws(WireError) {
        var reader = reader
        while let field = try reader.nextField() {
            try merge(field, &reader)
        }
    }

    mutating func merge(_ field: WireField, _ reader: inout WireReader) throws(WireError) {
        switch field.number {
        case 2: agentID = try reader.string(field)
        case 3: intranetIPv4.append(try reader.string(field))
        case 4: extranetIPv4.append(try reader.string(field))
        case 5: intranetIPv6.append(try reader.string(field))
        case 6: extranetIPv6.append(try reader.string(field))
        case 7: hostname = try reader.string(field)
        case 8: version = try reader.string(field)
        case 9: product = try reader.string(field)
        default: try reader.skip(field)
        }
    }

    public var encodedSize: Int {
        var size = WireWriter.stringSize(2, agentID)
        for (number, list) in addressLists {
            for address in list { size += WireWriter.elementSize(number, length: address.utf8.count) }
        }
        size += WireWriter.stringSize(7, hostname) + WireWriter.stringSize(8, version)
        return size + WireWriter.stringSize(9, product)
    }

    public func encode(into writer: inout WireWriter) {
        writer.string(2, agentID)
        for (number, list) in addressLists {
            for address in list { writer.element(number, address) }
        }
        writer.string(7, hostname)
        writer.string(8, version)
        writer.string(9, product)
    }

    private var addressLists: [(number: Int, list: [String])] {
        [(3, intranetIPv4), (4, extranetIPv4), (5, intranetIPv6), (6, extranetIPv6)]
    }
}
