// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Syscalls

/// What this host is, as far as the kernel and the release file tell at once.
public struct HostFacts: Sendable, Equatable {
    /// `uname -r`.
    public var kernelVersion: String
    /// `uname -m`.
    public var architecture: String
    public var hostname: String
    /// ID and VERSION_ID of os-release(5).
    public var platform: String
    public var platformVersion: String
    /// "debian", "rhel" or the platform itself: what components are bound to.
    public var platformFamily: String

    public static func current(releaseFile: String = "/etc/os-release") -> HostFacts {
        var names = utsname()
        let known = unsafe uname(&names) == 0
        func text<T>(_ field: T) -> String {
            guard known else { return "" }
            return unsafe withUnsafeBytes(of: field) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
        }
        let release = osRelease((try? FileDescriptor.readFile(releaseFile)) ?? [])
        let platform = release["ID"] ?? ""
        return HostFacts(
            kernelVersion: text(names.release),
            architecture: text(names.machine),
            hostname: text(names.nodename),
            platform: platform,
            platformVersion: release["VERSION_ID"] ?? "",
            platformFamily: family(of: platform, like: release["ID_LIKE"] ?? "")
        )
    }

    /// Assignments of os-release(5), quotes removed.
    static func osRelease(_ bytes: [UInt8]) -> [String: String] {
        var result: [String: String] = [:]
        for line in bytes.split(separator: 0x0a) {
            guard let equals = line.firstIndex(of: 0x3d) else { continue }
            var value = line[(equals + 1)...]
            if let quote = value.first, quote == 0x22 || quote == 0x27, value.last == quote, value.count >= 2 {
                value = value.dropFirst().dropLast()
            }
            result[String(decoding: line[..<equals], as: UTF8.self)] = String(decoding: value, as: UTF8.self)
        }
        return result
    }

    static func family(of platform: String, like: String) -> String {
        let names = [platform] + like.split(separator: " ").map(String.init)
        if names.contains(where: { ["debian", "ubuntu"].contains($0) }) { return "debian" }
        if names.contains(where: { ["rhel", "centos", "fedora"].contains($0) }) { return "rhel" }
        return platform
    }
}

/// The agent's identity: the name under which the server knows this host.
public enum AgentIdentity {
    /// The id given by configuration or environment, else the one kept in `path`, else a new random one, which is
    /// kept there (0600) for the next start.
    public static func load(configured: String?, path: String) throws(Errno) -> String {
        if let configured, !configured.isEmpty { return configured }
        if let kept = try? FileDescriptor.readFile(path, limit: 4096) {
            let text = String(decoding: kept, as: UTF8.self).filter { !$0.isWhitespace }
            if isUUID(text) { return text }
        }
        var random = SystemRandomNumberGenerator()
        let id = randomUUID(using: &random)
        let file = try FileDescriptor.open(path, .truncate)
        unsafe try file.writeAll(Array("\(id)\n".utf8).span.bytes)
        try file.close()
        return id
    }

    /// Version 4 of RFC 9562.
    static func randomUUID(using random: inout some RandomNumberGenerator) -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append(0x2d) }
            text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func isUUID(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 36 else { return false }
        return bytes.enumerated().allSatisfy { index, byte in
            [8, 13, 18, 23].contains(index)
                ? byte == 0x2d
                : (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) || (0x41...0x46).contains(byte)
        }
    }
}
