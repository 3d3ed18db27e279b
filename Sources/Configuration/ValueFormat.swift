// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// How the values of one kind are written in the file.
struct ValueFormat<Value>: Sendable {
    /// - Parameter folder: What relative paths are relative to.
    let parse: @Sendable (_ text: String, _ folder: String) throws(Problem) -> Value
    let render: @Sendable (Value) -> String
}

extension ValueFormat where Value == String {
    /// A short word for people and servers: an id, a region.
    static let name = ValueFormat(
        parse: { (text, _) throws(Problem) in try plainText(text, limit: AgentConfiguration.Bounds.name) },
        render: { $0 }
    )

    /// A path, absolute or relative to the file.
    static let path = pathFormat(limit: AgentConfiguration.Bounds.path)

    /// The path of a Unix domain socket.
    static let socketPath = pathFormat(limit: AgentConfiguration.Bounds.socketPath)

    private static func pathFormat(limit: Int) -> ValueFormat {
        ValueFormat(
            parse: { (text, folder) throws(Problem) in
                let result = Configuration.path(try plainText(text, limit: limit), in: folder)
                guard result.utf8.count <= limit else {
                    throw Problem(
                        "the path \(quoted(result)) is longer than \(limit) bytes",
                        remedy: "write a shorter path"
                    )
                }
                return result
            },
            render: { $0 }
        )
    }
}

/// Text that means itself: not empty, on one line, not quoted.
func plainText(_ text: String, limit: Int) throws(Problem) -> String {
    guard !text.isEmpty else {
        throw Problem("there is no value", remedy: "write one, or remove the line")
    }
    guard !text.unicodeScalars.contains(where: isControl) else {
        throw Problem("\(quoted(text)) contains control characters", remedy: "remove them")
    }
    guard text.utf8.first != UInt8(ascii: "\""), text.utf8.last != UInt8(ascii: "\"") else {
        throw Problem("\(quoted(text)) has quotes around it, which would be part of the value", remedy: "remove them")
    }
    guard text.utf8.count <= limit else {
        throw Problem("\(quoted(text)) is longer than \(limit) bytes", remedy: "write a shorter one")
    }
    return text
}

extension ValueFormat where Value == Int {
    static func byteCount(in bounds: ClosedRange<Int>) -> ValueFormat {
        ValueFormat(
            parse: { (text, _) throws(Problem) in
                let bytes = try ByteCount.parse(text)
                guard bounds.contains(bytes) else {
                    let least = ByteCount.format(bounds.lowerBound)
                    let most = ByteCount.format(bounds.upperBound)
                    throw Problem(
                        "\(quoted(text)) is not between \(least) and \(most)",
                        remedy: "write a size from \(least) to \(most)"
                    )
                }
                return bytes
            },
            render: ByteCount.format
        )
    }
}

extension ValueFormat where Value == Int {
    /// A number of things.
    static func count(in bounds: ClosedRange<Int>) -> ValueFormat {
        ValueFormat(
            parse: { (text, _) throws(Problem) in
                guard let quantity = Quantity(text), quantity.unit.isEmpty, bounds.contains(quantity.number) else {
                    throw Problem(
                        "\(quoted(text)) is not a number from \(bounds.lowerBound) to \(bounds.upperBound)",
                        remedy: "write a whole number in that range"
                    )
                }
                return quantity.number
            },
            render: { "\($0)" }
        )
    }
}

extension ValueFormat where Value == ProxyAddress {
    static let proxy = ValueFormat(
        parse: { (text, _) throws(Problem) in try ProxyAddress(parsing: text) },
        render: \.description
    )
}

extension ValueFormat where Value == Duration {
    static func duration(in bounds: ClosedRange<Duration>) -> ValueFormat {
        ValueFormat(
            parse: { (text, _) throws(Problem) in
                let duration = try TimeSpan.parse(text)
                guard bounds.contains(duration) else {
                    let least = TimeSpan.format(bounds.lowerBound)
                    let most = TimeSpan.format(bounds.upperBound)
                    throw Problem(
                        "\(quoted(text)) is not between \(least) and \(most)",
                        remedy: "write a duration from \(least) to \(most)"
                    )
                }
                return duration
            },
            render: TimeSpan.format
        )
    }
}

