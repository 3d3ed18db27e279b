// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Breaks text into lines: for tables by characters, for charts by the width that they are likely to have.
package enum Wrapping {
    /// At least one line, none wider than `width` unless a single character is. A blank, a line's end and what is no
    /// visible character are all one blank.
    package static func lines(_ text: String, width: Double, measure: (String) -> Double) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in oneLine(text).split(separator: " ") {
            let longer = line.isEmpty ? String(word) : line + " " + word
            if measure(longer) <= width {
                line = longer
                continue
            }
            if !line.isEmpty { lines.append(line) }
            line = ""
            for character in word {
                if !line.isEmpty, measure(line + String(character)) > width {
                    lines.append(line)
                    line = ""
                }
                line.append(character)
            }
        }
        return line.isEmpty && !lines.isEmpty ? lines : lines + [line]
    }

    package static func lines(_ text: String, characters: Int) -> [String] {
        lines(text, width: Double(characters)) { Double($0.count) }
    }

    package static func oneLine(_ text: String) -> String {
        let words = text.unicodeScalars.split { scalar in
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator, .spaceSeparator: true
            default: false
            }
        }
        return words.map { String($0) }.joined(separator: " ")
    }

    /// The width of a line in pixels. Which font draws a chart is not known: this is by DejaVu Sans, wider than most.
    package static func pixels(_ text: String, size: Double, bold: Bool = false) -> Double {
        text.unicodeScalars.reduce(0) { $0 + width($1) } * size * (bold ? 1.12 : 1)
    }

    private static func width(_ scalar: Unicode.Scalar) -> Double {
        switch scalar {
        case "i", "l", "j", "I", "'", "|": 0.29
        case " ", ".", ",", ":", ";", "/", "!": 0.34
        case "f", "t", "r", "-", "(", ")", "[", "]": 0.41
        case "m", "M", "W", "@", "%", "—": 1
        case "w", "+", "=", "<", ">", "×", "≤", "≥": 0.84
        case "A"..."Z": 0.74
        case "\u{20}"..."\u{7e}": 0.62
        case "\u{2e80}"...: 1
        default: 0.66
        }
    }
}
