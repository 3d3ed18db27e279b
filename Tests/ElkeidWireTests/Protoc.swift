// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Foundation

/// Runs `protoc` on Tests/ElkeidWireTests/grpc.proto: the reference that our codec is compared with.
enum Protoc {
    struct Unusable: Error, CustomStringConvertible {
        let description: String
    }

    /// The message that protoc encodes from its text format, map entries sorted by key.
    static func encode(_ type: String, _ text: String) throws -> [UInt8] {
        let result = try run(["--encode=grpc.\(type)", "--deterministic_output"], [UInt8](text.utf8))
        guard result.status == 0 else { throw Unusable(description: "protoc refused this text of \(type):\n\(text)") }
        return result.output
    }

    /// The text format of a message, or nil when protoc refuses its bytes.
    static func decode(_ type: String, _ bytes: [UInt8]) throws -> String? {
        let result = try run(["--decode=grpc.\(type)"], bytes)
        return result.status == 0 ? String(decoding: result.output, as: UTF8.self) : nil
    }

    private static func run(_ arguments: [String], _ input: [UInt8]) throws -> (status: Int32, output: [UInt8]) {
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let candidates = path.map { "\($0)/protoc" }
        guard let protoc = candidates.first(where: FileManager.default.isExecutableFile(atPath:)) else {
            throw Unusable(description: "protoc is not in PATH: install the package protobuf-compiler")
        }
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("protoc-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        let inputFile = folder.appendingPathComponent("input")
        let outputFile = folder.appendingPathComponent("output")
        try Data(input).write(to: inputFile)
        try Data().write(to: outputFile)

        let process = Process()
        process.executableURL = URL(fileURLWithPath: protoc)
        process.arguments = arguments + ["--proto_path=\(here.path)", "grpc.proto"]
        process.standardInput = try FileHandle(forReadingFrom: inputFile)
        process.standardOutput = try FileHandle(forWritingTo: outputFile)
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus <= 1 else {
            throw Unusable(description: "protoc ended with \(process.terminationReason) \(process.terminationStatus)")
        }
        let output = try FileHandle(forReadingFrom: outputFile).readToEnd()
        return (process.terminationStatus, [UInt8](output ?? Data()))
    }
}

/// Builds protobuf's text format as protoc prints it.
struct TextFormat {
    private(set) var text = ""
    private var indent = ""

    mutating func number(_ name: String, _ value: some BinaryInteger) {
        if value != 0 { line("\(name): \(value)") }
    }

    mutating func string(_ name: String, _ value: some Sequence<UInt8>, always: Bool = false) {
        let escaped = Self.escaped(value)
        if always || !escaped.isEmpty { line("\(name): \"\(escaped)\"") }
    }

    mutating func message(_ name: String, _ body: (inout TextFormat) -> Void) {
        line("\(name) {")
        indent += "  "
        body(&self)
        indent.removeLast(2)
        line("}")
    }

    mutating func line(_ line: String) {
        text += "\(indent)\(line)\n"
    }

    private static func escaped(_ value: some Sequence<UInt8>) -> String {
        value.map { byte in
            switch byte {
            case 0x0a: "\\n"
            case 0x0d: "\\r"
            case 0x09: "\\t"
            case 0x22, 0x27, 0x5c: "\\" + String(UnicodeScalar(byte))
            case 0x20..<0x7f: String(UnicodeScalar(byte))
            default: "\\" + String(repeating: "0", count: byte < 8 ? 2 : byte < 64 ? 1 : 0) + String(byte, radix: 8)
            }
        }.joined()
    }
}

/// A message that the tests can print in protobuf's text format.
protocol TextMessage: WireMessage, Equatable, Sendable {
    static var protoName: String { get }
    func write(_ text: inout TextFormat)
}

extension TextMessage {
    var text: String {
        var text = TextFormat()
        write(&text)
        return text.text
    }
}

extension PluginTask: TextMessage {
    static var protoName: String { "PluginTask" }

    func write(_ text: inout TextFormat) {
        text.number("data_type", dataType)
        text.string("object_name", objectName.utf8)
        text.string("data", data.utf8)
        text.string("token", token.utf8)
    }
}

extension PluginConfig: TextMessage {
    static var protoName: String { "PluginConfig" }

    func write(_ text: inout TextFormat) {
        text.string("name", name.utf8)
        text.string("type", type.utf8)
        text.string("version", version.utf8)
        text.string("sha256", sha256.utf8)
        text.string("signature", signature.utf8)
        for url in downloadURLs { text.string("download_urls", url.utf8, always: true) }
        text.string("detail", detail.utf8)
    }
}

extension Command: TextMessage {
    static var protoName: String { "Command" }

    func write(_ text: inout TextFormat) {
        text.number("agent_ctrl", agentControl)
        if let task { text.message("task", task.write) }
        for config in configs { text.message("configs", config.write) }
    }
}

extension FileUploadRequest: TextMessage {
    static var protoName: String { "FileUploadRequest" }

    func write(_ text: inout TextFormat) {
        text.string("token", token.utf8)
        text.string("data", data)
    }
}

extension FileUploadResponse: TextMessage {
    static var protoName: String { "FileUploadResponse" }

    func write(_ text: inout TextFormat) {
        switch status {
        case .success: break
        case .failed: text.line("status: FAILED")
        default: text.number("status", status.rawValue)
        }
    }
}

extension PackagedDataHeader: TextMessage {
    static var protoName: String { "PackagedData" }

    func write(_ text: inout TextFormat) {
        text.string("agent_id", agentID.utf8)
        for address in intranetIPv4 { text.string("intranet_ipv4", address.utf8, always: true) }
        for address in extranetIPv4 { text.string("extranet_ipv4", address.utf8, always: true) }
        for address in intranetIPv6 { text.string("intranet_ipv6", address.utf8, always: true) }
        for address in extranetIPv6 { text.string("extranet_ipv6", address.utf8, always: true) }
        text.string("hostname", hostname.utf8)
        text.string("version", version.utf8)
        text.string("product", product.utf8)
    }
}

/// Prints the entries in the order given: sort them by name to compare with protoc's map.
extension Record: TextMessage {
    static var protoName: String { "Record" }

    func write(_ text: inout TextFormat) {
        text.number("data_type", dataType)
        text.number("timestamp", timestamp)
        guard let payload else { return }
        text.message("data") { text in
            for entry in payload.entries {
                text.message("fields") { text in
                    text.string("key", entry.name, always: true)
                    text.string("value", entry.value, always: true)
                }
            }
        }
    }
}
