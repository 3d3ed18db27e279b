// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"sync"
	"time"

	"elkeid-interop/agentcenter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Limits and timers of an Agent Center.
const (
	maxMessageSize    = 10 << 20
	keepaliveMinTime  = 5 * time.Second
	keepaliveInterval = 10 * time.Minute
	keepaliveTimeout  = 5 * time.Second
	maxConnectionIdle = 20 * time.Minute
)

var (
	errConflict = errors.New("agentID conflict")
	errFull     = errors.New("out of max connection limit")
)

// center is what all streams share.
type center struct {
	options *options
	ledger  *ledger
	board   *switchboard
	tls     *serverTLS

	mutex        sync.Mutex
	resumed      *sync.Cond
	paused       bool
	configs      []*agentcenter.Config
	configured   bool
	streams      map[string]*agentStream
	streamsTotal int
	refusedTotal int
	server       *grpc.Server
}

func newCenter(o *options, l *ledger, board *switchboard, tls *serverTLS) *center {
	c := &center{options: o, ledger: l, board: board, tls: tls, streams: make(map[string]*agentStream)}
	c.resumed = sync.NewCond(&c.mutex)
	return c
}

// serve starts a server on a new branch of the port and makes it the current one.
func (c *center) serve() {
	settings := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessageSize),
		grpc.MaxSendMsgSize(maxMessageSize),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: keepaliveMinTime, PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: maxConnectionIdle, Time: keepaliveInterval, Timeout: keepaliveTimeout,
		}),
	}
	if c.tls != nil {
		settings = append(settings, grpc.Creds(c.tls))
	}
	server := grpc.NewServer(settings...)
	server.RegisterService(&transferService, c)
	server.RegisterService(&fileExtService, c)
	c.mutex.Lock()
	c.server = server
	c.mutex.Unlock()
	go server.Serve(c.board.branch())
}

// drain sends GOAWAY on every connection; what is running may finish. New connections get a new server.
func (c *center) drain() {
	c.mutex.Lock()
	old := c.server
	c.mutex.Unlock()
	c.serve()
	go func() {
		old.GracefulStop()
		emit("drained", nil)
	}()
}

// admit registers a stream or says why it is refused, in the order in which an Agent Center checks.
func (c *center) admit(s *agentStream) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	err := error(nil)
	switch {
	case c.options.conflict || c.streams[s.agentID] != nil:
		err = errConflict
	case c.options.full || (c.options.maxConnections > 0 && len(c.streams) >= c.options.maxConnections):
		err = errFull
	}
	if err != nil {
		c.refusedTotal++
		return err
	}
	c.streams[s.agentID] = s
	c.streamsTotal++
	return nil
}

func (c *center) dismiss(s *agentStream) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.streams[s.agentID] == s {
		delete(c.streams, s.agentID)
	}
	c.resumed.Broadcast()
}

// selected returns the stream of one agent, or all streams if agentID is nil.
func (c *center) selected(agentID *string) []*agentStream {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var found []*agentStream
	for id, stream := range c.streams {
		if agentID == nil || *agentID == id {
			found = append(found, stream)
		}
	}
	return found
}

func (c *center) setPaused(paused bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.paused = paused
	c.resumed.Broadcast()
}

// wakePaused lets streams that wait for "resume" look whether they still exist.
func (c *center) wakePaused() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.resumed.Broadcast()
}

func (c *center) setConfigs(configs []*agentcenter.Config) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.configs, c.configured = configs, true
}

// configuration returns the Command for the first heartbeat of a connection, nil if none has been given.
func (c *center) configuration() *agentcenter.Command {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.configured {
		return nil
	}
	return &agentcenter.Command{Configs: c.configs}
}

func (c *center) stats() map[string]any {
	report := c.ledger.report()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	report["streams"] = len(c.streams)
	report["streams_total"] = c.streamsTotal
	report["refused_total"] = c.refusedTotal
	report["compressed_messages"] = compressedMessages.Load()
	return report
}
