// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Host
import Testing

/// This host, as other programs see it.
@Suite struct ThisHostTests {
    @Test func kernelIsThatOfUname() throws {
        let facts = HostFacts.current()
        #expect(facts.kernelVersion == output(of: "uname", ["-r"]))
        #expect(facts.architecture == output(of: "uname", ["-m"]))
        #expect(NetworkFacts.current().hostname == output(of: "uname", ["-n"]))
    }

    @Test(.enabled(if: output(of: "ip", ["-j", "addr"]) != nil, "ip(8) is the independent source"))
    func addressesAreThoseOfIP() throws {
        let text = try #require(output(of: "ip", ["-j", "addr"]))
        let interfaces = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
        var expected: Set<String> = []
        for interface in interfaces {
            let name = interface["ifname"] as? String ?? ""
            let skipped = ["lo", "docker", "veth", "br-", "cni", "flannel", "cali", "virbr", "kube-", "podman"]
            if skipped.contains(where: { name.hasPrefix($0) }) { continue }
            for address in interface["addr_info"] as? [[String: Any]] ?? [] {
                guard let local = address["local"] as? String, !local.hasPrefix("127."), !local.hasPrefix("169.254."),
                    !local.hasPrefix("fe80:"), local != "::1"
                else { continue }
                expected.insert(local)
            }
        }
        let facts = NetworkFacts.current()
        let lists = [facts.intranetIPv4, facts.extranetIPv4, facts.intranetIPv6, facts.extranetIPv6]
        let found = Set(lists.joined())
        #expect(found.isSubset(of: expected))
        if lists.allSatisfy({ $0.count < NetworkFacts.addressLimit }) { #expect(found == expected) }
    }

    @Test(.enabled(if: output(of: "ip", ["-4", "route", "show", "default"]) != nil, "ip(8) is the independent source"))
    func gatewayIsThatOfIP() throws {
        let words = try #require(output(of: "ip", ["-4", "route", "show", "default"])).split(separator: " ")
        let via = words.firstIndex(of: "via").map { String(words[words.index(after: $0)]) }
        #expect(NetworkFacts.current().gateway == via ?? "")
    }

    @Test func hostSampleIsThatOfProc() throws {
        var sampler = HostSampler()
        let sample = sampler.sample()
        #expect(UInt64(hostWords("/proc/meminfo", after: "MemTotal:")[0]).map { $0 * 1024 } == sample.totalMemory)
        #expect(output(of: "nproc", []) == "\(sample.processors)")
        let boot = try #require(UInt64(hostWords("/proc/stat", after: "btime")[0]))
        #expect(abs(Double(boot) - Double(sample.bootTime)) <= 1)
        #expect(sample.totalTasks > 0)
        #expect((0...1).contains(sample.processorUsage) && (0...1).contains(sample.memoryUsage))
    }

    @Test(.enabled(if: output(of: "lscpu", []) != nil, "lscpu(1) is the independent source"))
    func processorIsThatOfLscpu() throws {
        let lines = try #require(output(of: "lscpu", [])).split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix("Model name:") })
        let name = line.dropFirst("Model name:".count).trimmingCharacters(in: .whitespaces)
        if name != "-" { #expect(HostFacts.current().processorName == name) }
    }

    @Test(.enabled(if: output(of: "lsb_release", ["-is"]) != nil, "lsb_release(1) is the independent source"))
    func platformIsThatOfLsbRelease() throws {
        let name = try #require(output(of: "lsb_release", ["-is"])).lowercased()
        let platform = Platform.current()
        let known = ["debian", "ubuntu", "centos", "fedora", "rocky", "almalinux"]
        if known.contains(name) { #expect(platform.name == name) }
        #expect(!platform.version.isEmpty)
    }

    @Test func processIsThatOfProc() throws {
        let process = try WaitingProcess()
        var sampler = ProcessSampler(pid: process.pid)
        let sampled = sampler.sample()
        let sample = try #require(sampled)
        #expect(sample.openDescriptors == hostEntries("/proc/\(process.pid)/fd").count)
        let stat = try #require(hostFile("/proc/\(process.pid)/stat"))
        let fields = stat[stat.index(after: try #require(stat.lastIndex(of: ")")))...].split(separator: " ")
        let ticks = try #require(Double(fields[19]))
        let boot = try #require(Double(hostWords("/proc/stat", after: "btime")[0]))
        let expected = boot + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
        #expect(abs(Double(sample.startTime) - expected) <= 1.01)
        #expect(sample.residentBytes > 0)
        #expect(sample.residentBytes % UInt64(sysconf(Int32(_SC_PAGESIZE))) == 0)
        process.end()
        #expect(sampler.sample() == nil)
    }

    @Test func identityIsTheSameEveryTime() {
        let first = AgentIdentity.determine(keptFiles: [])
        if first.origin != .random { #expect(AgentIdentity.determine(keptFiles: []) == first) }
        #expect(first.id.utf8.count == 36)
    }
}
