// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Text of any bytes, for a terminal: no controls, no invisible formatting, at most `limit` characters.
public func visible(_ bytes: some Collection<UInt8>, limit: Int) -> String {
    // A character is four bytes at most in what people write; the rest is cut before it costs anything.
    let cut = bytes.count > limit * 4
    var text = ""
    for scalar in String(decoding: bytes.prefix(limit * 4), as: UTF8.self).unicodeScalars {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate:
            text += scalar == "\n" ? "\\n" : scalar == "\t" ? "\\t" : "\\u{\(String(scalar.value, radix: 16))}"
        default: text.unicodeScalars.append(scalar)
        }
    }
    return cut || text.count > limit ? text.prefix(max(0, limit - 1)) + "…" : text
}

/// The same of a text.
public func visible(_ text: String, limit: Int = 1000) -> String { visible(text.utf8, limit: limit) }
