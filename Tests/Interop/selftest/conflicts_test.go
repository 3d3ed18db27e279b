// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package selftest

import (
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// refused expects the stream to end with an Agent Center's plain error.
func (c *client) refused(message string) {
	c.t.Helper()
	if _, err := c.receive(); status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), message) {
		c.t.Errorf("%v, want %q", err, message)
	}
}

func TestRefusalsAtRunTime(t *testing.T) {
	s := start(t, "elkeid")
	connection := dial(t, s, clientTLS(t, "elkeid"))
	running := open(t, connection)
	running.send("running", heartbeat())
	s.expect("heartbeat")
	for command, message := range map[string]string{"conflict": "agentID conflict", "full": "out of max connection limit"} {
		if done := s.tell(`{"cmd":"`+command+`","on":true}`, "done"); done["streams"] != 1.0 {
			t.Errorf("%s: %v", command, done)
		}
		c := open(t, connection)
		c.send("other", heartbeat())
		c.refused(message)
		if e := s.expect("stream_refused"); e["dead_entry"] != false || e["reason"] != message {
			t.Error(e)
		}
		s.tell(`{"cmd":"`+command+`","on":false}`, "done")
		c = open(t, connection)
		c.send("other", heartbeat())
		s.expect("heartbeat")
		s.tell(`{"cmd":"end","agent_id":"other"}`, "done")
		if _, err := c.receive(); err != io.EOF {
			t.Error(err)
		}
	}
	s.never("overlap")
}

func TestOverlapIsReported(t *testing.T) {
	s := start(t, "elkeid")
	connection := dial(t, s, clientTLS(t, "elkeid"))
	first := open(t, connection)
	first.send("agent", heartbeat())
	opened := s.expect("stream_opened")
	second := open(t, connection)
	second.send("agent", heartbeat())
	if e := s.expect("overlap"); e["agent_id"] != "agent" || e["open_stream"] != opened["stream"] || e["stream"] == opened["stream"] {
		t.Error(e)
	}
	second.refused("agentID conflict")
	s.expect("stream_refused")
	first.stream.CloseSend()
	if _, err := first.receive(); err != io.EOF {
		t.Error(err)
	}
	ended := s.expect("stream_ended")
	third := open(t, connection)
	third.send("agent", heartbeat())
	reopened := s.expect("stream_opened")
	if ended["stream"] != opened["stream"] || ended["at"].(float64) > reopened["at"].(float64) {
		t.Errorf("%v, then %v", ended, reopened)
	}
	s.never("overlap")
}

// Whoever comes back at once after a reset is let in, however slowly the old handler ends.
func TestDisconnectLeavesNoEntry(t *testing.T) {
	s := start(t, "elkeid")
	for round := 0; round < 20; round++ {
		c := open(t, dial(t, s, clientTLS(t, "elkeid")))
		c.send("agent", heartbeat())
		s.expect("heartbeat")
		s.tell(`{"cmd":"disconnect"}`, "done")
		if _, err := c.receive(); status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
		c.conn.Close()
	}
	s.never("overlap")
	if stats := s.tell(`{"cmd":"stats"}`, "stats"); stats["refused_total"] != 0.0 {
		t.Error(stats)
	}
}

func TestDeadEntry(t *testing.T) {
	enter := func(s *server) *client {
		c := open(t, dial(t, s, clientTLS(t, "elkeid")))
		c.send("agent", heartbeat())
		return c
	}
	s := start(t, "elkeid", "-dead-entry", "3600")
	first := enter(s)
	s.expect("heartbeat")
	s.tell(`{"cmd":"disconnect"}`, "done")
	if _, err := first.receive(); err == nil {
		t.Error("the stream goes on")
	}
	enter(s).refused("agentID conflict")
	if e := s.expect("stream_refused"); e["dead_entry"] != true {
		t.Error(e)
	}
	if done := s.tell(`{"cmd":"forget"}`, "done"); done["streams"] != 1.0 {
		t.Error(done)
	}
	enter(s)
	s.expect("heartbeat")
	s.never("overlap")

	s = start(t, "elkeid", "-dead-entry", "0.05")
	enter(s)
	s.expect("heartbeat")
	s.tell(`{"cmd":"disconnect"}`, "done")
	s.expect("entry_freed")
	enter(s)
	s.expect("heartbeat")
	s.never("overlap")
}

// grpc-go answers the third of a client's PINGs that come too fast with GOAWAY; unless the server is told otherwise.
func TestPingsTooFast(t *testing.T) {
	for limit, tolerated := range map[string]bool{"5000": false, "1": true} {
		s := start(t, "elkeid", "-min-ping-ms", limit)
		connection := handshake(t, s)
		ping := "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"
		go func() {
			for i := 0; i < 8; i++ {
				io.WriteString(connection, ping)
				time.Sleep(20 * time.Millisecond)
			}
		}()
		answers, goaway := frames(connection, 8)
		if goaway == tolerated || tolerated && answers != 8 {
			t.Errorf("limit %s ms: %d answers, GOAWAY %v", limit, answers, goaway)
		}
	}
}
