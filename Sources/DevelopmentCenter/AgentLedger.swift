// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What an agent says of its records as the last thing before it exits: a JSON object of numbers.
public struct AgentLedger: Equatable, Sendable {
    public var received: Int64 = 0
    public var malformed: Int64 = 0
    public var queued: Int64 = 0
    public var inFlight: Int64 = 0
    public var confirmed: Int64 = 0
    public var resent: Int64 = 0
    /// By reason.
    public var dropped: [String: Int64] = [:]

    public init() {}

    /// - Throws: `CenterError` when it is no such object.
    public init(json: [UInt8]) throws(CenterError) {
        var reader = NumbersReader(json)
        let (numbers, nested) = try reader.object(depth: 0)
        guard let received = numbers["received"] else { throw CenterError("the agent's ledger has no \"received\"") }
        self.received = received
        malformed = numbers["malformed"] ?? 0
        queued = numbers["queued"] ?? 0
        inFlight = numbers["in_flight"] ?? 0
        confirmed = numbers["confirmed"] ?? 0
        resent = numbers["resent"] ?? 0
        dropped = nested["dropped"] ?? [:]
    }
}

/// Reads a JSON object whose values are integers, or one level of such objects.
private struct NumbersReader {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    private mutating func skipSpace() { bytes = bytes.drop { [0x20, 0x09, 0x0a, 0x0d].contains($0) } }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard bytes.first == UInt8(ascii: character) else { return false }
        bytes.removeFirst()
        return true
    }

    private mutating func need(_ character: Unicode.Scalar) throws(CenterError) {
        guard take(character) else { throw CenterError("the agent's ledger is not JSON: \(character) is missing") }
    }

    private mutating func name() throws(CenterError) -> String {
        try need("\"")
        let text = bytes.prefix { $0 != 0x22 && $0 != 0x5c }
        bytes = bytes[text.endIndex...]
        try need("\"")
        return String(decoding: text, as: UTF8.self)
    }

    private mutating func number() throws(CenterError) -> Int64 {
        skipSpace()
        let digits = bytes.prefix { (0x30...0x39).contains($0) || $0 == 0x2d }
        bytes = bytes[digits.endIndex...]
        guard let value = Int64(String(decoding: digits, as: UTF8.self)) else {
            throw CenterError("the agent's ledger holds something that is no whole number")
        }
        return value
    }

    mutating func object(
        depth: Int
    ) throws(CenterError) -> (numbers: [String: Int64], nested: [String: [String: Int64]]) {
        var numbers: [String: Int64] = [:]
        var nested: [String: [String: Int64]] = [:]
        try need("{")
        if take("}") { return (numbers, nested) }
        repeat {
            let key = try name()
            try need(":")
            skipSpace()
            if depth == 0 && bytes.first == 0x7b {
                nested[key] = try object(depth: 1).numbers
            } else {
                numbers[key] = try number()
            }
        } while take(",")
        try need("}")
        return (numbers, nested)
    }
}
