// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// An address of a network interface.
public struct InterfaceAddress: Sendable, Equatable {
    public let interface: String
    /// 4 bytes of IPv4 or 16 of IPv6, in network order.
    public let bytes: [UInt8]

    public init(interface: String, bytes: [UInt8]) {
        self.interface = interface
        self.bytes = bytes
    }

    /// All of this host, in the kernel's order (getifaddrs(3)).
    public static func all() -> [InterfaceAddress] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&list) == 0 else { return [] }
        defer { unsafe freeifaddrs(list) }
        var result: [InterfaceAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            unsafe next = entry.pointee.ifa_next
            guard let name = unsafe entry.pointee.ifa_name, let address = unsafe entry.pointee.ifa_addr else {
                continue
            }
            let raw = UnsafeRawPointer(address)
            let bytes: [UInt8]
            switch unsafe CInt(address.pointee.sa_family) {
            case AF_INET:
                let offset = MemoryLayout<sockaddr_in>.offset(of: \.sin_addr) ?? 4
                bytes = unsafe Array(UnsafeRawBufferPointer(start: raw + offset, count: 4))
            case AF_INET6:
                let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr) ?? 8
                bytes = unsafe Array(UnsafeRawBufferPointer(start: raw + offset, count: 16))
            default: continue
            }
            unsafe result.append(InterfaceAddress(interface: String(cString: name), bytes: bytes))
        }
        return result
    }
}

extension InterfaceAddress {
    /// Interfaces of containers and virtual machines on this host, and of the host itself: nobody reaches it there.
    private static let localPrefixes = [
        "lo", "docker", "veth", "cni", "flannel", "cali", "virbr", "kube-", "podman",
    ]

    /// "br-" alone is no sign: br-ex of Open vSwitch carries the host's own address. Docker's have 12 hex digits.
    var isLocal: Bool {
        if Self.localPrefixes.contains(where: { interface.hasPrefix($0) }) { return true }
        guard interface.hasPrefix("br-") else { return false }
        let suffix = interface.utf8.dropFirst(3)
        return suffix.count == 12 && suffix.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// The bytes, an IPv4 address in IPv6 form (::ffff:0:0/96) as IPv4.
    private var plain: [UInt8] {
        let isMapped = bytes.count == 16 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10...11] == [0xff, 0xff]
        return isMapped ? Array(bytes[12...]) : bytes
    }

    var isIPv4: Bool { plain.count == 4 }

    /// Not unspecified, loopback, link-local, multicast or broadcast.
    var isGlobalUnicast: Bool {
        let bytes = plain
        if bytes.count == 4 {
            return bytes != [0, 0, 0, 0] && bytes != [255, 255, 255, 255] && bytes[0] != 127 && bytes[0] & 0xf0 != 0xe0
                && !(bytes[0] == 169 && bytes[1] == 254)
        }
        guard bytes.count == 16 else { return false }
        let isLow = bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] <= 1
        return !isLow && bytes[0] != 0xff && !(bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80)
    }

    /// 10/8, 172.16/12, 192.168/16 and fd00::/8, as upstream; all else is extranet.
    var isIntranet: Bool {
        let bytes = plain
        if bytes.count != 4 { return bytes.first == 0xfd }
        return bytes[0] == 10 || (bytes[0] == 192 && bytes[1] == 168) || (bytes[0] == 172 && bytes[1] & 0xf0 == 16)
    }

    /// "192.0.2.1", or RFC 5952's form of IPv6 (inet_ntop(3)).
    var text: String {
        let bytes = plain
        guard bytes.count == 4 || bytes.count == 16 else { return "" }
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard unsafe inet_ntop(family, bytes, &buffer, socklen_t(buffer.count)) != nil else { return "" }
        return buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)).text
    }
}
