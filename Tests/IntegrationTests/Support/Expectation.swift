// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What a field must be, as Tests/Interop/facts/expect.py says it.
struct Expectation: Decodable, Sendable, CustomStringConvertible {
    var text: String?
    var texts: [String]?
    var least: Double?
    var greatest: Double?
    var isIntegral: Bool?
    var isAnyText: Bool?
    var list: [String]?
    var enough: Int?

    enum CodingKeys: String, CodingKey {
        case text = "is"
        case texts = "one_of"
        case least = "min"
        case greatest = "max"
        case isIntegral = "integral"
        case isAnyText = "text"
        case list = "first_of"
        case enough = "limit"
    }

    /// A number, which must be written as an integer or may have decimals.
    init(_ range: ClosedRange<Double>, isIntegral: Bool = false) {
        (least, greatest, self.isIntegral) = (range.lowerBound, range.upperBound, isIntegral)
    }

    var description: String {
        if let text { return "\"\(text)\"" }
        if let texts { return "one of \(texts)" }
        if let list { return "the first of \(list)" }
        if let least, let greatest { return "\(least) to \(greatest)" }
        return "any text"
    }

    func isMet(by value: String) -> Bool {
        if let text { return value == text }
        if let texts { return texts.contains(value) }
        guard let least, let greatest, let isIntegral else { return isAnyText == true }
        let form = isIntegral ? /[0-9]+/ : /[0-9]+(?:\.[0-9]+)?/
        guard value.wholeMatch(of: form) != nil, let number = Double(value) else { return false }
        return (least...greatest).contains(number)
    }

    func isMet(by values: [String]) -> Bool {
        guard let list, let enough else { return false }
        return list.count <= enough
            ? Set(values) == Set(list) : values.count == enough && Set(values).isSubset(of: list)
    }
}

/// What is wrong with `fields`: each that differs, that is missing, and that nobody expects.
func mismatches(_ fields: [String: String], _ expected: [String: Expectation]) -> [String] {
    var found: [String] = []
    for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
        guard let wanted = expected[name] else {
            found.append("\(name) = \"\(value)\" is not known")
            continue
        }
        if !wanted.isMet(by: value) { found.append("\(name) = \"\(value)\", not \(wanted)") }
    }
    return found + expected.keys.filter { fields[$0] == nil }.sorted().map { "\($0) is missing" }
}
