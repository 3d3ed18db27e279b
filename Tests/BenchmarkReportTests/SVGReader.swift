// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// As much of XML as the charts use, read strictly.
enum SVGReader {
    enum Problem: Error {
        case text(String)
    }

    /// The names of all elements; throws unless each is closed in turn, and text and attributes are escaped.
    static func elements(of svg: String) throws -> [String] {
        var names: [String] = []
        var open: [String] = []
        for piece in svg.split(separator: "<", omittingEmptySubsequences: false).dropFirst() {
            let parts = piece.split(separator: ">", omittingEmptySubsequences: false)
            guard parts.count == 2, let tag = parts.first, let text = parts.last else { throw Problem.text("\(piece)") }
            try check(text)
            if tag.hasPrefix("/") {
                guard open.popLast().map({ "/\($0)" }) == String(tag) else { throw Problem.text("\(tag) in \(open)") }
                continue
            }
            let name = String(tag.prefix { $0.isLetter })
            names.append(name)
            try checkAttributes(tag.dropFirst(name.count))
            if !tag.hasSuffix("/") { open.append(name) }
            guard !open.isEmpty else { throw Problem.text("a second root: \(tag)") }
        }
        guard open.isEmpty, names.first == "svg" else { throw Problem.text("not closed: \(open)") }
        return names
    }

    /// The numbers in all attributes of that name.
    static func values(of attribute: String, in svg: String) -> [Double] {
        let parts = svg.split(separator: "\"", omittingEmptySubsequences: false)
        return zip(parts, parts.dropFirst()).compactMap { $0.hasSuffix(" \(attribute)=") ? Double($1) : nil }
    }

    /// Names and values in quotation marks, each name once.
    private static func checkAttributes(_ text: Substring) throws {
        let parts = (text.hasSuffix("/") ? text.dropLast() : text).split(
            separator: "\"",
            omittingEmptySubsequences: false
        )
        var seen: Set<Substring> = []
        for (index, part) in parts.enumerated() where index < parts.count - 1 {
            if index % 2 == 1 {
                try check(part)
            } else {
                let isName = part.hasPrefix(" ") && part.hasSuffix("=") && !part.dropFirst().contains(" ")
                guard isName, seen.insert(part).inserted else { throw Problem.text("\(text)") }
            }
        }
        guard parts.count % 2 == 1, parts.last?.isEmpty ?? true else { throw Problem.text("\(text)") }
    }

    /// Each ampersand begins a reference, and there are no control characters.
    private static func check(_ text: Substring) throws {
        let references = ["amp;", "lt;", "gt;", "quot;"]
        for rest in text.split(separator: "&", omittingEmptySubsequences: false).dropFirst() {
            guard references.contains(where: rest.hasPrefix) else { throw Problem.text("\(text)") }
        }
        guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 || $0 == "\n" }) else { throw Problem.text("\(text)") }
    }
}
