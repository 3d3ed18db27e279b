// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Host
import Testing

private let instanceID = "/var/lib/cloud/data/instance-id"
private let productUUID = "/sys/class/dmi/id/product_uuid"
private let productName = "/sys/class/dmi/id/product_name"
private let address = "/sys/class/net/eth0/address"
private let addressType = "/sys/class/net/eth0/addr_assign_type"
private let machineID = "/etc/machine-id"
private let machine = "3d1219c7c4c5404aaa1f6d2a48adfda4"
private let mac = "52:54:00:12:34:56\n"
private let product = "4C4C4544-0042-3510-8054-B4C04F4A4D32\n"
private let dummy = "03000200-0400-0500-0006-000700080009\n"

/// A host's sources of identity, and what its id is made of.
struct IdentityCase: Sendable, CustomStringConvertible {
    let description: String
    let files: [String: String]
    let origin: AgentIdentity.Origin
    /// The name of the version 5 UUID, or nil when `id` says it all.
    let name: String?
    let id: String?

    init(
        _ description: String,
        _ files: [String: String],
        _ origin: AgentIdentity.Origin,
        name: String? = nil,
        id: String? = nil
    ) {
        self.description = description
        self.files = files
        self.origin = origin
        self.name = name
        self.id = id
    }
}

private let cases: [IdentityCase] = [
    IdentityCase(
        "all three sources",
        [instanceID: "i-0123456789\n", productUUID: product, address: mac, productName: "PowerEdge\n"],
        .hardware,
        name: "i-01234567894C4C4544-0042-3510-8054-B4C04F4A4D3252:54:00:12:34:56"
    ),
    IdentityCase(
        "white space around a source is not part of it",
        [productUUID: " \t\r\n\u{b}\u{c}4C4C4544-x\n\n", productName: "Standard PC\n"],
        .hardware,
        name: "4C4C4544-x"
    ),
    IdentityCase(
        "a source shorter than 6 bytes is none",
        [instanceID: "i-01\n", productUUID: product, productName: "PowerEdge"],
        .hardware,
        name: "4C4C4544-0042-3510-8054-B4C04F4A4D32"
    ),
    IdentityCase(
        "a source of 6 bytes with its line end is one",
        [instanceID: "i-012\n", address: mac, productName: "abcdef"],
        .hardware,
        name: "i-01252:54:00:12:34:56"
    ),
    IdentityCase(
        "8 bytes in all are too few, and machine-id serves",
        [instanceID: "12345678\n", productName: "PowerEdge", machineID: machine + "\n"],
        .machineID,
        id: "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4"
    ),
    IdentityCase(
        "9 bytes are enough",
        [instanceID: "123456789\n", productName: "PowerEdge"],
        .hardware,
        name: "123456789"
    ),
    IdentityCase(
        "a dummy board is passed over",
        [productUUID: dummy, address: mac, productName: "PowerEdge", machineID: machine],
        .machineID,
        id: "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4"
    ),
    IdentityCase(
        "the other dummy board",
        [
            productUUID: "02000100-0300-0400-0005-000600070008", address: mac, productName: "PowerEdge",
            machineID: machine,
        ],
        .machineID,
        id: "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4"
    ),
    IdentityCase(
        "no product name (arm64)",
        [address: mac, machineID: machine + "\n"],
        .incompleteHardware,
        name: "52:54:00:12:34:56" + machine
    ),
    IdentityCase("neither name nor machine-id", [address: mac], .incompleteHardware, name: "52:54:00:12:34:56"),
    IdentityCase(
        "a name too short (KVM)",
        [productUUID: product, productName: "KVM\n", machineID: machine],
        .incompleteHardware,
        name: "4C4C4544-0042-3510-8054-B4C04F4A4D32" + machine
    ),
    IdentityCase(
        "a name that the maker left open",
        [productUUID: product, productName: "To be filled by O.E.M.\n", machineID: machine],
        .incompleteHardware,
        name: "4C4C4544-0042-3510-8054-B4C04F4A4D32" + machine
    ),
    IdentityCase(
        "an address that the kernel made up does not last",
        [address: mac, addressType: "1\n", machineID: machine],
        .machineID,
        id: "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4"
    ),
    IdentityCase(
        "but counts where upstream counts it",
        [address: mac, addressType: "1\n", productName: "PowerEdge"],
        .hardware,
        name: "52:54:00:12:34:56"
    ),
    IdentityCase(
        "machine-id in upper case with dashes",
        [machineID: "3D1219C7-C4C5-404A-AA1F-6D2A48ADFDA4\n"],
        .machineID,
        id: "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4"
    ),
    IdentityCase(
        "machine-id of the right length that is no UUID",
        [machineID: "zd1219c7c4c5404aaa1f6d2a48adfda4\n"],
        .machineID,
        name: "zd1219c7c4c5404aaa1f6d2a48adfda4"
    ),
]

