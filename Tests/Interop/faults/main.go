// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// interop-faults is a TCP proxy between an agent and a server that does what networks do to connections, on commands
// of a line-based interface for tests. See README.md.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address and port; port 0 takes a free one")
	target := flag.String("target", "", "host:port of the server")
	flag.Parse()
	if err := run(*listen, *target); err != nil {
		fmt.Fprintln(os.Stderr, "interop-faults:", err)
		os.Exit(1)
	}
}

func run(listen, target string) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	if _, _, err := net.SplitHostPort(target); err != nil {
		return fmt.Errorf("-target: %w", err)
	}
	proxy := &proxy{target: target, links: make(map[*link]struct{})}
	door := &door{admit: proxy.admit}
	if err := door.open(listen); err != nil {
		return err
	}
	emit("listening", map[string]any{"address": door.address.String()})
	return obey(os.Stdin, door, proxy)
}
