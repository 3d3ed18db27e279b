// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration

/// Everything that elkeidctl can do; help, completion and the manual page's test are made from it.
enum CommandTable {
    private static let json = Command.Option(name: "--json", value: nil, summary: "print one JSON object")

    static let all: [Command] = service + settings + looking + trouble + other

    private static let service: [Command] = [
        Command(name: "enable", group: .service, summary: "Start the agent at boot") { tool, _ throws(ToolError) in
            try tool.service().enable()
        },
        Command(name: "disable", group: .service, summary: "Do not start the agent at boot") {
            tool,
            _ throws(ToolError) in
            try tool.service().disable()
        },
        Command(name: "start", group: .service, summary: "Start the agent") { tool, _ throws(ToolError) in
            try tool.service().start()
        },
        Command(name: "stop", group: .service, summary: "Stop the agent and its plugins") { tool, _ throws(ToolError) in
            try tool.service().stop()
        },
        Command(name: "restart", group: .service, summary: "Stop the agent and start it again") {
            tool,
            _ throws(ToolError) in
            try tool.service().restart()
        },
        Command(
            name: "check",
            group: .service,
            summary: "Start the agent if it should run and does not",
            details:
                "cron calls this every minute where there is no systemd. An agent that answers at two of these checks nothing\nat all is killed and started again. Under systemd, which looks itself, it does nothing."
        ) { tool, _ throws(ToolError) in
            try tool.service().check()
        },
        Command(
            name: "cleanup",
            group: .service,
            summary: "Remove what an earlier agent's installation left in cgroups",
            details: "Under systemd it does nothing."
        ) { tool, _ throws(ToolError) in
            try tool.service().cleanUp()
        },
        Command(name: "service-reload", group: .service, summary: "Let the service manager read its files again") {
            tool,
            _ throws(ToolError) in
            try tool.service().reloadManager()
        },
    ]

    private static let settings: [Command] = [
        Command(
            name: "set",
            group: .settings,
            summary: "Set what is particular to this host, in specified_env",
            options: [
                .init(
                    name: "--id",
                    value: "ID",
                    summary: "the agent's id, instead of the one derived from the hardware"
                ),
                .init(name: "--idc", value: "NAME", summary: "the data center"),
                .init(name: "--region", value: "NAME", summary: "one of the regions in agent.conf"),
                .init(
                    name: "--service_type",
                    value: "TYPE",
                    summary: "who runs the agent",
                    words: ServiceType.allCases.map(\.rawValue)
                ),
            ],
            details: "A running agent takes idc and region over at once; the id takes effect when it is started again."
        ) { tool, invocation throws(ToolError) in
            try tool.set(invocation)
        },
        Command(
            name: "unset",
            group: .settings,
            summary: "Remove what `set` has set",
            options: [
                .init(name: "--id", value: nil, summary: "the id is derived from the hardware again"),
                .init(name: "--idc", value: nil, summary: "as agent.conf has it"),
                .init(name: "--region", value: nil, summary: "as agent.conf has it"),
                .init(name: "--service_type", value: nil, summary: "found out each time"),
            ]
        ) { tool, invocation throws(ToolError) in
            try tool.unset(invocation)
        },
        Command(
            name: "reload",
            group: .settings,
            summary: "Let the running agent read agent.conf again",
            details:
                "A file with a mistake in it is refused: what is wrong is printed, and the agent goes on with what it has."
        ) { tool, _ throws(ToolError) in
            try tool.reload()
        },
        Command(
            name: "log-level",
            group: .settings,
            summary: "Change what the running agent logs, until it is started again or reloads",
            operand: ("LEVEL", LogLevel.allCases.map(\.rawValue))
        ) { tool, invocation throws(ToolError) in
            try tool.setLogLevel(invocation.operand)
        },
        Command(
            name: "reconnect",
            group: .settings,
            summary: "Let the agent make its connection anew, now",
            details: "A stream that runs is ended in order; an agent that waits for its next attempt makes it at once."
        ) { tool, _ throws(ToolError) in
            try tool.reconnect()
        },
    ]

