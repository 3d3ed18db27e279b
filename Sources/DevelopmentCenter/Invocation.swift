// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Compression
public import Conformance
import Syscalls

/// What the command line asks for.
public enum Invocation: Equatable, Sendable {
    case help
    case version
    case certificates(folder: String)
    case serve(ServeOptions)
    case demo(DemoOptions)
    case conformance(ConformanceInvocation)
}

/// How the center is watched.
public struct DisplayOptions: Equatable, Sendable {
    /// One JSON object for each second.
    public var json = false
    /// Each record as it arrives, rather than a table.
    public var follow = false
    /// Nil: until it is told to stop.
    public var seconds: Int?

    public init(json: Bool = false, follow: Bool = false, seconds: Int? = nil) {
        self.json = json
        self.follow = follow
        self.seconds = seconds
    }
}

/// `elkeid-devcenter serve`.
public struct ServeOptions: Equatable, Sendable {
    public var listen = "127.0.0.1:6751"
    public var http = "127.0.0.1:8088"
    public var certificates = "certs"
    public var uploads = "uploads"
    public var components: [ComponentSpecification] = []
    /// DETAIL by component name.
    public var details: [String: String] = [:]
    public var display = DisplayOptions()

    public init() {}
}

/// `elkeid-devcenter demo` and `elkeid-devcenter --plugin`.
public struct DemoOptions: Equatable, Sendable {
    /// Nil: next to this program.
    public var agent: String?
    public var plugin = ""
    public var detail = "{\"interval_seconds\":2}"
    public var coding = ContentCoding.identity
    /// Is the folder left behind?
    public var keep = false
    public var display = DisplayOptions()

    public init() {}
}

/// Reads the command line.
public struct CommandLineParser {
    private var rest: ArraySlice<String>

    private init(_ arguments: ArraySlice<String>) { rest = arguments }

    /// - Parameter arguments: without the program's name.
    /// - Returns: what they ask for.
    /// - Throws: `CenterError` that says what is wrong with them.
    public static func parse(_ arguments: [String]) throws(CenterError) -> Invocation {
        guard let verb = arguments.first else {
            throw CenterError("no command given: certs, serve, demo, conformance, or --plugin PATH")
        }
        if verb == "conformance" { return .conformance(try conformance(Array(arguments.dropFirst()))) }
        if !arguments.isDisjoint(with: ["--help", "-h", "help"]) { return .help }
        if arguments == ["--version"] { return .version }
        var parser = CommandLineParser(arguments.dropFirst())
        switch verb {
        case "certs": return try parser.certificates()
        case "serve": return try parser.serve()
        case "demo": return try parser.demo(DemoOptions())
        default:
            guard verb.hasPrefix("-") else {
                throw CenterError("unknown command \"\(verb)\": certs, serve, demo, conformance, or --plugin PATH")
            }
            // A developer's bench shows the records themselves.
            var options = DemoOptions()
            options.display.follow = true
            parser.rest = arguments[...]
            return try parser.demo(options)
        }
    }

    private static func conformance(_ arguments: [String]) throws(CenterError) -> ConformanceInvocation {
        do throws(ConformanceError) { return try ConformanceInvocation.parse(arguments) } catch {
            throw CenterError(error.description)
        }
    }

    private mutating func certificates() throws(CenterError) -> Invocation {
        guard let folder = rest.popFirst(), !folder.hasPrefix("-"), rest.isEmpty else {
            throw CenterError("certs needs one folder: elkeid-devcenter certs DIR")
        }
        return .certificates(folder: folder)
    }

    private mutating func serve() throws(CenterError) -> Invocation {
        var options = ServeOptions()
        while let argument = rest.popFirst() {
            let (name, inline) = Self.split(argument)
            switch name {
            case "--listen": options.listen = try value(name, inline)
            case "--http": options.http = try value(name, inline)
            case "--certs": options.certificates = try value(name, inline)
            case "--uploads": options.uploads = try value(name, inline)
            case "--component": options.components.append(try ComponentSpecification(try value(name, inline)))
            case "--detail":
                let text = try value(name, inline)
                guard let colon = text.firstIndex(of: ":") else {
                    throw CenterError("--detail \(text): give NAME:JSON, such as collector:{\"a\":1}")
                }
                options.details[String(text[..<colon])] = String(text[text.index(after: colon)...])
            default: try display(name, inline, &options.display, of: "serve")
            }
        }
        _ = try SocketAddress(text: options.listen)
        if options.http != "none" { _ = try SocketAddress(text: options.http) }
        try checkNames(options)
        return .serve(options)
    }

    private func checkNames(_ options: ServeOptions) throws(CenterError) {
        let names = options.components.map(\.name)
        for (index, name) in names.enumerated() where names[..<index].contains(name) {
            throw CenterError("--component \(name) is given twice: agents run one version of it")
        }
        for name in options.details.keys.sorted() where !names.contains(name) {
            throw CenterError("--detail \(name): there is no --component of that name")
        }
    }

    private mutating func demo(_ defaults: DemoOptions) throws(CenterError) -> Invocation {
        var options = defaults
        while let argument = rest.popFirst() {
            let (name, inline) = Self.split(argument)
            switch name {
            case "--agent": options.agent = try value(name, inline)
            case "--plugin": options.plugin = try value(name, inline)
            case "--detail": options.detail = try value(name, inline)
            case "--compression":
                let text = try value(name, inline)
                guard let coding = text == "none" ? .identity : ContentCoding(grpcName: text) else {
                    throw CenterError("--compression \(text): none, snappy, gzip or zstd")
                }
                options.coding = coding
            case "--keep": options.keep = try flag(name, inline)
            default: try display(name, inline, &options.display, of: "demo")
            }
        }
        guard !options.plugin.isEmpty else { throw CenterError("--plugin PATH is needed: the plugin to run") }
        return .demo(options)
    }

    private mutating func display(
        _ name: String,
        _ inline: String?,
        _ options: inout DisplayOptions,
        of verb: String
    ) throws(CenterError) {
        switch name {
        case "--json": options.json = try flag(name, inline)
        case "--follow": options.follow = try flag(name, inline)
        case "--table":
            _ = try flag(name, inline)
            options.follow = false
        case "--seconds":
            let text = try value(name, inline)
            guard let seconds = Int(text), (1...1_000_000).contains(seconds) else {
                throw CenterError("--seconds \(text): a number of seconds, 1 to 1000000")
            }
            options.seconds = seconds
        default: throw CenterError("unknown option \"\(name)\" for \(verb); see --help")
        }
    }

    // MARK: Values

    /// "--name=value" in two.
    private static func split(_ argument: String) -> (String, String?) {
        guard argument.hasPrefix("--"), let equals = argument.firstIndex(of: "=") else { return (argument, nil) }
        return (String(argument[..<equals]), String(argument[argument.index(after: equals)...]))
    }

    private mutating func value(_ name: String, _ inline: String?) throws(CenterError) -> String {
        guard let value = inline ?? rest.popFirst(), !value.isEmpty else {
            throw CenterError("\(name) needs a value; see --help")
        }
        return value
    }

    private func flag(_ name: String, _ inline: String?) throws(CenterError) -> Bool {
        guard inline == nil else { throw CenterError("\(name) takes no value") }
        return true
    }
}

extension [String] {
    fileprivate func isDisjoint(with others: [String]) -> Bool { !contains { others.contains($0) } }
}
