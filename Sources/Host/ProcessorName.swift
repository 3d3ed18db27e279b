// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The name of the first processor.
enum ProcessorName {
    /// "model name" of /proc/cpuinfo, as upstream. Where a kernel has none (arm64): the core by its implementer and
    /// part numbers, the board's name in the device tree, or the numbers themselves.
    static func current(_ tree: FileTree) -> String {
        var values: [String: String] = [:]
        // The first processor's lines come first; a file of hundreds of processors is not read to its end.
        for line in tree.lines("/proc/cpuinfo", limit: 16 << 10) {
            guard let colon = line.firstIndex(of: 0x3a) else { continue }
            let name = line[..<colon].trimmed.text.lowercased()
            let value = line[(colon + 1)...].trimmed.text
            if values[name] == nil, !value.isEmpty { values[name] = value }
        }
        if let name = values["model name"] ?? values["cpu model"] { return name }
        let part = values["cpu part"]
        if let part, let implementer = values["cpu implementer"], let name = core(implementer, part) { return name }
        let board = tree.text("/proc/device-tree/model")
        if !board.isEmpty { return board }
        if let part { return "ARM implementer \(values["cpu implementer"] ?? "unknown") part \(part)" }
        return values["cpu"] ?? values["uarch"] ?? ""
    }

    private static func core(_ implementer: String, _ part: String) -> String? {
        guard let implementer = hexadecimal(implementer), let part = hexadecimal(part) else { return nil }
        return cores[implementer << 16 | part]
    }

    private static func hexadecimal(_ text: String) -> UInt32? {
        text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16).flatMap { $0 < 1 << 16 ? $0 : nil } : nil
    }

    /// Cores by implementer (upper half) and part number of the Main ID Register, the names of lscpu(1).
    private static let cores: [UInt32: String] = [
        0x41_0d03: "Cortex-A53", 0x41_0d04: "Cortex-A35", 0x41_0d05: "Cortex-A55", 0x41_0d07: "Cortex-A57",
        0x41_0d08: "Cortex-A72", 0x41_0d09: "Cortex-A73", 0x41_0d0a: "Cortex-A75", 0x41_0d0b: "Cortex-A76",
        0x41_0d0c: "Neoverse-N1", 0x41_0d0d: "Cortex-A77", 0x41_0d40: "Neoverse-V1", 0x41_0d41: "Cortex-A78",
        0x41_0d44: "Cortex-X1", 0x41_0d46: "Cortex-A510", 0x41_0d47: "Cortex-A710", 0x41_0d48: "Cortex-X2",
        0x41_0d49: "Neoverse-N2", 0x41_0d4a: "Neoverse-E1", 0x41_0d4f: "Neoverse-V2", 0x41_0d84: "Neoverse-V3",
        0x41_0d8e: "Neoverse-N3", 0x42_0516: "ThunderX2", 0x43_00a0: "ThunderX", 0x43_00a1: "ThunderX-88XX",
        0x43_00a2: "ThunderX-81XX", 0x43_00a3: "ThunderX-83XX", 0x43_00af: "ThunderX2-99xx", 0x46_0001: "A64FX",
        0x48_0d01: "TaiShan-v110", 0x48_0d02: "TaiShan-v120", 0x48_0d40: "Cortex-A76", 0x4e_0004: "Carmel",
        0x50_0000: "X-Gene", 0x51_0001: "Oryon", 0x51_0800: "Falkor-V1/Kryo", 0x51_0c00: "Falkor",
        0x51_0c01: "Saphira", 0x61_0022: "Icestorm-M1", 0x61_0023: "Firestorm-M1", 0x6d_0d49: "Azure-Cobalt-100",
        0x70_0303: "FTC310", 0x70_0660: "FTC660", 0x70_0661: "FTC661", 0x70_0662: "FTC662", 0x70_0663: "FTC663",
        0x70_0664: "FTC664", 0x70_0862: "FTC862", 0xc0_0ac3: "Ampere-1", 0xc0_0ac4: "Ampere-1a",
        0xc0_0ac5: "Ampere-1b",
    ]
}
