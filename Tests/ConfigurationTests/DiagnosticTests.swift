// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Testing

@Suite struct DiagnosticTests {
    /// A file, and everything that is to be said about it.
    static let table: [(String, [Diagnostic])] = [
        // Unknown sections and keys.
        (
            "[agent]\nlog_levle = debug",
            [warning(2, #"the key "log_levle" is unknown in [agent] and ignored"#, "did you mean log_level?")]
        ),
        (
            "[agent]\nlog level = debug",
            [warning(2, #"the key "log level" is unknown in [agent] and ignored"#, "did you mean log_level?")]
        ),
        (
            "[agent]\nlinger = 1s",
            [warning(2, #"the key "linger" is unknown in [agent] and ignored"#, "it belongs into [transfer]")]
        ),
        (
            "[tls]\nprivate = a:1",
            [warning(2, #"the key "private" is unknown in [tls] and ignored"#, #"it belongs into [region "NAME"]"#)]
        ),
        (
            "[tls]\nxy = 1",
            [
                warning(
                    2,
                    #"the key "xy" is unknown in [tls] and ignored"#,
                    "remove it, or check the version of the agent"
                )
            ]
        ),
        ("[timeout]\nx = 1", [warning(1, "the section [timeout] is unknown and ignored", "did you mean [timeouts]?")]),
        (
            "[regions \"a\"]",
            [warning(1, #"the section [regions "a"] is unknown and ignored"#, #"did you mean [region "NAME"]?"#)]
        ),
        ("[agent \"a\"]", [warning(1, #"the section [agent "a"] is unknown and ignored"#, "did you mean [agent]?")]),
        (
            "[future]\nx = y",
            [warning(1, "the section [future] is unknown and ignored", "remove it, or check the version of the agent")]
        ),
        (
            "[AGENT]\nidc = y",
            [warning(1, "the section [AGENT] is unknown and ignored", "remove it, or check the version of the agent")]
        ),
        (
            "[future \"\u{1b}]\"]",
            [
                warning(
                    1,
                    #"the section [future "\u{1b}]"] is unknown and ignored"#,
                    "remove it, or check the version of the agent"
                )
            ]
        ),
        // Repetitions and comments.
        (
            "[agent]\nidc = a\n[agent]\nidc = b",
            [warning(4, "[agent] idc was already set in line 2; the later line counts", "remove one of them")]
        ),
        (
            "[agent]\nidc = a # b",
            [
                warning(
                    2,
                    "[agent] idc: what looks like a comment is part of the value",
                    "put comments on lines of their own"
                )
            ]
        ),
        // Bad values of each kind.
        (
            "[agent]\nlog_level = inof",
            [
                error(
                    2,
                    #"[agent] log_level: "inof" is not one of trace, debug, info, notice, "#
                        + "warning, error, critical, using info",
                    "did you mean info?"
                )
            ]
        ),
        (
            "[agent]\nlog_level = 7",
            [
                error(
                    2,
                    #"[agent] log_level: "7" is not one of trace, debug, info, notice, warning, "#
                        + "error, critical, using info",
                    "write one of them"
                )
            ]
        ),
        (
            "[agent]\nlog_level =",
            [
                error(
                    2,
                    #"[agent] log_level: "" is not one of trace, debug, info, notice, warning, "#
                        + "error, critical, using info",
                    "write one of them"
                )
            ]
        ),
        (
            "[agent]\nwork_dir =",
            [error(2, "[agent] work_dir: there is no value, using /var/lib/elkeid", "write one, or remove the line")]
        ),
        (
            "[agent]\nwork_dir = \"/x\"",
            [
                error(
                    2,
                    #"[agent] work_dir: ""/x"" has quotes around it, which would be part of the "#
                        + "value, using /var/lib/elkeid",
                    "remove them"
                )
            ]
        ),
        (
            "[agent]\nidc = a\u{7f}",
            [error(2, #"[agent] idc: "a\u{7f}" contains control characters, using default"#, "remove them")]
        ),
        (
            "[agent]\nid = a\u{7f}",
            [error(2, #"[agent] id: "a\u{7f}" contains control characters, not used"#, "remove them")]
        ),
        (
            "[transfer]\ncompression = lz4",
            [
                error(
                    2,
                    #"[transfer] compression: "lz4" is not one of none, snappy, gzip, zstd, using none"#,
                    "write one of them"
                )
            ]
        ),
        (
            "[transfer]\nlinger = 11s",
            [
                error(
                    2,
                    #"[transfer] linger: "11s" is not between 0s and 10s, using 100ms"#,
                    "write a duration from 0s to 10s"
                )
            ]
        ),
        (
            "[transfer]\nlinger = soon",
            [
                error(
                    2,
                    #"[transfer] linger: "soon" is not a duration, using 100ms"#,
                    "write a whole number with ms, s, min, h or d, such as 100ms"
                )
            ]
        ),
        (
            "[transfer]\nlinger = -1s",
            [
                error(
                    2,
                    #"[transfer] linger: "-1s" is not a duration, using 100ms"#,
                    "write a whole number with ms, s, min, h or d, such as 100ms"
                )
            ]
        ),
        (
            "[transfer]\nlinger = 9223372036854775807h",
            [
                error(
                    2,
                    #"[transfer] linger: "9223372036854775807h" is too long, using 100ms"#,
                    "write a shorter duration"
                )
            ]
        ),
        (
            "[transfer]\nlinger = 9223372036854775808",
            [
                error(
                    2,
                    #"[transfer] linger: "9223372036854775808" is not a duration, using 100ms"#,
                    "write a whole number with ms, s, min, h or d, such as 100ms"
                )
            ]
        ),
        (
            "[transfer]\nlinger = 1s\nlinger = 1w",
            [
                warning(3, "[transfer] linger was already set in line 2; the later line counts", "remove one of them"),
                error(
                    3,
                    #"[transfer] linger: "1w" is not a duration, using 1s"#,
                    "write a whole number with ms, s, min, h or d, such as 100ms"
                ),
            ]
        ),
        (
            "[transfer]\nmessage_size = 16383",
            [
                error(
                    2,
                    #"[transfer] message_size: "16383" is not between 16KiB and 8MiB, using 256KiB"#,
                    "write a size from 16KiB to 8MiB"
                )
            ]
        ),
        (
            "[transfer]\nmessage_size = 8193K",
            [
                error(
                    2,
                    #"[transfer] message_size: "8193K" is not between 16KiB and 8MiB, using 256KiB"#,
                    "write a size from 16KiB to 8MiB"
                )
            ]
        ),
        (
            "[spool]\nmemory = 1023K",
            [
                error(
                    2,
                    #"[spool] memory: "1023K" is not between 1MiB and 4GiB, using 16MiB"#,
                    "write a size from 1MiB to 4GiB"
                )
            ]
        ),
        (
            "[spool]\ndisk = 10MB",
            [
                error(
                    2,
                    #"[spool] disk: "10MB" is not a size, using 256MiB"#,
                    "write a whole number of bytes, or one with K, M, G, KiB, MiB or GiB"
                )
            ]
        ),
        (
            "[spool]\ndisk = 9223372036854775807G",
            [error(2, #"[spool] disk: "9223372036854775807G" is too large, using 256MiB"#, "write a smaller size")]
        ),
        (
            "[spool]\nwhen_full = drop",
            [
                error(
                    2,
                    #"[spool] when_full: "drop" is not one of drop-oldest, block, using drop-oldest"#,
                    "write one of them"
                )
            ]
        ),
        (
            "[plugins]\nmemory_max = 250",
            [
                error(
                    2,
                    #"[plugins] memory_max: "250" is not between 1MiB and 1048576GiB, not used"#,
                    "write a size from 1MiB to 1048576GiB"
                )
            ]
        ),
        (
            "[plugins]\ncpu_max = 10",
            [
                error(
                    2,
                    #"[plugins] cpu_max: "10" is not a share of a CPU, not used"#,
                    "write a whole number of percent, such as 10%"
                )
            ]
        ),
        (
            "[plugins]\ncpu_max = 0%",
            [
                error(
                    2,
                    #"[plugins] cpu_max: "0%" is not between 1% and 819200%, not used"#,
                    "write a share from 1% to 819200%, where 100% is one CPU"
                )
            ]
        ),
        (
            "[plugins]\nhigh_priority_pipe = maybe",
            [error(2, #"[plugins] high_priority_pipe: "maybe" is neither on nor off, using off"#, "write on or off")]
        ),
        (
            "[plugin \"driver\"]\ncpu_max = all",
            [
                error(
                    2,
                    #"[plugin "driver"] cpu_max: "all" is not a share of a CPU, not used"#,
                    "write a whole number of percent, such as 10%"
                )
            ]
        ),
        (
            "[timeouts]\nconnect = 9ms",
            [
                error(
                    2,
                    #"[timeouts] connect: "9ms" is not between 10ms and 1h, using 15s"#,
                    "write a duration from 10ms to 1h"
                )
            ]
        ),
        (
            "[timeouts]\nheartbeat = 6min",
            [
                error(
                    2,
                    #"[timeouts] heartbeat: "6min" is not between 10ms and 5min, using 1min"#,
                    "write a duration from 10ms to 5min"
                )
            ]
        ),
        // Addresses: the good ones stay.
        (
            "[region \"default\"]\nprivate = a:1, b",
            [
                error(
                    2,
                    #"[region "default"] private: "b" has no port, left out"#,
                    "write host:port, with brackets around IPv6: [2001:db8::1]:6751"
                )
            ]
        ),
        (
            "[region \"default\"]\nprivate = a:1,",
            [error(2, #"[region "default"] private: an item is empty, left out"#, "remove the extra comma")]
        ),
        (
            "[region \"default\"]\nprivate = a:1, a:70000",
            [error(2, #"[region "default"] private: "70000" is not a port, left out"#, "write a port from 1 to 65535")]
        ),
        (
            "[region \"default\"]\nprivate = a:1, http://a:1",
            [
                error(
                    2,
                    #"[region "default"] private: "http://a:1" is a URL or a path, left out"#,
                    "write host:port only"
                )
            ]
        ),
        (
            "[region \"default\"]\nprivate = a:1, ::1:2, [x]:3, 1.2.3:4",
            [
                error(
                    2,
                    #"[region "default"] private: "::1:2" is not host:port, left out"#,
                    "write host:port, with brackets around IPv6: [2001:db8::1]:6751"
                ),
                error(
                    2,
                    #"[region "default"] private: "[x]" is not an IPv6 address, left out"#,
                    "write host:port, with brackets around IPv6: [2001:db8::1]:6751"
                ),
                error(
                    2,
                    #"[region "default"] private: "1.2.3" is not a host name or address, left out"#,
                    "write host:port, with brackets around IPv6: [2001:db8::1]:6751"
                ),
            ]
        ),
        // Names of sections.
        (
            "[region]\nprivate = a:1",
            [error(1, "the section [region] is not used: it has no name", #"write [region "NAME"]"#)]
        ),
        (
            "[region \"\"]",
            [error(1, "the section is not used: as a region's name there is no value", "write one, or remove the line")]
        ),
        (
            "[region \" a\"]",
            [error(1, #"the section is not used: as a region's name " a" has blanks around it"#, "remove them")]
        ),
        ("[plugin]", [error(1, "the section [plugin] is not used: it has no name", #"write [plugin "NAME"]"#)]),
        (
            "[plugin \"../x\"]",
            [
                error(
                    1,
                    #"the section is not used: "../x" cannot be the name of a plugin"#,
                    "write letters, digits, _ and - only"
                )
            ]
        ),
        (
            "[plugin \"\"]",
            [
                error(
                    1,
                    #"the section is not used: "" cannot be the name of a plugin"#,
                    "write letters, digits, _ and - only"
                )
            ]
        ),
        // Regions.
        (
            "[agent]\n\nregion = cn",
            [
                error(
                    3,
                    #"[agent] region: the region "cn" is not defined, so there is no server to connect to"#,
                    #"add a section [region "cn"], or choose one of "default""#
                )
            ]
        ),
        (
            "[region \"cn\"]\nprivate = a:1\n[region \"b\"]",
            [
                error(
                    nil,
                    #"[agent] region: the region "default" is not defined, so there is no server to connect to"#,
                    #"add a section [region "default"], or choose one of "b", "cn""#
                )
            ]
        ),
        (
            "[region \"default\"]\nprivate =",
            [
                error(
                    nil,
                    #"[agent] region: the region "default" has no addresses, so there is no "# + "server to connect to",
                    "set service_discovery, private or public in its section"
                )
            ]
        ),
        // Names that servers take for numbers.
        (
            "[agent]\nid = 007\nidc = 1e3",
            [
                warning(
                    2,
                    #"[agent] id: "007" reads as a number, which servers do not take for a name"#,
                    "choose one with a letter in front"
                ),
                warning(
                    3,
                    #"[agent] idc: "1e3" reads as a number, which servers do not take for a name"#,
                    "choose one with a letter in front"
                ),
            ]
        ),
        // Timeouts that do not go together.
        (
            "[timeouts]\nreconnect_min = 2min",
            [
                error(
                    2,
                    "[timeouts] reconnect_min (2min) is longer than reconnect_max (1min), using 10s and 1min",
                    "make reconnect_min the shorter one"
                )
            ]
        ),
        (
            "[timeouts]\nplugin_restart_max = 10ms\nplugin_restart_min = 20ms",
            [
                error(
                    3,
                    "[timeouts] plugin_restart_min (20ms) is longer than plugin_restart_max "
                        + "(10ms), using 1s and 1min",
                    "make plugin_restart_min the shorter one"
                )
            ]
        ),
        (
            "[timeouts]\nkeepalive = 9s",
            [
                warning(
                    2,
                    "[timeouts] keepalive: servers may end connections that are pinged as often as every 9s",
                    "write 10s or more"
                )
            ]
        ),
    ]

    @Test(arguments: table)
    func saysWhatIsWrongAndWhatToDo(text: String, expected: [Diagnostic]) {
        let result = load(text)
        #expect(result.usable)
        #expect(result.diagnostics == expected)
    }

    /// A bad value leaves the whole configuration as if the line were not there.
    @Test(arguments: [
        "[agent]\nlog_level = loud", "[agent]\nwork_dir =", "[agent]\nregion =", "[tls]\nca = \"",
        "[tls]\nserver_name =",
        "[transfer]\ncompression = x", "[transfer]\nlinger = 1y", "[transfer]\nmessage_size = 9M",
        "[spool]\nmemory = 1",
        "[spool]\ndisk = x", "[spool]\nwhen_full = x", "[plugins]\nmemory_max = x", "[plugins]\ncpu_max = x",
        "[plugins]\nhigh_priority_pipe = x", "[timeouts]\nconnect = 0", "[timeouts]\nreconnect_min = 1h",
        "[agent]\nunknown = x", "[unknown]\nx = y", "[region]\nprivate = a:1", "[plugin \"a b\"]\nmemory_max = 5M",
    ])
    func badValuesLeaveTheDefaults(text: String) {
        let result = load(text)
        #expect(result.configuration == AgentConfiguration())
        #expect(result.diagnostics.count == 1)
    }

    @Test func theGoodAddressesOfAListStay() {
        let region = load("[region \"default\"]\nprivate = a:1, b, c:3\n").configuration.regions["default"]
        #expect(region?.privateEndpoints.map(\.description) == ["a:1", "c:3"])
    }

    @Test func aRegionFromTheEnvironmentIsBlamedThere() {
        let fromEnvironment = load("[agent]\nregion = default", environment: ["specified_region": "cn"])
        #expect(
            messages(fromEnvironment.diagnostics).first?.hasPrefix(
                "error environment: specified_region: the region \"cn\""
            ) == true
        )
        let fromFile = load("[agent]\nregion = default", specifiedEnv: "\nspecified_region = cn")
        #expect(
            messages(fromFile.diagnostics).first?.hasPrefix(
                "error specified_env:2: specified_region: the region \"cn\""
            ) == true
        )
        // The agent keeps the region it was told: the server shows it, and a newer file may define it.
        #expect(fromFile.configuration.agent.region == "cn")
    }

    @Test(arguments: [(90, 0), (91, 1)])
    func theSocketsPathFitsItsAddress(length: Int, errors: Int) {
        // 107 bytes with "/etc/elkeid/" and "/sock" around it.
        let text = "[agent]\ncontrol_socket = \(String(repeating: "x", count: length))/sock\n"
        #expect(load(text).diagnostics.count == errors)
    }
}
