// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Credentials for a proxy (RFC 7617: base64 of "user:password").
public enum BasicAuthentication {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// The value of Authorization or Proxy-Authorization.
    public static func value(_ credentials: String) -> String { "Basic " + base64(Array(credentials.utf8)) }

    private static func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var value: UInt32 = 0
            for index in 0..<3 { value = value << 8 | UInt32(group.count > index ? group[start + index] : 0) }
            for index in 0...3 {
                let digit = alphabet[Int(value >> (18 - 6 * UInt32(index)) & 63)]
                text.append(index <= group.count ? digit : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
