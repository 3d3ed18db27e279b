// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"sync"
)

// switchboard accepts connections for as long as the program lives and hands each to whichever server is current,
// so that a server can be drained while its successor already serves the same port.
type switchboard struct {
	listener net.Listener
	mutex    sync.Mutex
	current  *branch
	refusing bool
	open     map[*trackedConnection]struct{}
}

func newSwitchboard(listener net.Listener) *switchboard {
	return &switchboard{listener: listener, open: make(map[*trackedConnection]struct{})}
}

// run returns when the listening socket fails.
func (s *switchboard) run() error {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return err
		}
		connection := &trackedConnection{Conn: raw, board: s}
		s.mutex.Lock()
		refusing := s.refusing
		if !refusing {
			s.open[connection] = struct{}{}
		}
		s.mutex.Unlock()
		if refusing {
			reset(raw)
			emit("connection_refused", map[string]any{"peer": raw.RemoteAddr().String()})
			continue
		}
		s.hand(connection)
	}
}

// hand gives a connection to the current branch, or to the next one if that has just been closed.
func (s *switchboard) hand(connection net.Conn) {
	for {
		s.mutex.Lock()
		current := s.current
		s.mutex.Unlock()
		select {
		case current.accepted <- connection:
			return
		case <-current.closed:
		}
	}
}

// branch makes a new listener the one that gets connections from now on.
func (s *switchboard) branch() *branch {
	b := &branch{board: s, accepted: make(chan net.Conn), closed: make(chan struct{})}
	s.mutex.Lock()
	s.current = b
	s.mutex.Unlock()
	return b
}

func (s *switchboard) setRefusing(refusing bool) {
	s.mutex.Lock()
	s.refusing = refusing
	s.mutex.Unlock()
}

// tracked returns the connections that are open.
func (s *switchboard) tracked() []*trackedConnection {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	connections := make([]*trackedConnection, 0, len(s.open))
	for connection := range s.open {
		connections = append(connections, connection)
	}
	return connections
}

// reset closes a connection with RST, as a host that has lost it would.
func reset(connection net.Conn) {
	if tcp, ok := connection.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	connection.Close()
}

type trackedConnection struct {
	net.Conn
	board *switchboard
}

func (c *trackedConnection) Close() error {
	c.board.mutex.Lock()
	delete(c.board.open, c)
	c.board.mutex.Unlock()
	return c.Conn.Close()
}

// branch is the net.Listener of one server.
type branch struct {
	board    *switchboard
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (b *branch) Accept() (net.Conn, error) {
	select {
	case connection := <-b.accepted:
		return connection, nil
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

func (b *branch) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

func (b *branch) Addr() net.Addr { return b.board.listener.Addr() }
