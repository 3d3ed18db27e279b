// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

extension AgentConfiguration {
    /// `[timeouts]`: every time that the agent waits. The defaults are for production; tests shorten them.
    public struct Timeouts: Sendable, Equatable {
        /// For one Service Discovery to answer: name, connection and reply. The original agent has no limit here.
        public var discovery: Duration = .seconds(15)
        /// For a server's name and its addresses until one accepts a TCP connection: the kernel's two minutes are too long
        /// while another address may answer. The original agent's dial timeout.
        public var connect: Duration = .seconds(15)
        /// For the TLS handshake: three round trips and a loaded server's signature, as generous as `connect`.
        public var tlsHandshake: Duration = .seconds(15)
        /// How long records are withheld on a new stream while the server may still refuse it (id conflict, full,
        /// compression unknown). Any sign that it reads ends the wait earlier; most servers give none.
        public var callAccept: Duration = .seconds(1)
        /// Upper end of the first random pause before a reconnect. On average the pause is the original's 5 s; with 1 s a
        /// fleet of 100,000 keeps itself out of a server that restarted (docs/reconnect.md).
        public var reconnectMin: Duration = .seconds(10)
        /// Where the doubling of that pause ends: a fleet must not storm a server, nor stay away for long.
        public var reconnectMax: Duration = .seconds(60)
        /// Silence after which a PING is sent. Servers allow one in 5 s; NAT tables forget after some minutes.
        public var keepalive: Duration = .seconds(30)
        /// For the answer to that PING; then the connection is dead. A dead peer is found within 45 s of silence.
        public var keepaliveTimeout: Duration = .seconds(15)
        /// How long servers may refuse this host because of its own earlier connection before that is an abnormal state:
        /// a server notices a dead one within 10 min.
        public var conflictAbnormal: Duration = .seconds(900)
        /// For a plugin to end after its task pipe was closed, while its records are still read. The original agent's.
        public var pluginDrain: Duration = .seconds(10)
        /// From SIGTERM to SIGKILL: the Rust plugin library sleeps 3 s in its handler.
        public var pluginTerm: Duration = .seconds(4)
        /// For the queue and the end of the stream when the agent stops; with `plugin_drain` and `plugin_term` it stays
        /// below the 90 s after which systemd kills a service.
        public var flush: Duration = .seconds(5)
        /// For everything together from SIGTERM to the end, whatever hangs; what is left is killed and counted. Longer
        /// than the parts above, shorter than any guardian's patience.
        public var stop: Duration = .seconds(25)
        /// Between heartbeats. A host is offline for the manager after 10 min without one.
        public var heartbeat: Duration = .seconds(60)
        /// The first pause before a plugin that ended by itself is started again.
        public var pluginRestartMin: Duration = .seconds(1)
        /// Where the doubling of that pause ends: a plugin that cannot run costs one start a minute.
        public var pluginRestartMax: Duration = .seconds(60)
        /// A plugin that ran this long was healthy: after its next crash the pauses begin anew.
        public var pluginHealthy: Duration = .seconds(60)
        /// How long a new version of a plugin must run; one that ends earlier is rolled back.
        public var probation: Duration = .seconds(60)
        /// For a new version of the agent to show that it is good; then the previous one is put back.
        public var upgrade: Duration = .seconds(300)
        /// For one installation to get its file, all its addresses and retries together. The original agent's.
        public var download: Duration = .seconds(600)
        /// How long a server may send nothing of it.
        public var downloadStall: Duration = .seconds(60)
        /// The pause after all addresses have failed, doubled from the first to the second.
        public var downloadRetryMin: Duration = .seconds(1)
        public var downloadRetryMax: Duration = .seconds(60)
        /// The pause after an installation has failed, doubled from the first to the second: servers never ask again by
        /// themselves, and a fleet must not load a server that has lost a file.
        public var installRetryMin: Duration = .seconds(30)
        public var installRetryMax: Duration = .seconds(1800)
        /// For one file to be sent to the server. The original agent's.
        public var upload: Duration = .seconds(600)
        /// Between two pieces of such a file, whose size the task gives: the original agent's pace.
        public var uploadInterval: Duration = .seconds(1)
        /// Between two log lines about the malformed records of one plugin.
        public var malformedLog: Duration = .seconds(60)
        /// Between the answer to a PING and the PING after it, which together confirm what the server gives no credit for:
        /// what a loaded server may take to read it. Servers allow one PING in 5 s.
        public var confirmPing: Duration = .seconds(10)
        /// How long the start waits for what is in the spool; after that the agent runs, and the spool joins in later.
        public var spoolOpen: Duration = .seconds(2)
        /// How old a record without confirmation may become in memory alone.
        public var spoolAge: Duration = .seconds(2)
        /// Between two syncs of the spool: with `spool_age` what a lost host loses is younger than 3 s.
        public var spoolSync: Duration = .milliseconds(500)
        /// Until a disk that failed, or was full, is tried again.
        public var spoolRetry: Duration = .seconds(5)
        /// How long the disk may take for one thing; then it counts as failing.
        public var spoolPatience: Duration = .seconds(10)
        /// From a connection to giving back the memory that only the start needed; and when nothing is due for so long,
        /// what was needed since.
        public var settle: Duration = .seconds(5)
        /// Between two walks of a folder for its size in the heartbeats: sizes change slowly, and a walk costs I/O.
        public var directorySize: Duration = .seconds(600)
    }
}
