// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Prometheus' text format, version 0.0.4, read as strictly as its description allows.
struct PrometheusText {
    struct Sample {
        var metric: String
        var labels: [String: String]
        var value: Double
    }

    struct Invalid: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var samples: [Sample] = []
    private(set) var types: [String: String] = [:]
    private var helped = Set<String>()
    private var seen = Set<String>()
    /// The one whose samples may come now.
    private var current = ""

    init(_ text: String) throws {
        guard text.hasSuffix("\n") else { throw Invalid(description: "the last line has no line feed") }
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            do {
                try read(String(line))
            } catch let error as Invalid {
                throw Invalid(description: "\(error) in: \(line)")
            }
        }
    }

    /// The value of the only sample with these labels among others.
    func value(_ metric: String, _ labels: [String: String] = [:]) -> Double? {
        let found = samples.filter { sample in
            sample.metric == metric && labels.allSatisfy { sample.labels[$0.key] == $0.value }
        }
        return found.count == 1 ? found[0].value : nil
    }

    private mutating func read(_ line: String) throws {
        if let match = line.wholeMatch(of: /# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)/) {
            let name = String(match.1)
            guard helped.insert(name).inserted, types[name] == nil else { throw Invalid(description: "HELP again") }
            guard !match.2.replacing("\\\\", with: "").replacing("\\n", with: "").contains("\\") else {
                throw Invalid(description: "an escape that does not exist")
            }
            current = name
        } else if let match = line.wholeMatch(of: /# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)/) {
            let name = String(match.1)
            guard name == current, types[name] == nil else { throw Invalid(description: "TYPE in the wrong place") }
            types[name] = String(match.2)
        } else {
            try readSample(line)
        }
    }

    private mutating func readSample(_ line: String) throws {
        let form = /([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)/
        guard let match = line.wholeMatch(of: form), let value = Double(String(match.3)) else {
            throw Invalid(description: "no sample")
        }
        let name = String(match.1)
        guard name == current, let type = types[name] else {
            throw Invalid(description: "a sample that does not stand with its metric")
        }
        guard type != "counter" || (name.hasSuffix("_total") && value >= 0) else {
            throw Invalid(description: "no counter")
        }
        let labels = try match.2.map { try Self.labels($0) } ?? [:]
        let identity = name + labels.sorted { $0.key < $1.key }.map { "\u{0}\($0.key)\u{0}\($0.value)" }.joined()
        guard seen.insert(identity).inserted else { throw Invalid(description: "the same sample again") }
        samples.append(Sample(metric: name, labels: labels, value: value))
    }

    private static func labels(_ text: Substring) throws -> [String: String] {
        var labels: [String: String] = [:]
        var rest = text
        while !rest.isEmpty {
            guard let match = rest.prefixMatch(of: /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"(?:,|$)/) else {
                throw Invalid(description: "no label")
            }
            let value = match.2.replacing("\\n", with: "\n").replacing("\\\"", with: "\"").replacing("\\\\", with: "\\")
            guard labels.updateValue(String(value), forKey: String(match.1)) == nil else {
                throw Invalid(description: "the same label again")
            }
            rest = rest[match.range.upperBound...]
        }
        return labels
    }
}
