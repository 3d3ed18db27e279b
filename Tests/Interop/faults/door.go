// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// How long the program insists on its port when it listens again.
const reopenPatience = 5 * time.Second

// door is where connections come in, unless it is shut. Only one goroutine opens and shuts it.
type door struct {
	admit    func(*net.TCPConn)
	address  *net.TCPAddr
	listener net.Listener
	// While it is shut: a socket that has the port and does not listen, so that nobody else gets that port.
	placeholder int
}

// open listens and begins to admit connections.
func (d *door) open(address string) error {
	// Go sets SO_REUSEADDR. A proxy that forwards no probes must not answer any of its own.
	config := net.ListenConfig{KeepAlive: -1}
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	d.listener, d.address = listener, listener.Addr().(*net.TCPAddr)
	go d.attend(listener)
	return nil
}

func (d *door) attend(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			emit("accept_failed", map[string]any{"error": err.Error()})
			time.Sleep(50 * time.Millisecond)
			continue
		}
		d.admit(connection.(*net.TCPConn))
	}
}

// refuse makes the kernel refuse new connections.
func (d *door) refuse() error {
	if d.listener == nil {
		return nil
	}
	d.listener.Close()
	d.listener = nil
	var err error
	d.placeholder, err = hold(d.address)
	return err
}

// reopen listens on the same port again.
func (d *door) reopen() error {
	if d.listener != nil {
		return nil
	}
	if d.placeholder >= 0 {
		syscall.Close(d.placeholder)
		d.placeholder = -1
	}
	deadline := time.Now().Add(reopenPatience)
	for {
		err := d.open(d.address.String())
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// hold gives a socket that is bound and nothing else; connections to it are refused. It is -1 after an error.
func hold(address *net.TCPAddr) (int, error) {
	family := syscall.AF_INET6
	var local syscall.Sockaddr
	if ip := address.IP.To4(); ip != nil {
		family = syscall.AF_INET
		local = &syscall.SockaddrInet4{Port: address.Port, Addr: *(*[4]byte)(ip)}
	} else {
		local = &syscall.SockaddrInet6{Port: address.Port, Addr: *(*[16]byte)(address.IP.To16())}
	}
	descriptor, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = syscall.SetsockoptInt(descriptor, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(descriptor, local)
	}
	if err != nil {
		syscall.Close(descriptor)
		return -1, err
	}
	return descriptor, nil
}
