// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// One of elkeidctl's commands: what is said about it, and what is done.
struct Command: Sendable {
    struct Option: Sendable {
        /// "--id".
        let name: String
        /// What its value is called; nil for one that takes none.
        let value: String?
        let summary: String
        /// The words that it can be, for completion and for checking.
        var words: [String] = []
    }

    enum Group: String, CaseIterable, Sendable {
        case service = "The service"
        case settings = "Settings of this host"
        case looking = "Looking at it"
        case trouble = "When something is wrong"
        case other = "Other"
    }

    let name: String
    let group: Group
    let summary: String
    var options: [Option] = []
    /// What the argument without a name is called, where there is one.
    var operand: (name: String, words: [String])?
    /// Paragraphs of the command's help.
    var details = ""
    /// - Returns: the exit code.
    let run: @Sendable (Tool, Invocation) throws(ToolError) -> Int32

    /// The command line after its name.
    var usage: String {
        var text = "elkeidctl \(name)"
        for option in options {
            let value = option.value.map { " \($0)" } ?? ""
            text += " [\(option.name)\(value)]"
        }
        if let operand { text += " [\(operand.name)]" }
        return text
    }

    var help: String {
        var text = "usage: \(usage)\n\n\(summary).\n"
        if !details.isEmpty { text += "\n\(details)\n" }
        guard !options.isEmpty else { return text }
        text += "\n"
        let left = options.map { "  \($0.name)" + ($0.value.map { " \($0)" } ?? "") }
        let width = (left.map(\.count).max() ?? 0) + 3
        for (option, left) in zip(options, left) {
            let words = option.words.isEmpty ? "" : " (\(option.words.joined(separator: ", ")))"
            text += left + String(repeating: " ", count: width - left.count) + option.summary + words + "\n"
        }
        return text
    }
}

/// Why a command could not be carried out: printed as "Error: …", exit code 1 unless it says another.
struct ToolError: Error, CustomStringConvertible {
    let description: String
    var exitCode: Int32 = 1

    init(_ description: String, exitCode: Int32 = 1) {
        self.description = description
        self.exitCode = exitCode
    }
}

/// A command with its options, as they were given.
struct Invocation {
    private(set) var values: [String: String] = [:]
    private(set) var operand: String?
    private(set) var wantsHelp = false

    /// - Parameter arguments: behind the command's name.
    init(_ command: Command, _ arguments: ArraySlice<String>) throws(ToolError) {
        var rest = arguments
        while let argument = rest.popFirst() {
            if argument == "--help" || argument == "-h" {
                wantsHelp = true
            } else if argument.hasPrefix("-") && argument != "-" {
                try take(argument, command, &rest)
            } else if let wanted = command.operand, operand == nil {
                guard wanted.words.isEmpty || wanted.words.contains(argument) else {
                    throw ToolError(
                        "\(command.name) \"\(argument)\": it is one of \(wanted.words.joined(separator: ", "))"
                    )
                }
                operand = argument
            } else {
                throw ToolError("unexpected argument \"\(argument)\"; usage: \(command.usage)")
            }
        }
    }

    private mutating func take(
        _ argument: String,
        _ command: Command,
        _ rest: inout ArraySlice<String>
    ) throws(ToolError) {
        let equals = argument.firstIndex(of: "=")
        let name = equals.map { String(argument[..<$0]) } ?? argument
        let inline = equals.map { String(argument[argument.index(after: $0)...]) }
        guard let option = command.options.first(where: { $0.name == name }) else {
            throw ToolError("unknown option \(name) of \(command.name); usage: \(command.usage)")
        }
        guard option.value != nil else {
            switch inline {
            case nil, "true"?: values[name] = "true"
            case "false"?: values[name] = nil
            default: throw ToolError("\(name) takes no value")
            }
            return
        }
        guard let value = inline ?? rest.popFirst() else { throw ToolError("\(name) needs a value") }
        guard option.words.isEmpty || option.words.contains(value) else {
            throw ToolError("\(name) \"\(value)\": it is one of \(option.words.joined(separator: ", "))")
        }
        values[name] = value
    }

    subscript(name: String) -> String? { values[name] }
    func has(_ name: String) -> Bool { values[name] != nil }

    /// A whole number in these bounds.
    func number(_ name: String, in bounds: ClosedRange<Int>) throws(ToolError) -> Int? {
        guard let text = values[name] else { return nil }
        guard let number = Int(text), bounds.contains(number) else {
            throw ToolError("\(name) \"\(text)\": a whole number from \(bounds.lowerBound) to \(bounds.upperBound)")
        }
        return number
    }
}
