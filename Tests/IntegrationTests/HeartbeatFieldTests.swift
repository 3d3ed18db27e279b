// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Testing

/// The agent's and its plugin's heartbeats, compared with what other programs say of the same host at the same time.
extension Integration {
    @Suite(.alone) struct HeartbeatContents {
        private let run: HeartbeatRun

        init() throws { run = try HeartbeatRun.recorded.get() }

        /// Every field, none missing and none unknown: from the first heartbeat, which opens the stream, to one in the
        /// middle of the load.
        @Test func everyFieldIsWhatOthersSay() {
            #expect(run.of(1000).count == 3 && run.of(1001).count == 2)
            for heartbeat in run.heartbeats {
                let wrong = mismatches(heartbeat.fields, heartbeat.expected.fields)
                #expect(wrong == [], "\(heartbeat.dataType) at \(heartbeat.arrival)")
            }
        }

        /// Every record is in one state; nothing is lost, broken or sent twice here.
        @Test func recordsAreAccountedFor() throws {
            for heartbeat in run.heartbeats {
                let states = ["confirmed", "malformed", "queued", "spooled", "dropped"].map {
                    heartbeat.number("ledger_" + $0)
                }
                #expect(heartbeat.number("ledger_received") == states.reduce(0, +))
            }
        }

        /// What makes the comparison above fail.
        @Test func comparisonFindsEachDifference() throws {
            for heartbeat in run.heartbeats {
                let expected = heartbeat.expected.fields
                for name in heartbeat.fields.keys {
                    var fields = heartbeat.fields
                    fields[name] = "-1"
                    if expected[name]?.isAnyText != true {
                        #expect(mismatches(fields, expected).contains { $0.hasPrefix(name + " = ") }, "\(name)")
                    }
                    fields[name] = nil
                    #expect(mismatches(fields, expected).contains("\(name) is missing"))
                    fields["other_" + name] = "0"
                    #expect(mismatches(fields, expected).contains("other_\(name) = \"0\" is not known"))
                }
            }
        }

        /// Another unit or another process is found too, tolerant as the comparison of moving values is.
        @Test func comparisonFindsThreeTimesTheValue() throws {
            let names = ["pid", "start_time", "rss", "nfd", "nproc", "total_mem", "boot_time", "total_procs"]
            let plugin = try #require(run.of(1001).last)
            let agent = try #require(run.of(1000).last)
            for (heartbeat, more) in [(agent, ["du"]), (plugin, ["cpu", "tx_tps", "tx_speed", "rx_tps"])] {
                for name in names + more where heartbeat.fields[name] != nil {
                    var fields = heartbeat.fields
                    let triple = heartbeat.number(name) * 3
                    fields[name] = triple == triple.rounded() ? "\(Int(triple))" : "\(triple)"
                    let found = mismatches(fields, heartbeat.expected.fields)
                    #expect(found.contains { $0.hasPrefix(name + " = ") }, "\(name)")
                }
            }
        }

        /// protoc decodes the bytes that arrived to the same records, and the header says who sent them.
        @Test func bytesAreWhatProtocDecodes() {
            for heartbeat in run.heartbeats {
                let packaged = heartbeat.packaged
                #expect(
                    packaged.records.count {
                        $0.dataType == heartbeat.dataType && $0.timestamp == heartbeat.timestamp
                            && $0.fields == heartbeat.fields
                    } == 1
                )
                let (header, expected) = (packaged.header, heartbeat.expected.header)
                let texts = [
                    "agent_id": header.agentId, "hostname": header.hostname, "version": header.version,
                    "product": header.product,
                ]
                let lists = [
                    "intranet_ipv4": header.intranetIpv4, "extranet_ipv4": header.extranetIpv4,
                    "intranet_ipv6": header.intranetIpv6, "extranet_ipv6": header.extranetIpv6,
                ]
                #expect(mismatches(texts, expected.filter { $0.value.list == nil }) == [])
                #expect(Set(expected.keys) == Set(texts.keys).union(lists.keys))
                for (name, values) in lists {
                    #expect(expected[name]?.isMet(by: values) == true, "\(name): \(values)")
                }
            }
        }

        /// What the server and the manager make of the fields: by their rules in Go, and by the same rules here.
        @Test func everyFieldHasTheTypeThatTheServerWants() {
            #expect(run.verdicts.count >= run.heartbeats.count)
            #expect(run.verdicts.flatMap(\.self) == [])
            for heartbeat in run.heartbeats {
                #expect(ServerRules.problems(heartbeat.fields, dataType: heartbeat.dataType) == [])
            }
        }

        /// The plugin keeps a processor busy and writes 2 MiB a second: in the last heartbeats, nothing but that.
        @Test func loadIsSeen() throws {
            let plugin = try #require(run.of(1001).last)
            #expect((0.1...1.5).contains(plugin.number("cpu")))
            // A file system in memory writes to no storage.
            if let most = plugin.expected.fields["write_speed"]?.greatest, most > HeartbeatRun.fileRate / 2 {
                let speed = plugin.number("write_speed") / HeartbeatRun.fileRate
                #expect((0.4...2.5).contains(speed))
            }
            let agent = try #require(run.of(1000).last)
            #expect(agent.number("cpu_usage") >= plugin.number("cpu") / agent.number("nproc") / 2)
            #expect(agent.number("cpu") < 0.5)
            let first = try #require(run.of(1000).first)
            for name in ["cpu", "read_speed", "write_speed", "rx_speed", "tx_speed", "rx_tps", "tx_tps"] {
                #expect(first.number(name) >= 0 && first.number(name) < 1e9, "\(name)")
            }
        }
    }
}