extension ValueFormat where Value == CPUShare {
    static let cpuShare = ValueFormat(
        parse: { (text, _) throws(Problem) in
            guard let quantity = Quantity(text), quantity.unit == "%" else {
                throw Problem(
                    "\(quoted(text)) is not a share of a CPU",
                    remedy: "write a whole number of percent, such as 10%"
                )
            }
            let bounds = AgentConfiguration.Bounds.cpuPercent
            guard bounds.contains(quantity.number) else {
                throw Problem(
                    "\(quoted(text)) is not between \(bounds.lowerBound)% and \(bounds.upperBound)%",
                    remedy: "write a share from \(bounds.lowerBound)% to \(bounds.upperBound)%, where 100% is one CPU"
                )
            }
            return CPUShare(percent: quantity.number)
        },
        render: { "\($0.percent)%" }
    )
}

extension ValueFormat where Value == Bool {
    /// systemd's words for yes and no.
    static let onOff = ValueFormat(
        parse: { (text, _) throws(Problem) in
            switch text {
            case "on", "yes", "true", "1": return true
            case "off", "no", "false", "0": return false
            default: throw Problem("\(quoted(text)) is neither on nor off", remedy: "write on or off")
            }
        },
        render: { $0 ? "on" : "off" }
    )
}

extension ValueFormat where Value == Endpoint {
    static let endpoint = ValueFormat(
        parse: { (text, _) throws(Problem) in try Endpoint(parsing: text) },
        render: \.description
    )
}

extension ValueFormat where Value: RawRepresentable<String> & CaseIterable & Sendable {
    /// One of a set of words.
    static var word: ValueFormat {
        ValueFormat(
            parse: { (text, _) throws(Problem) in
                if let value = Value(rawValue: text) { return value }
                let words = Value.allCases.map(\.rawValue)
                throw Problem(
                    "\(quoted(text)) is not one of \(words.joined(separator: ", "))",
                    remedy: nearest(to: text, among: words).map { "did you mean \($0)?" } ?? "write one of them"
                )
            },
            render: \.rawValue
        )
    }
}

/// systemd's word for no limit.
private let infinity = "infinity"

extension ValueFormat {
    /// The wrapped format, or nothing at all.
    static func optional<Wrapped>(_ wrapped: ValueFormat<Wrapped>) -> ValueFormat where Value == Wrapped? {
        ValueFormat(
            parse: { (text, folder) throws(Problem) in text.isEmpty ? nil : try wrapped.parse(text, folder) },
            render: { $0.map(wrapped.render) ?? "" }
        )
    }

    /// The wrapped format; no limit if there is nothing, or `infinity`.
    static func unlimitedIfEmpty<Wrapped>(_ wrapped: ValueFormat<Wrapped>) -> ValueFormat where Value == Wrapped? {
        ValueFormat(
            parse: { (text, folder) throws(Problem) in
                text.isEmpty || text == infinity ? nil : try wrapped.parse(text, folder)
            },
            render: { $0.map(wrapped.render) ?? "" }
        )
    }

    /// The wrapped format; no limit if there is `infinity`, somebody else's limit if there is nothing.
    static func inheritedIfEmpty<Wrapped>(_ wrapped: ValueFormat<Wrapped>) -> ValueFormat
    where Value == Limit<Wrapped>? {
        ValueFormat(
            parse: { (text, folder) throws(Problem) in
                if text.isEmpty { return nil }
                return text == infinity ? .unlimited : .at(try wrapped.parse(text, folder))
            },
            render: { limit in
                switch limit {
                case nil: ""
                case .unlimited?: infinity
                case .at(let value)?: wrapped.render(value)
                }
            }
        )
    }
}
