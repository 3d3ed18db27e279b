// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import HTTP2

/// How a call ended (gRPC "Status codes and their use").
public struct GRPCStatus: Error, Equatable, Sendable, CustomStringConvertible {
    public struct Code: RawRepresentable, Equatable, Hashable, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }

        public static let ok = Code(rawValue: 0)
        public static let cancelled = Code(rawValue: 1)
        public static let unknown = Code(rawValue: 2)
        public static let permissionDenied = Code(rawValue: 7)
        public static let resourceExhausted = Code(rawValue: 8)
        public static let unimplemented = Code(rawValue: 12)
        public static let internalError = Code(rawValue: 13)
        public static let unavailable = Code(rawValue: 14)
        public static let unauthenticated = Code(rawValue: 16)

        private static let names = [
            "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
            "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
            "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
        ]
        public var name: String { Code.names.indices.contains(rawValue) ? Code.names[rawValue] : "CODE_\(rawValue)" }
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String = "") {
        self.code = code
        self.message = message
    }

    public var description: String { message.isEmpty ? code.name : "\(code.name): \(message)" }

    /// The status in trailers, or nil when they have none. `grpc-message` is percent-encoded UTF-8.
    init?(trailers: [HTTP2Header]) {
        guard let text = trailers.last(where: { $0.name == "grpc-status" })?.value else { return nil }
        let message = trailers.last { $0.name == "grpc-message" }.map { percentDecoded($0.value) } ?? ""
        guard let number = Int(text), number >= 0 else {
            self.init(.unknown, "the server sent grpc-status \"\(text)\"")
            return
        }
        self.init(Code(rawValue: number), message)
    }

    /// What a reset of the stream means ("gRPC over HTTP2", Errors).
    init(reset code: HTTP2ErrorCode) {
        let status: Code =
            switch code {
            case .refusedStream: .unavailable
            case .cancel: .cancelled
            case .enhanceYourCalm: .resourceExhausted
            default: .internalError
            }
        self.init(status, "the server reset the stream: \(code)")
    }

    /// What an HTTP status without a gRPC one means ("HTTP to gRPC Status Code Mapping").
    init(http status: String, contentType: String?) {
        let code: Code =
            switch status {
            case "400": .internalError
            case "401": .unauthenticated
            case "403": .permissionDenied
            case "404": .unimplemented
            case "429", "502", "503", "504": .unavailable
            default: .unknown
            }
        self.init(
            code,
            "the peer is not a gRPC server: HTTP status \(status), content-type \(contentType ?? "missing")"
        )
    }
}

/// %XX to bytes; what is not well-formed stays as it is, as the gRPC protocol asks.
func percentDecoded(_ text: String) -> String {
    let input = Array(text.utf8)
    var output: [UInt8] = []
    var index = 0
    while index < input.count {
        if input[index] == 0x25, index + 2 < input.count, let high = hexDigit(input[index + 1]),
            let low = hexDigit(input[index + 2])
        {
            output.append(high << 4 | low)
            index += 3
        } else {
            output.append(input[index])
            index += 1
        }
    }
    return String(decoding: output, as: UTF8.self)
}

/// The text of `grpc-message`: everything but printable ASCII, and the percent sign, as %XX.
public func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var output: [UInt8] = []
    for byte in text.utf8 {
        if byte >= 0x20 && byte < 0x7f && byte != 0x25 {
            output.append(byte)
        } else {
            output += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: output, as: UTF8.self)
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
}
