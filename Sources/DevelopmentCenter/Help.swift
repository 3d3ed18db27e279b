// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The text of --help.
enum Help {
    static let text = """
        Usage: elkeid-devcenter certs DIR
               elkeid-devcenter serve [OPTION...]
               elkeid-devcenter demo --plugin PATH [--agent PATH] [OPTION...]
               elkeid-devcenter --plugin PATH [--agent PATH] [OPTION...]
               elkeid-devcenter conformance [OPTION...] PATH

        An Agent Center for development: what agents send is shown, and agents are told what to run. Not for
        production: whoever has a certificate of its authority is believed.

        certs   makes a certificate authority, and the certificates of a server and of an agent, in DIR.
        serve   waits for agents.
          --listen ADDRESS              where agents connect, gRPC over mutual TLS (127.0.0.1:6751)
          --http ADDRESS                service discovery and downloads (127.0.0.1:8088), or none
          --certs DIR                   its certificates, made when they are not there (certs)
          --component NAME:VERSION:PATH a plugin that agents shall run, an executable or a tar.gz; may be repeated.
                                        Without any, agents are told nothing and keep what they have.
          --detail NAME:JSON            the plugin's environment variable DETAIL
          --uploads DIR                 where files sent by agents are put (uploads)
        demo    runs an agent with one plugin in a temporary folder, as an ordinary user, and shows its records. At
                the end it compares what the agent had with what arrived; the exit code is 0 if nothing is missing.
          --agent PATH                  the agent (elkeid-agent next to this program)
          --plugin PATH                 the plugin; the name of the file is its name
          --detail JSON                 its environment variable DETAIL ({"interval_seconds":2})
          --compression CODING          none, snappy, gzip or zstd (none)
          --keep                        leaves the folder with configuration, logs and certificates
        --plugin without a command is the bench of a plugin's developer: like demo, but each record is shown.

        conformance checks a plugin against the contract between agent and plugins; conformance --help has more.

        For serve and demo:
          --seconds N                   stops after N seconds; otherwise with Ctrl-C or quit
          --follow                      shows each record as it arrives, at most 200 in a second
          --table                       shows a table, also on the bench
          --json                        one JSON object for each second and one with "summary":true at the end

        Commands, on standard input:
          task NAME TYPE DATA           sends a task, such as: task process-collector 5050 {}
          push                          sends the configuration again
          reset                         ends all streams with OK: agents connect again
          quit                          stops

        Addresses are numeric, with a port; port 0 takes a free one. Exit codes: 0, 1 for a failure or for lost
        records, 2 for a wrong command line.

        """
}
