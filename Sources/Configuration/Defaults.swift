// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

extension AgentConfiguration {
    /// What holds when the file says nothing; the times are in `Timeouts`.
    public enum Defaults {
        /// Where the packages put the configuration, and where operators of the original agent look for it.
        public static let folder = "/etc/elkeid"
        /// State that survives reboots, by the Filesystem Hierarchy Standard.
        public static let workDirectory = "/var/lib/elkeid"
        public static let logDirectory = "/var/log/elkeid"
        /// /run is gone after a reboot, like the socket's owner.
        public static let controlSocket = "/run/elkeid/agent.sock"
        /// The original agent's.
        public static let idc = "default"
        /// The original agent's.
        public static let region = "default"
        /// The name in the certificates that Elkeid is shipped with and that its installer makes.
        public static let serverName = "elkeid.com"
        /// Relative to the configuration file.
        public static let ca = "certs/ca.crt"
        public static let certificate = "certs/client.crt"
        public static let privateKey = "certs/client.key"
        /// In the agent's work directory, as in the original agent's.
        public static let pluginFolder = "plugin"
        /// What is compiled into the original agent: Service Discovery on this host.
        public static let serviceDiscovery = [Endpoint(host: "127.0.0.1", port: 8088)].compactMap(\.self)
        /// What is compiled into the original agent: an Agent Center on this host.
        public static let privateEndpoints = [Endpoint(host: "127.0.0.1", port: 6751)].compactMap(\.self)
        /// The original agent's batching interval: servers and their storage are sized for it.
        public static let linger: Duration = .milliseconds(100)
        /// Large enough that the cost of a message does not count, small enough that a slow link is not blocked.
        public static let messageSize = 256 << 10
        /// A minute of a busy host; with the rest of the agent far below the service's limit of 250 MiB.
        public static let spoolMemory = 16 << 20
        /// Hours of an ordinary host, and of no importance on any disk.
        public static let spoolDisk = 256 << 20
        /// Bytes a second that are read from the spool to be sent: 256 MiB in 8 s, which no server's window notices.
        public static let spoolReplayRate = 32 << 20
        /// The original agent's: 1 MB ten times, for ten days.
        public static let logMaxSize = 1 << 20
        public static let logMaxFiles = 10
        public static let logMaxAge: Duration = .seconds(10 * 86_400)
    }

    /// What a value may be.
    public enum Bounds {
        /// The linger is a delay of every record: beyond 10 s the console is no longer live.
        public static let linger: ClosedRange<Duration> = .zero ... .seconds(10)
        /// One TLS record; and the server refuses 10 MiB, which leaves room for the header and one more record.
        public static let messageSize = 16 << 10...8 << 20
        /// A pipe's worth of records; and a memory that a host can lose.
        public static let spoolMemory = 1 << 20...4 << 30
        /// A tebibyte: more is a missing unit the other way round.
        public static let spoolDisk = 0...1 << 40
        /// Slower than that a full spool takes more than an hour; faster than any disk is no limit.
        public static let spoolReplayRate = 64 << 10...1 << 40
        /// A page of lines; and what an editor still opens.
        public static let logSize = 4 << 10...1 << 30
        /// None at all; more than a thousand is a mistake.
        public static let logFiles = 0...1000
        /// Shorter than a second is not kept at all; ten years is for ever.
        public static let logAge: ClosedRange<Duration> = .seconds(1) ... .seconds(3653 * 86_400)
        /// Below 1 MiB no process starts: that is a number whose unit was forgotten.
        public static let memoryMax = 1 << 20...1 << 50
        /// 8,192 CPUs: the most that Linux can be built for on these architectures.
        public static let cpuPercent = 1...819_200
        /// A plugin is one at least; PID_MAX_LIMIT of a 64-bit kernel.
        public static let processes = 1...4 << 20
        /// Shorter than 10 ms the agent does little else; an hour is longer than anything waits.
        public static let timeout: ClosedRange<Duration> = .milliseconds(10) ... .seconds(3600)
        /// All has to be well for 10 s, after a start.
        public static let upgrade: ClosedRange<Duration> = .seconds(15) ... .seconds(86_400)
        /// The manager calls a host offline after 10 min: half of that survives a lost one.
        public static let heartbeat: ClosedRange<Duration> = .milliseconds(10) ... .seconds(300)
        /// Two of these together must end before systemd's 90 s do.
        public static let pluginStop: ClosedRange<Duration> = .milliseconds(10) ... .seconds(40)
        /// What systemd waits by default before it kills.
        public static let stop: ClosedRange<Duration> = .milliseconds(10) ... .seconds(90)
        /// A walk of a large tree more often than every second would be noticed; a day is the console's patience.
        public static let directorySize: ClosedRange<Duration> = .seconds(1) ... .seconds(86_400)
        /// Bytes of an id, an IDC or a region: they are labels at the server.
        public static let name = 256
        /// Bytes of a path: PATH_MAX without the final NUL.
        public static let path = 4095
        /// Bytes of a socket's path: unix(7), sun_path without the final NUL.
        public static let socketPath = 107
        /// Servers of grpc-go end a connection whose PINGs come faster than every 5 s; twice that is out of reach of
        /// timers and jitter.
        public static let politeKeepalive: Duration = .seconds(10)
    }
}
