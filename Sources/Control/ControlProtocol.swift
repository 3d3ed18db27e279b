// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import JSON

/// The protocol of the control socket: one JSON object a line, in both directions (docs/control.md).
public enum ControlProtocol {
    /// Counts up when something that was there changes its meaning or goes; what is added needs no new version.
    public static let version: Int64 = 1
    /// Bytes of a request's line: no request needs a tenth of it.
    public static let requestLimit = 4096
    /// Bytes of an answer's line: the state of an agent with hundreds of plugins.
    public static let answerLimit = 4 << 20
}

/// What a client asks for.
public struct ControlRequest: Equatable, Sendable {
    /// "status", "tail", …
    public var name: String
    /// All members of the object.
    public var arguments: [String: JSONValue]

    public init(_ name: String, _ arguments: [String: JSONValue] = [:]) {
        self.name = name
        self.arguments = arguments
    }

    /// Why a line is no request.
    public struct Problem: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
        public init(_ description: String) { self.description = description }
    }

    /// - Parameter line: without the line feed.
    public init(parsing line: [UInt8]) throws(Problem) {
        let value: JSONValue
        do throws(JSONValue.ParseError) {
            value = try JSONValue(parsing: line, maximumSize: ControlProtocol.requestLimit)
        } catch {
            throw Problem("a request is one JSON object in a line: \(error)")
        }
        guard case .object(let members) = value else { throw Problem("a request is a JSON object") }
        if let version = members["v"], version != .integer(ControlProtocol.version) {
            throw Problem(
                "this agent speaks version \(ControlProtocol.version) of the protocol, and no other; ask with \"v\":1"
            )
        }
        guard let name = members["request"]?.string else {
            throw Problem("a request has a name: {\"v\":1,\"request\":\"status\"}")
        }
        self.init(name, members)
    }

    /// With the line feed.
    public var line: [UInt8] {
        var members = arguments
        members["v"] = .integer(ControlProtocol.version)
        members["request"] = .string(name)
        return JSONValue.object(members).encoded + [UInt8(ascii: "\n")]
    }
}

/// What the agent says to a request.
public enum ControlAnswer: Equatable, Sendable {
    case result(JSONValue)
    case refusal(String)

    /// With the line feed.
    public var line: [UInt8] {
        var members: [String: JSONValue] = ["v": .integer(ControlProtocol.version)]
        switch self {
        case .result(let value):
            members["ok"] = .bool(true)
            members["result"] = value
        case .refusal(let reason):
            members["ok"] = .bool(false)
            members["error"] = .string(reason)
        }
        return JSONValue.object(members).encoded + [UInt8(ascii: "\n")]
    }

    /// - Parameter value: a line's.
    public init?(_ value: JSONValue) {
        switch value["ok"]?.bool {
        case true?: self = .result(value["result"] ?? .null)
        case false?: self = .refusal(value["error"]?.string ?? "refused without a reason")
        case nil: return nil
        }
    }
}
