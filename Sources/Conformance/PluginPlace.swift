// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// Where the plugin is, and what it is called.
struct PluginPlace: Equatable {
    /// Absolute.
    let program: String
    let folder: String
    let name: String

    static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    init(_ options: ConformanceOptions) throws(ConformanceError) {
        program = try Self.absolute(options.plugin)
        var status = stat()
        guard unsafe stat(program, &status) == 0 else { throw .usage("\(options.plugin): \(Errno.current)") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .usage("\(options.plugin) is not a file") }
        guard unsafe access(program, X_OK) == 0 else {
            throw .usage("\(options.plugin): \(Errno.current); make it executable with chmod +x")
        }
        let parts = program.split(separator: "/")
        folder = try options.folder.map(Self.absolute) ?? "/" + parts.dropLast().joined(separator: "/")
        guard unsafe stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw .usage("--folder \(folder) is not a folder")
        }
        name = options.name ?? parts.last.map(String.init) ?? ""
        guard !name.isEmpty, name.utf8.allSatisfy(Self.isNameByte) else {
            throw .usage(
                "\(name): the agent runs plugins under their file's name, of letters, digits, - and _ only;"
                    + " rename the file, or give --name NAME"
            )
        }
    }

    /// The agent starts plugins by an absolute path. Links stay: they may be what the name comes from.
    private static func absolute(_ path: String) throws(ConformanceError) -> String {
        if path.hasPrefix("/") { return path }
        guard let here = unsafe getcwd(nil, 0) else { throw .system("no working directory: \(Errno.current)") }
        defer { unsafe free(here) }
        let relative = path.hasPrefix("./") ? String(path.dropFirst(2)) : path
        return unsafe String(cString: here) + "/" + relative
    }
}
