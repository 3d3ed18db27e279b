// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A JSON value, to be asked for what is expected in it.
struct JSON {
    private let value: Any?

    init(_ value: Any?) { self.value = value }

    init?(line: Data) {
        guard let value = try? JSONSerialization.jsonObject(with: line) else { return nil }
        self.value = value
    }

    subscript(key: String) -> JSON { JSON((value as? [String: Any])?[key]) }
    var object: [String: Any] { value as? [String: Any] ?? [:] }
    var string: String? { value as? String }
    var array: [JSON]? { (value as? [Any])?.map { JSON($0) } }
    var strings: [String]? { value as? [String] }
    var bool: Bool? { value as? Bool }
    var int: Int? { (value as? NSNumber)?.intValue }

    /// Of an interop program's event, in microseconds.
    var time: Int { self["at"].int ?? 0 }

    /// One line.
    static func line(_ object: [String: Any]) throws -> String {
        String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
    }
}
