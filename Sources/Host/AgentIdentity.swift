// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Syscalls

/// The name under which the server knows this host.
///
/// Made as the upstream agent makes it, so that a host keeps its id when the agent is exchanged: a UUID of version 5
/// in the OID namespace, of instance-id, product_uuid and eth0's address one after the other, each trimmed. A clone
/// of an image thus gets an id of its own as soon as one of these differs.
public struct AgentIdentity: Sendable, Equatable {
    /// What an id was made of.
    public enum Origin: Sendable, Equatable {
        /// Given by the configuration or SPECIFIED_AGENT_ID.
        case configured
        /// instance-id, product_uuid and eth0's address, as upstream.
        case hardware
        /// As `hardware`, where upstream finds no usable product name and ends with an empty id.
        case incompleteHardware
        /// /etc/machine-id.
        case machineID
        /// The file that an earlier start left.
        case kept
        /// Nothing on this host tells it from others: random, and kept for the next start.
        case random
    }

    public let id: String
    public let origin: Origin

    /// - Parameters:
    ///   - configured: wins when it is not empty.
    ///   - keptFiles: where earlier starts may have left an id, in order of preference; absolute paths, not below
    ///     the tree's root.
    public static func determine(
        configured: String? = nil,
        keptFiles: [String],
        tree: FileTree = FileTree()
    ) -> AgentIdentity {
        if let configured, !configured.isEmpty { return AgentIdentity(id: configured, origin: .configured) }
        if let identity = ofHardware(tree) ?? ofMachineID(tree) { return identity }
        let plain = FileTree()
        for path in keptFiles {
            if let kept = plain.bytes(path, limit: 4096), let uuid = try? UUID(parsing: kept[...].trimmed) {
                return AgentIdentity(id: "\(uuid)", origin: .kept)
            }
        }
        var random = SystemRandomNumberGenerator()
        return AgentIdentity(id: "\(UUID(using: &random))", origin: .random)
    }

    /// Leaves the id in `path`, mode 0600, for the next start and for operators; at every start, as upstream. A
    /// configured id is not kept: it must not outlive its configuration.
    public func keep(in path: String) throws(Errno) {
        if origin == .configured { return }
        let new = path + ".new"
        unsafe unlink(new)
        let file = try FileDescriptor.open(new, .createNew)
        unsafe try file.writeAll(Array(id.utf8).span.bytes)
        // A random id that a power cut takes would be a new host to the server.
        if fsync(file.rawValue) != 0 { throw Errno.current }
        try file.close()
        try FileDescriptor.rename(new, to: path)
    }
}

extension AgentIdentity {
    /// Identifiers of boards whose maker left the sample in place.
    private static let dummyProductIDs = [
        "03000200-0400-0500-0006-000700080009", "02000100-0300-0400-0005-000600070008",
    ]
    private static let dummyProductNames = ["", "--", "unknown", "To be filled by O.E.M.", "OEM not specify"]
    /// addr_assign_type of an address that the kernel made up (NET_ADDR_RANDOM), another one after each boot.
    private static let randomAddress = "1"

    private static func ofHardware(_ tree: FileTree) -> AgentIdentity? {
        let instance = source(tree, "/var/lib/cloud/data/instance-id") ?? []
        let product = source(tree, "/sys/class/dmi/id/product_uuid") ?? []
        let address = source(tree, "/sys/class/net/eth0/address") ?? []
        let all = instance + product + address
        guard all.count > 8, !dummyProductIDs.contains(product.text) else { return nil }
        if let name = source(tree, "/sys/class/dmi/id/product_name")?.text, !dummyProductNames.contains(name),
            name.lowercased() != "t.b.d"
        {
            return AgentIdentity(id: "\(UUID(name: all, in: .objectIdentifiers))", origin: .hardware)
        }
        return ofIncompleteHardware(tree, known: instance + product, address: address)
    }

    /// Where there is no product name (arm64 boards), or one that says nothing, upstream's id is empty, and all such
    /// hosts are one to the server. Here it is the same sources, without an address that the next boot changes,
    /// and /etc/machine-id: different when either the hardware or the installation is.
    private static func ofIncompleteHardware(
        _ tree: FileTree,
        known: [UInt8],
        address: [UInt8]
    ) -> AgentIdentity? {
        var name = known
        if tree.text("/sys/class/net/eth0/addr_assign_type") != randomAddress, address.text != "00:00:00:00:00:00" {
            name += address
        }
        guard name.count > 8 else { return nil }
        if let machine = source(tree, "/etc/machine-id"), (try? UUID(parsing: machine)) != nil { name += machine }
        return AgentIdentity(id: "\(UUID(name: name, in: .objectIdentifiers))", origin: .incompleteHardware)
    }

    private static func ofMachineID(_ tree: FileTree) -> AgentIdentity? {
        guard let bytes = tree.bytes("/etc/machine-id") else { return nil }
        do throws(UUID.ParseError) {
            return AgentIdentity(id: "\(try UUID(parsing: bytes[...].trimmed))", origin: .machineID)
        } catch .format {
            let name = source(tree, "/etc/machine-id") ?? []
            return AgentIdentity(id: "\(UUID(name: name, in: .objectIdentifiers))", origin: .machineID)
        } catch {
            return nil
        }
    }

    /// A source of identity, trimmed; nil when it cannot be read or has less than 6 bytes before trimming.
    private static func source(_ tree: FileTree, _ path: String) -> [UInt8]? {
        guard let bytes = tree.bytes(path), bytes.count >= 6 else { return nil }
        return Array(bytes[...].trimmed)
    }
}
