// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"sync"
	"time"
)

// After a reset of one side, for what came before it to reach the other.
const drainPatience = time.Second

type fate int

const (
	forwarding fate = iota
	// Nothing passes any more, whatever comes is thrown away, and neither side is told anything, not even in answer to
	// its end.
	silent
	over
)

// link is a connection of the agent and the one to the server that belongs to it.
type link struct {
	proxy  *proxy
	number int
	agent  *net.TCPConn

	mutex sync.Mutex
	// Anything of what follows has changed.
	changed    *sync.Cond
	conditions conditions
	// Counts the changes of conditions and fate that must reach system calls in progress.
	epoch     int
	fate      fate
	resetting bool
	reported  bool
	// The server is being reached, and then has been.
	dialling bool
	server   *net.TCPConn
	// Of a silent link: the server's side is closed, or will be.
	lostServer bool
	// Towards the server, and towards the agent.
	up, down flow
}

func newLink(p *proxy, number int, agent *net.TCPConn, c conditions) *link {
	l := &link{proxy: p, number: number, agent: agent, conditions: c}
	l.changed = sync.NewCond(&l.mutex)
	l.up = flow{counters: &p.up, towardsServer: true, sourceName: "agent"}
	l.down = flow{counters: &p.down, sourceName: "server"}
	l.up.from(agent)
	l.down.to(agent)
	return l
}

func (l *link) start() {
	go l.read(&l.up)
	go l.connect()
}

// connect reaches the server, but not through a black hole. An attempt in progress is never broken off: the server
// may know of it already.
func (l *link) connect() {
	for l.awaitDial() {
		server, target, err := l.proxy.dial()
		if err == nil {
			l.connected(server, target)
			return
		}
		l.dialFailed(target, err)
	}
}

// awaitDial waits for the end of a black hole; false if the server is not to be reached.
func (l *link) awaitDial() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for l.fate == forwarding && l.conditions.blackhole {
		l.changed.Wait()
	}
	l.dialling = l.fate == forwarding
	return l.dialling
}

// dialFailed lets the agent know, but not through a black hole: there another attempt follows.
func (l *link) dialFailed(target string, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.dialling = false
	switch {
	case l.fate == silent:
		l.down.finish(endOfData)
		l.reportSilentEnd()
	case l.fate == forwarding && !l.conditions.blackhole:
		emit("dial_failed", map[string]any{"connection": l.number, "target": target, "error": err.Error()})
		l.shut("no server", true)
	}
}

func (l *link) connected(server *net.TCPConn, target string) {
	emit("connected", map[string]any{
		"connection": l.number, "target": target, "local": server.LocalAddr().String(),
	})
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.dialling = false
	if l.fate == over || l.lostServer {
		abort(server)
		l.down.finish(endOfData)
		l.reportSilentEnd()
		return
	}
	l.server = server
	l.up.to(server)
	l.down.from(server)
	// If it has become silent in the meantime, the writers end at once.
	go l.write(&l.up)
	go l.read(&l.down)
	go l.write(&l.down)
}

// adapt returns when the conditions hold for every system call in progress.
func (l *link) adapt(c conditions) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if c.bytesPerSecond != l.conditions.bytesPerSecond {
		l.up.next = time.Time{}
	}
	l.conditions = c
	l.settle()
}

// silence gives whether the link was still alive.
func (l *link) silence(losingServer bool) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.isEnded() {
		return false
	}
	l.fate, l.lostServer = silent, l.lostServer || losingServer
	l.settle()
	l.up.discardKept()
	l.down.discardKept()
	if losingServer && l.server != nil {
		abort(l.server)
	}
	if !l.dialling && (losingServer || l.server == nil) {
		l.down.finish(endOfData)
	}
	l.reportSilentEnd()
	return true
}

// end gives whether the link was still alive.
func (l *link) end(reason string, reset bool) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	alive := !l.isEnded()
	l.shut(reason, reset)
	return alive
}

// shut closes both sides.
func (l *link) shut(reason string, reset bool) {
	if l.fate == over {
		return
	}
	l.report(reason)
	l.fate = over
	l.close(l.agent, reset)
	l.close(l.server, reset)
	l.changed.Broadcast()
	l.proxy.forget(l)
}

func (l *link) close(connection *net.TCPConn, reset bool) {
	switch {
	case connection == nil:
	case reset:
		abort(connection)
	default:
		connection.Close()
	}
}

// abort closes with a reset.
func abort(connection *net.TCPConn) {
	connection.SetLinger(0)
	connection.Close()
}

// passReset lets the other side know if one was reset: at once, unlike an end of data, but what came before it gets
// some time.
func (l *link) passReset(f *flow) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if f.ended != resetBySource || l.resetting {
		return
	}
	l.resetting = true
	var deadline time.Time
	for l.fate == forwarding {
		now := time.Now()
		due := f.endedAt.Add(l.conditions.latency)
		switch {
		case l.conditions.blackhole:
			deadline = time.Time{}
			l.changed.Wait()
		case now.Before(due):
			l.waitUntil(due)
		case f.kept > 0 && deadline.IsZero():
			deadline = now.Add(drainPatience)
		case f.kept > 0 && now.Before(deadline):
			l.waitUntil(deadline)
		default:
			l.shut("reset by the "+f.sourceName, true)
		}
	}
}

// isEnded: nothing can come any more. A silent link's sockets are kept nevertheless.
func (l *link) isEnded() bool {
	return l.fate == over || l.fate == silent && l.up.ended != notEnded && l.down.ended != notEnded
}

func (l *link) reportSilentEnd() {
	if l.fate == silent && l.isEnded() {
		l.report("silent")
	}
}

func (l *link) report(reason string) {
	if l.reported {
		return
	}
	l.reported = true
	emit("connection_ended", map[string]any{
		"connection": l.number, "peer": l.agent.RemoteAddr().String(), "reason": reason,
		"up": l.up.forwarded, "down": l.down.forwarded,
	})
}

type linkState struct {
	open, silent     bool
	keptUp, keptDown int
}

func (l *link) state() linkState {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.fate == over {
		return linkState{}
	}
	return linkState{open: !l.isEnded(), silent: l.fate == silent, keptUp: l.up.kept, keptDown: l.down.kept}
}

// waitUntil waits for a change, or for that time.
func (l *link) waitUntil(moment time.Time) {
	timer := time.AfterFunc(time.Until(moment), func() {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		l.changed.Broadcast()
	})
	l.changed.Wait()
	timer.Stop()
}
