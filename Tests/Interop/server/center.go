// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"sync"
	"sync/atomic"
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
	lastStream   int
	conflict     bool
	full         bool
	streamsTotal int
	refusedTotal int
	server       *grpc.Server
}

func newCenter(o *options, l *ledger, board *switchboard, tls *serverTLS) *center {
	c := &center{
		options: o, ledger: l, board: board, tls: tls, streams: make(map[string]*agentStream),
		conflict: o.conflict, full: o.full,
	}
	c.resumed = sync.NewCond(&c.mutex)
	return c
}

// serve starts a server on a new branch of the port and makes it the current one.
func (c *center) serve() {
	settings := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessageSize),
		grpc.MaxSendMsgSize(maxMessageSize),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: time.Duration(c.options.minPingMS) * time.Millisecond, PermitWithoutStream: true,
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

// admit registers a stream or says why it is refused, in the order in which an Agent Center checks. A stream that
// comes while another with its id is still open is an event of its own.
func (c *center) admit(s *agentStream) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	err := error(nil)
	old := c.streams[s.agentID]
	if old != nil && old.life == streamCut {
		// Its handler has not noticed yet what the command "disconnect" did.
		delete(c.streams, s.agentID)
		old = nil
	}
	if old != nil && old.life == streamOpen {
		emit("overlap", map[string]any{
			"agent_id": s.agentID, "stream": s.number, "peer": s.peer, "open_stream": old.number, "open_peer": old.peer,
		})
	}
	switch {
	case c.conflict || old != nil:
		err = errConflict
		s.metDeadEntry = old != nil && old.life == streamDead
	case c.full || (c.options.maxConnections > 0 && len(c.streams) >= c.options.maxConnections):
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

// dismiss gives the stream's id free, unless it is to stay taken.
func (c *center) dismiss(s *agentStream) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.streams[s.agentID] == s && s.life != streamDead {
		delete(c.streams, s.agentID)
	}
	c.resumed.Broadcast()
}

// bury marks a stream whose connection is about to be reset. With -dead-entry its id stays taken, as an Agent Center
// keeps that of a host that vanished until its own ping fails.
func (c *center) bury(s *agentStream) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.streams[s.agentID] != s || s.life == streamDead {
		return
	}
	if c.options.deadEntry == 0 {
		s.life = streamCut
		return
	}
	s.life = streamDead
	time.AfterFunc(time.Duration(c.options.deadEntry*float64(time.Second)), func() { c.forget(&s.agentID) })
}

// forget gives the ids of dead streams free and returns how many there were.
func (c *center) forget(agentID *string) int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	count := 0
	for id, stream := range c.streams {
		if stream.life == streamDead && (agentID == nil || *agentID == id) {
			delete(c.streams, id)
			emit("entry_freed", map[string]any{"agent_id": id, "stream": stream.number})
			count++
		}
	}
	return count
}

// disconnect resets every connection and returns how many there were.
func (c *center) disconnect() int {
	connections := c.board.tracked()
	peers := make(map[string]bool)
	for _, connection := range connections {
		peers[connection.RemoteAddr().String()] = true
	}
	for _, stream := range c.selected(nil) {
		if peers[stream.peer] {
			c.bury(stream)
		}
	}
	for _, connection := range connections {
		reset(connection.Conn)
	}
	return len(connections)
}

// setRefusal makes every further stream be refused for a reason, or no longer.
func (c *center) setRefusal(reason error, on bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if reason == errConflict {
		c.conflict = on
	} else {
		c.full = on
	}
}

// nextNumber names a Transfer call in the events.
func (c *center) nextNumber() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.lastStream++
	return c.lastStream
}

// selected returns the stream of one agent, or all streams if agentID is nil; dead ones are none.
func (c *center) selected(agentID *string) []*agentStream {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var found []*agentStream
	for id, stream := range c.streams {
		if stream.life != streamDead && (agentID == nil || *agentID == id) {
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
	report["compressed_messages"] = atomic.LoadUint64(&compressedMessages)
	return report
}