@Suite struct IdentityTests {
    @Test(arguments: cases)
    func idIsMadeOfTheSources(_ sample: IdentityCase) throws {
        let recorded = try RecordedTree(sample.files)
        let identity = AgentIdentity.determine(keptFiles: [], tree: recorded.tree)
        #expect(identity.origin == sample.origin)
        let expected = sample.id ?? sample.name.map { UUID(name: $0.utf8, in: .objectIdentifiers).description }
        #expect(identity.id == expected)
    }

    @Test(arguments: [
        "--", "unknown", "To be filled by O.E.M.", "OEM not specify", "t.b.d", "T.B.D", "T.b.D\n", "      ", "KVM", "",
    ])
    func productNamesThatSayNothingAreNone(_ name: String) throws {
        let recorded = try RecordedTree([productUUID: product, productName: name])
        let identity = AgentIdentity.determine(keptFiles: [], tree: recorded.tree)
        #expect(identity.origin == .incompleteHardware)
        #expect(!identity.id.isEmpty)
    }

    @Test func clonesDifferAsSoonAsOneSourceDiffers() throws {
        var ids: Set<String> = []
        for suffix in ["", "a"] {
            for name in ["PowerEdge", ""] {
                for source in [instanceID, productUUID, address] {
                    let values = [instanceID: "i-0123456789", productUUID: product, address: mac]
                    var files = values.merging([productName: name, machineID: machine]) { $1 }
                    files[source] = "0123456789" + suffix
                    let recorded = try RecordedTree(files)
                    ids.insert(AgentIdentity.determine(keptFiles: [], tree: recorded.tree).id)
                }
            }
        }
        #expect(ids.count == 12)
    }

    @Test func configuredIDWinsAndIsNotKept() throws {
        let recorded = try RecordedTree([productUUID: product, productName: "PowerEdge"])
        let identity = AgentIdentity.determine(configured: "my-host", keptFiles: [], tree: recorded.tree)
        #expect(identity.id == "my-host")
        #expect(identity.origin == .configured)
        try identity.keep(in: recorded.root + "/machine-id")
        #expect(recorded.contents("/machine-id") == nil)
        #expect(AgentIdentity.determine(configured: "", keptFiles: [], tree: recorded.tree).origin == .hardware)
    }

    @Test func randomIDLivesInItsFile() throws {
        let recorded = try RecordedTree()
        let path = recorded.root + "/machine-id"
        let first = AgentIdentity.determine(keptFiles: [path], tree: recorded.tree)
        #expect(first.origin == .random)
        let parsed = try UUID(parsing: first.id.utf8)
        #expect(parsed.bytes[6] >> 4 == 4)
        #expect(parsed.bytes[8] >> 6 == 0b10)
        try first.keep(in: path)
        #expect(recorded.contents("/machine-id") == first.id)
        #expect(try recorded.permissions("/machine-id") == 0o600)
        let second = AgentIdentity.determine(keptFiles: [recorded.root + "/absent", path], tree: recorded.tree)
        #expect(second == AgentIdentity.determine(keptFiles: [path], tree: recorded.tree))
        #expect(second.origin == .kept)
        #expect(second.id == first.id)
    }

    @Test func everyStartRewritesTheFile() throws {
        let recorded = try RecordedTree([
            address: mac, productName: "PowerEdge", "/machine-id": "something long before",
        ])
        let path = recorded.root + "/machine-id"
        try recorded.setPermissions(0o644, of: "/machine-id")
        try recorded.write("left by a crash", to: "/machine-id.new")
        let identity = AgentIdentity.determine(keptFiles: [path], tree: recorded.tree)
        #expect(identity.origin == .hardware)
        try identity.keep(in: path)
        #expect(recorded.contents("/machine-id") == identity.id)
        #expect(try recorded.permissions("/machine-id") == 0o600)
        #expect(recorded.contents("/machine-id.new") == nil)
    }

    @Test(arguments: ["", "\n", "uninitialized\n", "not-an-id", "zd1219c7c4c5404aaa1f6d2a48adfda4"])
    func keptFileThatHoldsNoIDIsPassedOver(_ content: String) throws {
        let recorded = try RecordedTree(["/machine-id": content])
        let identity = AgentIdentity.determine(keptFiles: [recorded.root + "/machine-id"], tree: recorded.tree)
        #expect(identity.origin == .random)
    }

    @Test func uninitializedMachineIDIsNoSource() throws {
        let recorded = try RecordedTree([machineID: "uninitialized\n"])
        #expect(AgentIdentity.determine(keptFiles: [], tree: recorded.tree).origin == .random)
        try recorded.write(mac, to: address)
        let identity = AgentIdentity.determine(keptFiles: [], tree: recorded.tree)
        #expect(identity.id == "\(UUID(name: "52:54:00:12:34:56".utf8, in: .objectIdentifiers))")
    }

    @Test func fileThatCannotBeWrittenIsAnError() throws {
        let recorded = try RecordedTree([address: mac])
        let identity = AgentIdentity.determine(keptFiles: [], tree: recorded.tree)
        #expect(throws: (any Error).self) { try identity.keep(in: recorded.root + "/no/such/folder/machine-id") }
    }
}
