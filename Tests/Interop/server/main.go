// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// interop-server stands in for an Agent Center: the same gRPC implementation, options, limits and answers, with a
// line-based interface for tests and an exact account of the records that arrived. See README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/encoding"
)

type options struct {
	listen             string
	ca                 string
	certificate        string
	key                string
	config             string
	slowMS             int
	slowBytesPerSecond int
	maxConnections     int
	conflict           bool
	full               bool
	refusedEncodings   nameSet
	noH2               bool
	plain              bool
	minTLS             string
	maxTLS             string
	dump               string
	capture            string
	strict             bool
	fast               bool
	report             string
	uploadFails        bool
	bad                string
	deadEntry          float64
	minPingMS          int
}

// nameSet is a flag that may be given many times.
type nameSet map[string]bool

func (s nameSet) String() string { return "" }

func (s nameSet) Set(name string) error {
	s[name] = true
	return nil
}

func parseOptions() *options {
	o := &options{refusedEncodings: make(nameSet)}
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address and port; port 0 takes a free one")
	flag.StringVar(&o.ca, "ca", "", "PEM file with the authority of the client certificates")
	flag.StringVar(&o.certificate, "cert", "", "PEM file with the server's certificate")
	flag.StringVar(&o.key, "key", "", "PEM file with the server's key")
	flag.StringVar(&o.config, "config", "", "JSON file with the list of configs for the first heartbeat")
	flag.IntVar(&o.slowMS, "slow-ms", 0, "milliseconds of sleep after each message")
	flag.IntVar(&o.slowBytesPerSecond, "slow-bytes-per-second", 0, "the rate at which messages are handled")
	flag.IntVar(&o.maxConnections, "max-conns", 0, "refuse streams beyond this number (0: no limit)")
	flag.BoolVar(&o.conflict, "conflict", false, "refuse every stream with \"agentID conflict\"")
	flag.BoolVar(&o.full, "full", false, "refuse every stream with \"out of max connection limit\"")
	flag.Var(&o.refusedEncodings, "refuse-encoding", "do not know gzip, snappy or zstd (may be repeated)")
	flag.BoolVar(&o.noH2, "no-h2", false, "TLS without ALPN")
	flag.BoolVar(&o.plain, "plain", false, "no TLS")
	flag.StringVar(&o.minTLS, "min-tls", "1.2", "1.2 or 1.3")
	flag.StringVar(&o.maxTLS, "max-tls", "1.3", "1.2 or 1.3")
	flag.StringVar(&o.dump, "dump", "", "append every record but heartbeats to this file")
	flag.StringVar(&o.capture, "capture", "", "write each message with a heartbeat in it to a file of its own in this folder")
	flag.BoolVar(&o.strict, "strict", true, "also decode each message with golang/protobuf")
	flag.BoolVar(&o.fast, "fast", false, "check messages with the built-in walk only (-strict=false)")
	flag.StringVar(&o.report, "report", "1010,1011,2001,2003,5100,5101,6000,8010",
		"data types of records that get an event each")
	flag.BoolVar(&o.uploadFails, "upload-fails", false, "answer uploads with FAILED")
	flag.StringVar(&o.bad, "bad", "", "misbehave: "+strings.Join(hostileModeNames(), ", "))
	flag.Float64Var(&o.deadEntry, "dead-entry", 0, "seconds for which the command disconnect leaves the ids of its streams taken")
	flag.IntVar(&o.minPingMS, "min-ping-ms", int(keepaliveMinTime/time.Millisecond),
		"milliseconds between two PINGs of a client that are not too many")
	flag.Parse()
	o.strict = o.strict && !o.fast
	return o
}

func main() {
	if err := run(parseOptions()); err != nil {
		fmt.Fprintln(os.Stderr, "interop-server:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	encoding.RegisterCodec(passthroughCodec{})
	if err := registerCompressors(o.refusedEncodings); err != nil {
		return err
	}
	ledger, err := openLedger(o)
	if err != nil {
		return err
	}
	var tls *serverTLS
	if !o.plain {
		config, err := makeTLSConfig(o)
		if err != nil {
			return err
		}
		tls = &serverTLS{config, o.noH2}
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	board := newSwitchboard(listener)
	center := newCenter(o, ledger, board, tls)
	if o.config != "" {
		text, err := os.ReadFile(o.config)
		if err != nil {
			return fmt.Errorf("-config: %w", err)
		}
		configs, err := decodeConfigs(text)
		if err != nil {
			return fmt.Errorf("-config %s: %w", o.config, err)
		}
		center.setConfigs(configs)
	}
	if o.bad != "" {
		if err := center.serveHostile(); err != nil {
			return err
		}
	} else {
		center.serve()
	}
	emit("listening", map[string]any{"address": listener.Addr().String()})

	failed := make(chan error, 2)
	go func() { failed <- board.run() }()
	go func() { failed <- center.obey(os.Stdin) }()
	return <-failed
}

func openLedger(o *options) (*ledger, error) {
	reported := make(map[int32]bool)
	for _, text := range strings.Split(o.report, ",") {
		if text == "" {
			continue
		}
		dataType, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("-report: %w", errors.Unwrap(err))
		}
		reported[int32(dataType)] = true
	}
	if o.dump == "" {
		return newLedger(nil, reported), nil
	}
	file, err := os.OpenFile(o.dump, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("-dump: %w", err)
	}
	return newLedger(file, reported), nil
}
