// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// How this host is reached, now. The addresses and the name go into the header of every message.
public struct NetworkFacts: Sendable, Equatable {
    /// Of each list, the first few are enough to recognise a host; the kernel may have thousands.
    public static let addressLimit = 5

    public var hostname = ""
    public var intranetIPv4: [String] = []
    public var extranetIPv4: [String] = []
    public var intranetIPv6: [String] = []
    public var extranetIPv6: [String] = []
    /// Of the first route with a gateway that is up; IPv4.
    public var gateway = ""
    /// The name servers of resolv.conf(5), joined by ",".
    public var dns = ""

    /// The addresses split by family and reach; those of loopback and container interfaces left out.
    public init(addresses: [InterfaceAddress]) {
        for address in addresses where !address.isLocal && address.isGlobalUnicast {
            switch (address.isIPv4, address.isIntranet) {
            case (true, true): Self.append(address, to: &intranetIPv4)
            case (true, false): Self.append(address, to: &extranetIPv4)
            case (false, true): Self.append(address, to: &intranetIPv6)
            case (false, false): Self.append(address, to: &extranetIPv6)
            }
        }
    }

    public static func current(
        tree: FileTree = FileTree(),
        addresses: [InterfaceAddress] = InterfaceAddress.all()
    ) -> NetworkFacts {
        var facts = NetworkFacts(addresses: addresses)
        facts.hostname = KernelNames.current().node
        facts.gateway = gateway(tree)
        facts.dns = nameServers(tree)
        return facts
    }

    private static func append(_ address: InterfaceAddress, to list: inout [String]) {
        if list.count < addressLimit { list.append(address.text) }
    }

    private static func gateway(_ tree: FileTree) -> String {
        let (up, gateway): (UInt32, UInt32) = (1, 2)
        for line in tree.lines("/proc/net/route") {
            let columns = line.words
            guard columns.count > 3, let flags = UInt32(columns[3].text, radix: 16), flags & up != 0,
                flags & gateway != 0, columns[2].count == 8, let address = UInt32(columns[2].text, radix: 16)
            else { continue }
            // The kernel prints the bytes of the address as a little-endian number.
            return (0..<4).map { "\(address >> (8 * $0) & 255)" }.joined(separator: ".")
        }
        return ""
    }

    private static func nameServers(_ tree: FileTree) -> String {
        var servers: [String] = []
        for line in tree.lines("/etc/resolv.conf") {
            guard let rest = line.dropping(prefix: "nameserver"), rest.first?.isWhiteSpace == true,
                let server = rest.words.first
            else { continue }
            servers.append(server.text)
        }
        return servers.joined(separator: ",")
    }
}
