// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Syscalls

/// What to do about what the agent's log says, where the line does not say so itself.
enum Remedy {
    private static let known: [(words: String, remedy: String)] = [
        (
            "agentID conflict",
            "another host has this id, or the server has not noticed yet that this one was gone; see elkeidctl doctor"
        ),
        (
            "out of max connection limit",
            "the server takes no more agents: raise connlimit in its svr.yml, or add a server"
        ),
        ("cannot connect", "elkeidctl doctor tests the way to the server step by step"),
        ("was not resolved", "elkeidctl doctor tests the way to the server step by step"),
        ("service discovery at", "elkeidctl doctor tests service discovery and what it names"),
        (
            "silent for",
            "something between drops the connection without a word: look at firewalls and NAT, or lower keepalive in [timeouts]"
        ),
        ("out of memory", "raise memory_max in [plugins] or [plugin \"NAME\"] of agent.conf, then elkeidctl reload"),
        ("No space left", "make room on that file system; elkeidctl doctor shows which ones are full"),
        ("Read-only file system", "that file system is mounted read-only, often after a disk error: see dmesg"),
        ("Permission denied", "elkeidctl doctor looks for SELinux denials and wrong permissions"),
        ("ended unexpectedly", "elkeidctl log --plugin NAME shows what it wrote before it ended"),
        ("malformed records", "that plugin's records are broken: report it to its author"),
    ]

    /// - Parameter plugin: whose it is, where it is a plugin's.
    static func of(_ message: String, plugin: String? = nil) -> String? {
        guard let remedy = known.first(where: { message.contains(text: $0.words) })?.remedy else { return nil }
        guard let plugin, let place = remedy.range(ofText: "NAME") else { return remedy }
        return remedy.replacingCharacters(in: place, with: plugin)
    }
}

extension String {
    fileprivate func replacingCharacters(in range: Range<Index>, with text: String) -> String {
        var result = self
        result.replaceSubrange(range, with: text)
        return result
    }
}
