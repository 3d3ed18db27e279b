// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Host
import Testing

@Suite struct PlatformTests {
    @Test(arguments: distributions)
    func platformIsNamedAsUpstreamDoes(_ distribution: Distribution) throws {
        let recorded = try RecordedTree(distribution.files)
        let expected = Platform(
            name: distribution.name,
            family: distribution.family,
            version: distribution.version
        )
        #expect(Platform.current(recorded.tree) == expected)
    }

    @Test func bytesThatAreNoTextAreHarmless() throws {
        let recorded = try RecordedTree()
        try recorded.write((0...255).map { UInt8($0) } + [0x0a], to: "/etc/debian_version")
        try recorded.write([UInt8](repeating: 0xff, count: 300_000), to: "/etc/lsb-release")
        let platform = Platform.current(recorded.tree)
        #expect(platform.name == "debian")
        #expect(platform.version.unicodeScalars.allSatisfy { $0.value != 0x0a })
    }

    @Test func aFolderInPlaceOfAFileIsNoFile() throws {
        let recorded = try RecordedTree(["/etc/os-release/x": "", "/usr/lib/os-release": "ID=alpine\n"])
        #expect(Platform.current(recorded.tree).name == "alpine")
    }

    @Test(arguments: [
        (
            "x86", "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\n\nmodel name\t: other\n",
            "",
            "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz"
        ),
        (
            "Graviton", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\nCPU revision\t: 1\n", "",
            "Neoverse-N1"
        ),
        ("Kunpeng", "CPU implementer\t: 0x48\nCPU part\t: 0xd01\n", "", "TaiShan-v110"),
        ("Phytium", "CPU implementer\t: 0x70\nCPU part\t: 0x662\n", "", "FTC662"),
        (
            "Kunpeng with a name", "model name\t: Kunpeng-920\nCPU implementer\t: 0x48\nCPU part\t: 0xd01\n", "",
            "Kunpeng-920"
        ),
        (
            "known core on a named board", "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n", "Raspberry Pi 4 Model B\0",
            "Cortex-A72"
        ),
        (
            "unknown core on a named board", "CPU implementer\t: 0x41\nCPU part\t: 0xfff\n", "Some Board Rev 1\0",
            "Some Board Rev 1"
        ),
        ("unknown core", "CPU implementer\t: 0x99\nCPU part\t: 0x123\n", "", "ARM implementer 0x99 part 0x123"),
        ("LoongArch", "Model Name\t\t: Loongson-3A5000\n", "", "Loongson-3A5000"),
        (
            "numbers that are none", "CPU implementer\t: 0x\nCPU part\t: 0xfffffffffffff\n", "",
            "ARM implementer 0x part 0xfffffffffffff"
        ),
        ("POWER", "processor\t: 0\ncpu\t\t: POWER9 (architected)\n", "", "POWER9 (architected)"),
        ("nothing", "", "", ""),
    ])
    func processorIsNamed(_ label: String, _ cpuinfo: String, _ board: String, _ expected: String) throws {
        let recorded = try RecordedTree(["/proc/cpuinfo": cpuinfo])
        if !board.isEmpty { try recorded.write(board, to: "/proc/device-tree/model") }
        #expect(HostFacts.current(tree: recorded.tree).processorName == expected, "\(label)")
    }

    @Test func hardwareIsReadTrimmedOrEmpty() throws {
        let recorded = try RecordedTree([
            "/sys/class/dmi/id/product_serial": " 42-1 \n", "/sys/class/dmi/id/product_uuid": "ABCD\n",
            "/sys/class/dmi/id/product_name": "PowerEdge R740\n\n",
        ])
        let facts = HostFacts.current(tree: recorded.tree)
        #expect(
            [facts.serial, facts.productID, facts.model, facts.vendor] == ["42-1", "ABCD", "PowerEdge R740", ""]
        )
    }
}
