// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The assignments of os-release(5) or lsb-release.
struct ReleaseFile {
    private var values: [String: String] = [:]

    /// Of the first file that can be read.
    init(_ tree: FileTree, _ paths: [String]) {
        for path in paths {
            let lines = tree.lines(path)
            if lines.isEmpty { continue }
            for line in lines { parse(line.trimmed) }
            return
        }
    }

    var isEmpty: Bool { values.isEmpty }

    /// "" for a name that is not assigned.
    subscript(name: String) -> String { values[name] ?? "" }

    private mutating func parse(_ line: ArraySlice<UInt8>) {
        guard line.first != 0x23, let equals = line.firstIndex(of: 0x3d) else { return }
        var value = line[(equals + 1)...]
        if let quote = value.first, quote == 0x22 || quote == 0x27 {
            value = value.dropFirst()
            if value.last == quote { value = value.dropLast() }
        }
        values[line[..<equals].text] = value.text
    }
}

extension FileTree {
    /// A release file in lower case, its lines joined.
    func releaseText(_ path: String) -> String {
        lines(path, limit: 4096).map(\.text).joined().lowercased()
    }

    /// The first line of a release file, trimmed.
    func firstLine(_ path: String) -> String { lines(path, limit: 4096).first?.trimmed.text ?? "" }
}

extension String {
    /// Is `part` anywhere in it? `contains` of a string would link the library of regular expressions.
    func holds(_ part: String) -> Bool {
        utf8.indices.contains { utf8[$0...].starts(with: part.utf8) }
    }

    func dropping(_ prefix: String) -> String { hasPrefix(prefix) ? String(dropFirst(prefix.count)) : self }
}
