// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package selftest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"elkeid-interop/agentcenter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const patience = 20 * time.Second

type event map[string]any

// server is a running interop-server or interop-discovery.
type server struct {
	t       *testing.T
	command *exec.Cmd
	stdin   io.WriteCloser
	events  chan event
	address string
}

func certificates(name string) string { return filepath.Join(os.Getenv("INTEROP_CERTS"), name) }

func start(t *testing.T, set string, arguments ...string) *server {
	t.Helper()
	dir := certificates(set)
	arguments = append([]string{
		"-ca", dir + "/ca.crt", "-cert", dir + "/server.crt", "-key", dir + "/server.key",
	}, arguments...)
	return run(t, "interop-server", arguments...)
}

// run starts a program with events on standard output and commands on standard input.
func run(t *testing.T, program string, arguments ...string) *server {
	t.Helper()
	s := &server{t: t, command: exec.Command(filepath.Join(os.Getenv("INTEROP_BIN"), program), arguments...)}
	s.events = make(chan event, 10000)
	s.command.Stderr = os.Stderr
	var err error
	if s.stdin, err = s.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := s.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.events)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("not JSON: %s", lines.Text())
			}
			s.events <- e
		}
	}()
	t.Cleanup(func() {
		s.stdin.Close()
		if err := s.command.Wait(); err != nil {
			t.Errorf("the server's end: %v", err)
		}
	})
	s.address = s.expect("listening")["address"].(string)
	return s
}

// expect skips to the next event of that name.
func (s *server) expect(name string) event {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e, ok := <-s.events:
			if !ok {
				s.t.Fatalf("the server ended before %q", name)
			}
			if e["event"] == name {
				return e
			}
		case <-deadline:
			s.t.Fatalf("no %q", name)
		}
	}
}

func (s *server) tell(command string, answer string) event {
	s.t.Helper()
	fmt.Fprintln(s.stdin, command)
	return s.expect(answer)
}

// never checks that no event of that name comes before the answer to a command.
func (s *server) never(name string) {
	s.t.Helper()
	fmt.Fprintln(s.stdin, `{"cmd":"no-such-command"}`)
	for e := range s.events {
		if e["event"] == name {
			s.t.Errorf("%v", e)
		}
		if e["event"] == "command_failed" {
			return
		}
	}
}

// until asks for stats until a number reaches a value.
func (s *server) until(key string, value float64) event {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		stats := s.tell(`{"cmd":"stats"}`, "stats")
		if stats[key].(float64) >= value {
			return stats
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s stays at %v", key, stats[key])
		}
	}
}

// clientTLS verifies as the original agent does: the chain and the name elkeid.com, whatever was dialled.
func clientTLS(t *testing.T, set string) *tls.Config {
	t.Helper()
	dir := certificates(set)
	certificate, err := tls.LoadX509KeyPair(dir+"/client.crt", dir+"/client.key")
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(dir + "/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots, ServerName: "elkeid.com"}
}

type client struct {
	t      *testing.T
	stream grpc.ClientStream
	conn   *grpc.ClientConn
}

func dial(t *testing.T, s *server, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	security := grpc.WithInsecure()
	if config != nil {
		security = grpc.WithTransportCredentials(credentials.NewTLS(config))
	}
	connection, err := grpc.Dial(s.address, security)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func open(t *testing.T, connection *grpc.ClientConn, options ...grpc.CallOption) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	description := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	options = append(options, grpc.MaxCallRecvMsgSize(10<<20))
	stream, err := connection.NewStream(ctx, description, "/grpc.Transfer/Transfer", options...)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, stream, connection}
}

func (c *client) send(agentID string, records ...*agentcenter.EncodedRecord) {
	c.t.Helper()
	message := &agentcenter.PackagedData{AgentId: agentID, Hostname: "host", Records: records}
	if err := c.stream.SendMsg(message); err != nil && err != io.EOF {
		c.t.Fatal(err)
	}
}

func (c *client) receive() (*agentcenter.Command, error) {
	command := new(agentcenter.Command)
	return command, c.stream.RecvMsg(command)
}

// handshake opens an HTTP/2 connection of which the test writes each frame itself.
func handshake(t *testing.T, s *server) net.Conn {
	t.Helper()
	config := clientTLS(t, "elkeid")
	config.NextProtos = []string{"h2"}
	connection, err := tls.Dial("tcp", s.address, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	connection.SetDeadline(time.Now().Add(patience))
	io.WriteString(connection, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	return connection
}

// frames reads until there were so many answers to PINGs, or a GOAWAY.
func frames(connection net.Conn, answers int) (seen int, goaway bool) {
	head := make([]byte, 9)
	for seen < answers {
		if _, err := io.ReadFull(connection, head); err != nil {
			return seen, false
		}
		length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		io.CopyN(io.Discard, connection, length)
		switch {
		case head[3] == 6 && head[4]&1 == 1:
			seen++
		case head[3] == 7:
			return seen, true
		}
	}
	return seen, false
}