    private static let looking: [Command] = [
        Command(
            name: "status",
            group: .looking,
            summary: "Show how the agent is doing",
            options: [json],
            details:
                "First what the service manager says, then what the agent itself does. Exit code 0: it runs; 1: it does not (under\nsysvinit the code is 0 in any case, as it always was)."
        ) { tool, invocation throws(ToolError) in
            try tool.status(invocation)
        },
        Command(
            name: "top",
            group: .looking,
            summary: "Show it again and again",
            options: [
                .init(name: "--interval", value: "SECONDS", summary: "between two looks, 1 to 60 (default 2)"),
                .init(name: "--sort", value: "COLUMN", summary: "what plugins are sorted by", words: PluginOrder.words),
            ],
            details: "Keys: n name, c CPU, m memory, r records, d drops; space pauses, q quits."
        ) { tool, invocation throws(ToolError) in
            try tool.top(invocation)
        },
        Command(
            name: "metrics",
            group: .looking,
            summary: "Print the agent's figures for Prometheus",
            options: [
                .init(
                    name: "--textfile",
                    value: "FILE",
                    summary: "write them to a file instead, replaced at once, for node_exporter's textfile collector"
                )
            ]
        ) { tool, invocation throws(ToolError) in
            try tool.metrics(invocation)
        },
        Command(
            name: "tail",
            group: .looking,
            summary: "Show records as they pass",
            options: [
                .init(name: "--plugin", value: "NAME", summary: "only those of this plugin"),
                .init(name: "--type", value: "NUMBER", summary: "only those of this data type"),
                .init(name: "--count", value: "NUMBER", summary: "end after so many"),
                json,
            ],
            details: "The stream to the server is not disturbed: what there is no time for is not shown, and counted."
        ) { tool, invocation throws(ToolError) in
            try tool.tail(invocation)
        },
        Command(
            name: "log",
            group: .looking,
            summary: "Show the agent's log",
            options: [
                .init(name: "--lines", value: "NUMBER", summary: "the last ones, 1 to 100000 (default 50)"),
                .init(name: "--follow", value: nil, summary: "and what is added"),
                .init(name: "--plugin", value: "NAME", summary: "what this plugin wrote to its stderr"),
            ]
        ) { tool, invocation throws(ToolError) in
            try tool.showLog(invocation)
        },
    ]

    private static let trouble: [Command] = [
        Command(
            name: "doctor",
            group: .trouble,
            summary: "Look for what is wrong, from the configuration to the server's answer",
            options: [
                json,
                .init(name: "--offline", value: nil, summary: "look at this host only"),
                .init(
                    name: "--timeout",
                    value: "SECONDS",
                    summary: "for each step on the network, 1 to 60 (default 5)"
                ),
            ],
            details:
                "Works with the agent running or not. Exit code 0: everything is right; 1: something is wrong; 2: something may\nbecome so."
        ) { tool, invocation throws(ToolError) in
            try tool.doctor(invocation)
        },
        Command(
            name: "bundle",
            group: .trouble,
            summary: "Collect what a bug report needs, secrets left out",
            options: [
                .init(name: "--output", value: "FILE", summary: "where to put it (default elkeid-HOST-TIME.tar.gz)")
            ]
        ) { tool, invocation throws(ToolError) in
            try tool.bundle(invocation)
        },
    ]

    private static let other: [Command] = [
        Command(
            name: "completion",
            group: .other,
            summary: "Print a script that completes elkeidctl's command lines",
            operand: ("SHELL", ["bash", "zsh", "fish"])
        ) { tool, invocation throws(ToolError) in
            try tool.completion(invocation)
        },
        Command(name: "version", group: .other, summary: "Print the version of this program and of the running agent") {
            tool,
            _ throws(ToolError) in
            tool.printVersion()
        },
        Command(
            name: "help",
            group: .other,
            summary: "Print what there is, or how a command is used",
            operand: ("COMMAND", [])
        ) { tool, invocation throws(ToolError) in
            try tool.help(invocation.operand)
        },
    ]

    static func named(_ name: String) -> Command? { all.first { $0.name == name } }

    static var help: String {
        var text = "usage: elkeidctl [--config FILE] COMMAND [OPTIONS]\n\nControls the Elkeid agent of this host.\n"
        let width = (all.map(\.name.count).max() ?? 0) + 3
        for group in Command.Group.allCases {
            text += "\n\(group.rawValue):\n"
            for command in all where command.group == group {
                let padding = String(repeating: " ", count: width - command.name.count)
                text += "  \(command.name)\(padding)\(command.summary)\n"
            }
        }
        text += "\n  --config FILE   the agent's configuration (default \(Tool.defaultConfiguration))\n"
        return text + "\n\"elkeidctl COMMAND --help\" tells more. The manual: elkeidctl(8).\n"
    }
}
