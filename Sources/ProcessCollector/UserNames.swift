// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// User names by id, from a file in the format of passwd(5). A statically linked program has no other source.
struct UserNames {
    private let path: String
    private var names: [UInt64: [UInt8]] = [:]
    /// The file that was read last; it is read again when any of this differs.
    private var current: FileVersion?

    private struct FileVersion: Equatable {
        var inode: UInt
        var size: Int
        var changed: Int
        var changedNanoseconds: Int
    }

    /// The most that is read of the file.
    private static let maximumSize = 4 << 20

    init(path: String) {
        self.path = path
    }

    /// The name of a user, empty when it has none.
    func name(of user: UInt64) -> [UInt8] {
        names[user] ?? []
    }

    /// Reads the file if it has changed. When it cannot be read, what is known stays.
    mutating func update() {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return }
        let version = FileVersion(
            inode: UInt(status.st_ino),
            size: Int(status.st_size),
            changed: Int(status.st_ctim.tv_sec),
            changedNanoseconds: Int(status.st_ctim.tv_nsec)
        )
        if version == current { return }
        var content = [UInt8](repeating: 0, count: min(max(version.size, 0), Self.maximumSize))
        let count = unsafe content.withUnsafeMutableBytes { unsafe readAll(descriptor, into: $0) }
        guard let count else { return }
        names = Self.parse(content.span, in: 0..<count)
        current = version
    }

    /// Lines of `name:password:uid:…`; the first line of a user counts.
    private static func parse(_ bytes: Span<UInt8>, in range: Range<Int>) -> [UInt64: [UInt8]] {
        var names: [UInt64: [UInt8]] = [:]
        var rest = range
        while var line = bytes.takePart(of: &rest, upTo: UInt8(ascii: "\n")) {
            func next() -> Range<Int>? { bytes.takePart(of: &line, upTo: UInt8(ascii: ":")) }
            guard let name = next(), next() != nil, let user = next(), let user = bytes.decimal(in: user)
            else { continue }
            if names[user] == nil { names[user] = name.map { bytes[$0] } }
        }
        return names
    }
}
