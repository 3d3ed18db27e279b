// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A task that the plugin knows: its type and its data.
public struct TaskRequest: Equatable, Sendable {
    public var dataType: Int32
    public var data: String

    public init(dataType: Int32, data: String) {
        self.dataType = dataType
        self.data = data
    }

    /// "7201 some text": the type, a space, the data as it is.
    public init(_ text: String) throws(ConformanceError) {
        let parts = text.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let dataType = Int32(first) else {
            throw .usage("--task \"\(text)\": give a number, a space and the data, such as: --task '5050 {}'")
        }
        self.init(dataType: dataType, data: parts.count > 1 ? String(parts[1]) : "")
    }
}

/// `elkeid-devcenter conformance`.
public struct ConformanceOptions: Equatable, Sendable {
    /// The executable.
    public var plugin = ""
    /// Its working directory; nil: where the executable is.
    public var folder: String?
    /// Under which the agent would know it; nil: the executable's.
    public var name: String?
    /// The environment variable DETAIL; empty: none.
    public var detail = ""
    public var tasks: [TaskRequest] = []
    public var checks = Check.allCases
    /// Seconds that the plugin has for ending and for answering.
    public var timeout = 10.0
    /// Seconds in which nothing is read.
    public var stall = 3.0
    /// Seconds in which it is watched doing nothing.
    public var observe = 3.0
    public var json = false

    public init() {}
}

/// What the command line of `elkeid-devcenter conformance` asks for.
public enum ConformanceInvocation: Equatable, Sendable {
    case help
    case list
    case run(ConformanceOptions)

    /// - Parameter arguments: behind "conformance".
    public static func parse(_ arguments: [String]) throws(ConformanceError) -> ConformanceInvocation {
        var options = ConformanceOptions()
        var isList = false
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("-") else {
                guard options.plugin.isEmpty else {
                    throw .usage("\(argument): give one plugin; plugins are started without arguments")
                }
                options.plugin = argument
                continue
            }
            let equals = argument.hasPrefix("--") ? argument.firstIndex(of: "=") : nil
            let name = equals.map { String(argument[..<$0]) } ?? argument
            let inline = equals.map { String(argument[argument.index(after: $0)...]) }
            switch name {
            case "--help", "-h": return .help
            case "--list", "--json":
                guard inline == nil else { throw .usage("\(name) takes no value") }
                if name == "--list" { isList = true } else { options.json = true }
            default:
                guard valueNames.contains(name) else {
                    throw .usage("unknown option \(name) for conformance; see elkeid-devcenter conformance --help")
                }
                guard let value = inline ?? rest.popFirst(), !value.isEmpty else {
                    throw .usage("\(name) needs a value; see elkeid-devcenter conformance --help")
                }
                try options.set(name, value)
            }
        }
        if isList { return .list }
        guard !options.plugin.isEmpty else {
            throw .usage("no plugin given: elkeid-devcenter conformance [OPTION...] ./plugin")
        }
        return .run(options)
    }

    private static let valueNames: Set = [
        "--task", "--only", "--skip", "--timeout", "--stall", "--observe", "--detail", "--folder", "--name",
    ]
}

extension ConformanceOptions {
    fileprivate mutating func set(_ name: String, _ value: String) throws(ConformanceError) {
        switch name {
        case "--task": tasks.append(try TaskRequest(value))
        case "--only":
            let wanted = try Self.checks(name, value)
            checks = checks.filter { wanted.contains($0) }
        case "--skip":
            let unwanted = try Self.checks(name, value)
            checks = checks.filter { !unwanted.contains($0) }
        case "--timeout": timeout = try Self.seconds(name, value)
        case "--stall": stall = try Self.seconds(name, value)
        case "--observe": observe = try Self.seconds(name, value)
        case "--detail": detail = value
        case "--folder": folder = value
        default:
            guard value.utf8.allSatisfy(PluginPlace.isNameByte) else {
                throw .usage("--name \(value): letters, digits, - and _ only, as servers want it")
            }
            self.name = value
        }
    }

    private static func checks(_ option: String, _ value: String) throws(ConformanceError) -> [Check] {
        var result: [Check] = []
        for name in value.split(separator: ",") {
            guard let check = Check(rawValue: String(name)) else {
                let names = Check.allCases.map(\.rawValue).joined(separator: ", ")
                throw .usage("\(option) \(name): there is no such check; there are \(names)")
            }
            result.append(check)
        }
        return result
    }

    private static func seconds(_ option: String, _ value: String) throws(ConformanceError) -> Double {
        guard let seconds = Double(value), seconds >= 0.1, seconds <= 600 else {
            throw .usage("\(option) \(value): a number of seconds, 0.1 to 600")
        }
        return seconds
    }
}
