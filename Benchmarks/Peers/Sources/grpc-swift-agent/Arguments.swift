// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The command line: `--server HOST:PORT --ca FILE --certificate FILE --key FILE --server-name NAME --agent-id ID
/// [--pipe FD]...`; files are PEM, and without `--pipe` frames come from standard input.
struct Arguments: Sendable {
    struct Wrong: Error {
        let description: String
    }

    private(set) var host = ""
    private(set) var port = 0
    private(set) var ca = ""
    private(set) var certificate = ""
    private(set) var key = ""
    /// The name that the server's certificate must have.
    private(set) var serverName = "elkeid.com"
    private(set) var agentID = ""
    /// Inherited descriptors, read until their end.
    private(set) var pipes: [CInt] = []

    static func parse(_ words: ArraySlice<String>) -> Result<Arguments, Wrong> {
        var arguments = Arguments()
        var rest = words
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { return .failure(Wrong(description: "\(name) needs a value")) }
            guard arguments.set(name, to: value) else {
                return .failure(Wrong(description: "cannot use \(name) \(value)"))
            }
        }
        for (name, value) in [
            ("--server", arguments.host), ("--ca", arguments.ca), ("--certificate", arguments.certificate),
            ("--key", arguments.key), ("--agent-id", arguments.agentID),
        ] where value.isEmpty {
            return .failure(Wrong(description: "\(name) is missing"))
        }
        if arguments.pipes.isEmpty { arguments.pipes = [0] }
        return .success(arguments)
    }

    private mutating func set(_ name: String, to value: String) -> Bool {
        switch name {
        case "--server": return setServer(value)
        case "--ca": ca = value
        case "--certificate": certificate = value
        case "--key": key = value
        case "--server-name": serverName = value
        case "--agent-id": agentID = value
        case "--pipe":
            guard let descriptor = CInt(value), descriptor >= 0, !pipes.contains(descriptor) else { return false }
            pipes.append(descriptor)
        default: return false
        }
        return true
    }

    private mutating func setServer(_ value: String) -> Bool {
        guard let colon = value.lastIndex(of: ":"), let port = UInt16(value[value.index(after: colon)...]) else {
            return false
        }
        host = value[..<colon].filter { $0 != "[" && $0 != "]" }
        self.port = Int(port)
        return true
    }
}
