// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// For the server's kernel to take a connection.
const dialTimeout = 10 * time.Second

// proxy is all links, and what the network is like for them and for those to come.
type proxy struct {
	mutex      sync.Mutex
	target     string
	conditions conditions
	links      map[*link]struct{}
	total      int

	// Bytes of all links so far: those towards the server, and those towards the agent.
	up, down counters
}

type counters struct {
	forwarded, discarded atomic.Int64
}

// admit takes a new connection.
func (p *proxy) admit(agent *net.TCPConn) {
	p.mutex.Lock()
	p.total++
	l := newLink(p, p.total, agent, p.conditions)
	p.links[l] = struct{}{}
	p.mutex.Unlock()
	emit("connection", map[string]any{"connection": l.number, "peer": agent.RemoteAddr().String()})
	l.start()
}

func (p *proxy) forget(l *link) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.links, l)
}

func (p *proxy) setTarget(address string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.target = address
}

// dial connects to whatever is the target at that moment.
func (p *proxy) dial() (connection *net.TCPConn, target string, err error) {
	p.mutex.Lock()
	target = p.target
	p.mutex.Unlock()
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	raw, err := dialer.Dial("tcp", target)
	if err != nil {
		return nil, target, err
	}
	return raw.(*net.TCPConn), target, nil
}

// change alters the conditions; they hold for every link when it returns.
func (p *proxy) change(alter func(*conditions)) {
	p.mutex.Lock()
	alter(&p.conditions)
	now := p.conditions
	links := p.all()
	p.mutex.Unlock()
	for _, l := range links {
		l.adapt(now)
	}
}

// reset ends all links, and gives how many there were.
func (p *proxy) reset() int {
	return p.each(func(l *link) bool { return l.end("reset by command", true) })
}

// silence makes all links silent, and gives how many there were.
func (p *proxy) silence(losingServer bool) int {
	return p.each(func(l *link) bool { return l.silence(losingServer) })
}

func (p *proxy) each(act func(*link) bool) int {
	p.mutex.Lock()
	links := p.all()
	p.mutex.Unlock()
	count := 0
	for _, l := range links {
		if act(l) {
			count++
		}
	}
	return count
}

// all is called with the mutex held, and what it gives is used without: links that end lock it within their own.
func (p *proxy) all() []*link {
	list := make([]*link, 0, len(p.links))
	for l := range p.links {
		list = append(list, l)
	}
	return list
}

func (p *proxy) stats() map[string]any {
	p.mutex.Lock()
	total := p.total
	links := p.all()
	p.mutex.Unlock()
	open, silent, keptUp, keptDown := 0, 0, 0, 0
	for _, l := range links {
		state := l.state()
		if state.open {
			open++
		}
		if state.open && state.silent {
			silent++
		}
		keptUp += state.keptUp
		keptDown += state.keptDown
	}
	return map[string]any{
		"connections": open, "silent": silent, "total": total, "kept_up": keptUp, "kept_down": keptDown,
		"up": p.up.forwarded.Load(), "down": p.down.forwarded.Load(),
		"discarded_up": p.up.discarded.Load(), "discarded_down": p.down.discarded.Load(),
	}
}
