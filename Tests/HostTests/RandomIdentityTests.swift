// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Host
import TestSupport
import Testing

private let dummies = ["03000200-0400-0500-0006-000700080009", "02000100-0300-0400-0005-000600070008"]

/// White space at the ends does not count; that of other scripts neither.
private let spaces: [[UInt8]] = [
    " ", "\t", "\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{a0}", "\u{1680}", "\u{2000}", "\u{2003}", "\u{200a}",
    "\u{2028}",
    "\u{2029}", "\u{202f}", "\u{205f}", "\u{3000}",
].map { Array($0.utf8) }

/// The sources of an id, and what may be found in each: present or absent, of all lengths around the limits, with white
/// space, with bytes that are no text.
private struct Sources {
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func tree() -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        files["/var/lib/cloud/data/instance-id"] = source(["i-0123456789abcdef0", "iid-local01", "x"])
        files["/sys/class/dmi/id/product_uuid"] = source([
            "4C4C4544-0042-3510-8054-B4C04F4A4D32", "ec2f1a2b-3c4d-5e6f-7081-92a3b4c5d6e7", dummies[0], dummies[1],
            "Not Settable",
        ])
        files["/sys/class/net/eth0/address"] = source(["52:54:00:12:34:56", "00:00:00:00:00:00", "02:42:ac:11:00:02"])
        files["/sys/class/net/eth0/addr_assign_type"] = source(["0", "1", "3"])
        files["/sys/class/dmi/id/product_name"] = source([
            "PowerEdge R640", "KVM", "--", "unknown", "Unknown", "To be filled by O.E.M.", "to be filled by O.E.M.",
            "OEM not specify", "t.b.d", "T.B.D", "T.B.D.", "Standard PC (Q35 + ICH9, 2009)", "      ", "12345",
            "123456",
        ])
        files["/etc/machine-id"] = source([
            "3d1219c7c4c5404aaa1f6d2a48adfda4", "3D1219C7-C4C5-404A-AA1F-6D2A48ADFDA4", "uninitialized",
            "{3d1219c7-c4c5-404a-aa1f-6d2a48adfda4}", "urn:uuid:3d1219c7-c4c5-404a-aa1f-6d2a48adfda4",
            "xxx:uuid:3d1219c7-c4c5-404a-aa1f-6d2a48adfda4", "zd1219c7c4c5404aaa1f6d2a48adfda4",
            "3d1219c7-c4c5-404a-aa1f+6d2a48adfda4", "3d1219c7",
        ])
        return files
    }

    /// nil for a file that is not there.
    private mutating func source(_ usual: [String]) -> [UInt8]? {
        if random.oneIn(4) { return nil }
        var content: [UInt8]
        switch random.int(0...5) {
        case 0: content = Array(String(repeating: "0123456789", count: 2).utf8.prefix(random.int(0...12)))
        case 1: content = random.bytes(random.int(0...40))
        default: content = Array(usual[random.int(0...usual.count - 1)].utf8)
        }
        func some(_ random: inout SeededRandom) -> [UInt8] {
            (0..<random.int(0...3)).flatMap { _ in spaces[random.int(0...spaces.count - 1)] }
        }
        if random.oneIn(3) { content = some(&random) + content }
        return content + (random.oneIn(3) ? some(&random) : random.oneIn(5) ? [] : [0x0a])
    }
}

/// Ids of made-up hosts, against the original's rules in Python (Tests/Interop/facts/identity.py).
@Suite(.enabled(if: output(of: "python3", ["-c", ""]) != nil, "python3 is the independent source"))
struct RandomIdentityTests {
    private static let count = 500

    private func expectedIdentities(_ roots: [String], in folder: RecordedTree) throws -> [String] {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Interop/facts/identity.py").path
        try folder.write(roots.map { $0 + "\n" }.joined(), to: "/roots")
        let command = "exec python3 -B \"$0\" <\"$1\" 2>\"$1.err\""
        let printed = output(of: "sh", ["-c", command, script, folder.root + "/roots"])
        return try #require(printed, "\(folder.contents("/roots.err") ?? "")").split(separator: "\n").map(String.init)
    }

    @Test func identitiesAreThoseOfTheRules() throws {
        let folder = try RecordedTree()
        var sources = Sources(seed: 20_260_101)
        var trees: [(root: String, files: [String: [UInt8]])] = []
        for number in 0..<Self.count {
            let files = sources.tree()
            trees.append(("\(folder.root)/\(number)", files))
            // The same host with another board in it: one byte differs.
            if var board = files["/sys/class/dmi/id/product_uuid"], let last = board.indices.last {
                board[last / 2] ^= 0x40
                let changed = files.merging(["/sys/class/dmi/id/product_uuid": board]) { $1 }
                trees.append(("\(folder.root)/\(number)-changed", changed))
            }
        }
        for (root, files) in trees {
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
            for (path, content) in files { try folder.write(content, to: root.dropFirst(folder.root.count) + path) }
        }
        let expected = try expectedIdentities(trees.map(\.root), in: folder)
        try #require(expected.count == trees.count)

        var origins: [AgentIdentity.Origin] = []
        for (index, (root, files)) in trees.enumerated() {
            let identity = AgentIdentity.determine(keptFiles: [], tree: FileTree(root: root))
            origins.append(identity.origin)
            let found = identity.origin == .random ? "random" : identity.id
            let shown = files.mapValues { String(decoding: $0, as: UTF8.self) }
            #expect(found == expected[index], "\(shown)")
            // A source that counts, changed, makes another host of it.
            if index > 0, root.hasSuffix("-changed"), origins[index - 1] == .hardware, identity.origin == .hardware {
                let board = files["/sys/class/dmi/id/product_uuid"] ?? []
                let before = trees[index - 1].files["/sys/class/dmi/id/product_uuid"] ?? []
                let counts = board.count >= 6 && trimmed(board) != trimmed(before)
                #expect((expected[index] != expected[index - 1]) == counts, "\(shown)")
            }
        }
        for origin in [AgentIdentity.Origin.hardware, .incompleteHardware, .machineID, .random] {
            #expect(origins.count { $0 == origin } > 20, "\(origin)")
        }
        #expect(Set(expected).count > 200)
    }

    private func trimmed(_ bytes: [UInt8]) -> [UInt8] {
        var rest = bytes[...]
        while let space = spaces.first(where: { rest.starts(with: $0) }) { rest = rest.dropFirst(space.count) }
        while let space = spaces.first(where: { rest.suffix($0.count).elementsEqual($0) }) {
            rest = rest.dropLast(space.count)
        }
        return Array(rest)
    }
}
