// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Host
import Testing

@Suite struct NetworkTests {
    enum Reach: Sendable { case intranet, extranet, none }

    @Test(
        arguments: [
            ([10, 0, 0, 1], "10.0.0.1", Reach.intranet), ([192, 168, 255, 1], "192.168.255.1", .intranet),
            ([172, 16, 0, 1], "172.16.0.1", .intranet), ([172, 31, 255, 254], "172.31.255.254", .intranet),
            ([172, 15, 0, 1], "172.15.0.1", .extranet), ([172, 32, 0, 1], "172.32.0.1", .extranet),
            ([172, 48, 0, 1], "172.48.0.1", .extranet), ([192, 169, 0, 1], "192.169.0.1", .extranet),
            ([8, 8, 8, 8], "8.8.8.8", .extranet), ([100, 64, 0, 1], "100.64.0.1", .extranet),
            ([11, 0, 0, 0], "11.0.0.0", .extranet), ([127, 0, 0, 1], "", .none), ([169, 254, 1, 1], "", .none),
            ([224, 0, 0, 1], "", .none), ([239, 1, 1, 1], "", .none), ([255, 255, 255, 255], "", .none),
            ([0, 0, 0, 0], "", .none), ([], "", .none), ([10, 0, 0], "", .none),
        ] as [([UInt8], String, Reach)]
    )
    func ipv4IsSplitByReach(_ bytes: [UInt8], _ text: String, _ reach: Reach) {
        let facts = NetworkFacts(addresses: [InterfaceAddress(interface: "eth0", bytes: bytes)])
        #expect(facts.intranetIPv4 == (reach == .intranet ? [text] : []))
        #expect(facts.extranetIPv4 == (reach == .extranet ? [text] : []))
        #expect(facts.intranetIPv6.isEmpty && facts.extranetIPv6.isEmpty)
    }

    @Test(
        arguments: [
            ([0xfd, 0x00, 0x00, 0x01], 0x01, "fd00:1::1", Reach.intranet),
            ([0x20, 0x01, 0x0d, 0xb8], 5, "2001:db8::5", .extranet),
            ([0xfc, 0x00], 1, "fc00::1", .extranet), ([0xfe, 0x80], 1, "", .none), ([0xfe, 0xbf], 1, "", .none),
            ([0xff, 0x02], 1, "", .none), ([0], 1, "", .none), ([0], 0, "", .none), ([0], 2, "::2", .extranet),
        ] as [([UInt8], UInt8, String, Reach)]
    )
    func ipv6IsSplitByReach(_ head: [UInt8], _ last: UInt8, _ text: String, _ reach: Reach) {
        let bytes = head + [UInt8](repeating: 0, count: 15 - head.count) + [last]
        let facts = NetworkFacts(addresses: [InterfaceAddress(interface: "eth0", bytes: bytes)])
        #expect(facts.intranetIPv6 == (reach == .intranet ? [text] : []))
        #expect(facts.extranetIPv6 == (reach == .extranet ? [text] : []))
        #expect(facts.intranetIPv4.isEmpty && facts.extranetIPv4.isEmpty)
    }

    @Test func mappedIPv4IsIPv4() {
        let bytes = [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 10, 1, 2, 3]
        let facts = NetworkFacts(addresses: [InterfaceAddress(interface: "eth0", bytes: bytes)])
        #expect(facts.intranetIPv4 == ["10.1.2.3"])
        #expect(facts.extranetIPv6.isEmpty)
    }

    @Test(arguments: [
        ("lo", false), ("lo:1", false), ("docker0", false), ("docker_gwbridge", false), ("veth1a2b3c4", false),
        ("br-0123456789ab", false), ("cni0", false), ("flannel.1", false), ("cali12345", false), ("virbr0", false),
        ("kube-ipvs0", false), ("kube-bridge", false), ("podman0", false), ("eth0", true), ("ens3", true),
        ("bond0.100", true), ("br0", true), ("br-ex", true), ("br-lan", true), ("wlan0", true), ("tun0", true),
        ("enp0s31f6", true),
    ])
    func interfacesOfContainersAreLeftOut(_ interface: String, _ counts: Bool) {
        let facts = NetworkFacts(addresses: [InterfaceAddress(interface: interface, bytes: [10, 0, 0, 1])])
        #expect(facts.intranetIPv4.isEmpty != counts)
    }

    @Test func eachListEndsAfterFive() {
        let addresses = (1...9).flatMap { index in
            [[10, 0, 0, index], [9, 0, 0, index]].map { InterfaceAddress(interface: "eth0", bytes: $0) }
        }
        let facts = NetworkFacts(addresses: addresses as [InterfaceAddress])
        #expect(facts.intranetIPv4 == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"])
        #expect(facts.extranetIPv4.count == 5)
    }

    @Test(arguments: [
        ("eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n", "192.0.2.1"),
        ("eth0\t000200C0\t00000000\t0001\t0\neth0\t00000000\tFE01A8C0\t0003\t0\n", "192.168.1.254"),
        ("eth0\t00000000\t010200C0\t0002\t0\neth0\t00000000\t0100000A\t0003\n", "10.0.0.1"),
        ("eth0\t00000000\t0102\t0003\neth0\t00000000\tGGGGGGGG\t0003\neth0\neth0 0 0 zz\n", ""), ("", ""),
    ])
    func gatewayIsTheFirstThatIsUp(_ rows: String, _ expected: String) throws {
        let header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
        let recorded = try RecordedTree(["/proc/net/route": header + rows])
        #expect(NetworkFacts.current(tree: recorded.tree, addresses: []).gateway == expected)
    }

    @Test(arguments: [
        ("nameserver 192.0.2.53\n", "192.0.2.53"),
        (
            "# nameserver 1.1.1.1\nsearch x\nnameserver\t10.0.0.1  # first\nnameserver ::1\noptions edns0\n",
            "10.0.0.1,::1"
        ),
        ("nameservers 1.2.3.4\nnameserver\nnameserver \n", ""), ("", ""),
    ])
    func nameServersAreJoined(_ content: String, _ expected: String) throws {
        let recorded = try RecordedTree(["/etc/resolv.conf": content])
        #expect(NetworkFacts.current(tree: recorded.tree, addresses: []).dns == expected)
    }

    @Test func missingFilesGiveEmptyFacts() throws {
        let recorded = try RecordedTree()
        let facts = NetworkFacts.current(tree: recorded.tree, addresses: [])
        #expect(facts.gateway.isEmpty && facts.dns.isEmpty)
    }
}
