// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"elkeid-interop/agentcenter"

	"github.com/golang/protobuf/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

var transferService = grpc.ServiceDesc{
	ServiceName: "grpc.Transfer",
	HandlerType: (*any)(nil),
	Streams: []grpc.StreamDesc{{
		StreamName:    "Transfer",
		Handler:       func(c any, stream grpc.ServerStream) error { return c.(*center).transfer(stream) },
		ServerStreams: true,
		ClientStreams: true,
	}},
	Metadata: "grpc.proto",
}

// streamLife says what is behind the entry of an id.
type streamLife int

const (
	// streamOpen: as far as the server knows, somebody reads and writes.
	streamOpen streamLife = iota
	// streamCut: the server itself has reset the connection; its handler is about to end.
	streamCut
	// streamDead: the connection is gone, but the id stays taken.
	streamDead
)

// agentStream is one Transfer call.
type agentStream struct {
	center   *center
	grpc     grpc.ServerStream
	number   int
	agentID  string
	encoding string
	peer     string
	commands chan *agentcenter.Command
	end      chan error
	received chan error

	// The center's mutex guards it.
	life         streamLife
	metDeadEntry bool

	// Only the receiving goroutine uses these.
	message    packagedData
	configSent bool
}

// transfer answers a Transfer call as an Agent Center does: the first message names the agent; then records are
// read until something ends the stream.
func (c *center) transfer(stream grpc.ServerStream) error {
	s := &agentStream{
		center: c, grpc: stream, number: c.nextNumber(), encoding: receivedEncoding(stream.Context()),
		commands: make(chan *agentcenter.Command, 64), end: make(chan error, 1), received: make(chan error, 1),
	}
	if p, ok := peer.FromContext(stream.Context()); ok {
		s.peer = p.Addr.String()
	}
	var first rawMessage
	if err := stream.RecvMsg(&first); err != nil {
		emit("stream_failed", map[string]any{"peer": s.peer, "encoding": s.encoding, "reason": err.Error()})
		return err
	}
	if err := s.message.parse(first.bytes); err != nil {
		c.ledger.addMalformed(len(first.bytes))
		emit("malformed", map[string]any{"peer": s.peer, "error": err.Error()})
		return undecodable(err)
	}
	s.agentID = string(s.message.agentID)
	if err := c.admit(s); err != nil {
		emit("stream_refused", map[string]any{
			"agent_id": s.agentID, "stream": s.number, "peer": s.peer, "reason": err.Error(),
			"dead_entry": s.metDeadEntry,
		})
		return err
	}
	c.ledger.setEncoding(s.encoding)
	opened := s.header()
	opened["peer"], opened["encoding"], opened["stream"] = s.peer, s.encoding, s.number
	emit("stream_opened", opened)

	go func() {
		<-stream.Context().Done()
		c.wakePaused()
	}()
	go s.receive(first)
	reason, err := s.send()
	c.dismiss(s)
	emit("stream_ended", map[string]any{"agent_id": s.agentID, "stream": s.number, "peer": s.peer, "reason": reason})
	return err
}

// send writes commands until the stream is told to end or cannot be read any more.
func (s *agentStream) send() (reason string, result error) {
	for {
		select {
		case command := <-s.commands:
			if err := s.grpc.SendMsg(command); err != nil {
				return "send: " + err.Error(), nil
			}
		case err := <-s.end:
			return "told to end", err
		case err := <-s.received:
			if err == io.EOF {
				return "half-closed by the agent", nil
			}
			// gRPC has already sent the status of its own errors; what is returned here counts for the walk's.
			return "receive: " + err.Error(), err
		}
	}
}

// receive handles the first message and all that follow; its end is reported to send.
func (s *agentStream) receive(message rawMessage) {
	for {
		if err := s.handle(message.bytes); err != nil {
			s.received <- err
			return
		}
		s.center.delay(len(message.bytes))
		if !s.waitWhilePaused() {
			return
		}
		message.bytes = nil
		if err := s.grpc.RecvMsg(&message); err != nil {
			s.received <- err
			return
		}
	}
}

// waitWhilePaused returns false if the stream has ended meanwhile.
func (s *agentStream) waitWhilePaused() bool {
	c := s.center
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for c.paused && c.streams[s.agentID] == s && s.grpc.Context().Err() == nil {
		c.resumed.Wait()
	}
	return c.streams[s.agentID] == s
}

func (s *agentStream) handle(message []byte) error {
	err := s.message.parse(message)
	if err == nil && s.center.options.strict {
		var decoded agentcenter.PackagedData
		if err = proto.Unmarshal(message, &decoded); err == nil && len(decoded.Records) != len(s.message.records) {
			err = fmt.Errorf("golang/protobuf found %d records, the walk %d", len(decoded.Records), len(s.message.records))
		}
	}
	if err != nil {
		s.center.ledger.addMalformed(len(message))
		emit("malformed", map[string]any{"agent_id": s.agentID, "peer": s.peer, "error": err.Error()})
		return undecodable(err)
	}
	reports, err := s.center.ledger.add(&s.message, len(message))
	if err != nil {
		return err
	}
	captured, err := s.center.captureHeartbeats(message, reports)
	if err != nil {
		return err
	}
	for _, report := range reports {
		s.report(report, captured)
	}
	return nil
}

// undecodable is the status with which gRPC ends a call whose message its codec refuses.
func undecodable(err error) error {
	return status.Errorf(codes.Internal, "grpc: failed to unmarshal the received message %v", err)
}

// report emits a record's event; captured is the file that has its message, if any.
func (s *agentStream) report(record reportedRecord, captured string) {
	details := map[string]any{
		"agent_id": s.agentID, "data_type": record.dataType, "timestamp": record.timestamp, "fields": record.fields,
	}
	if captured != "" && isHeartbeat(record) {
		details["captured"] = captured
	}
	switch record.dataType {
	case agentHeartbeat:
		details["header"] = s.header()
		// The event comes before the configuration is queued: a test that waits for it may push another.
		emit("heartbeat", details)
		s.judge(record)
		if !s.configSent {
			s.configSent = true
			if command := s.center.configuration(); command != nil {
				s.post(command)
			}
		}
	case pluginHeartbeat:
		emit("plugin_heartbeat", details)
		s.judge(record)
	default:
		emit("record", details)
	}
}

// post queues a command; false if the stream is too far behind to take it.
func (s *agentStream) post(command *agentcenter.Command) bool {
	select {
	case s.commands <- command:
		return true
	default:
		return false
	}
}

func (s *agentStream) header() map[string]any {
	m := &s.message
	return map[string]any{
		"agent_id": string(m.agentID), "hostname": string(m.hostname), "version": string(m.version),
		"product": string(m.product), "intranet_ipv4": m.addresses[0], "extranet_ipv4": m.addresses[1],
		"intranet_ipv6": m.addresses[2], "extranet_ipv6": m.addresses[3], "records": len(m.records),
	}
}

// delay makes the handler slow if the options say so, after a message of that many bytes.
func (c *center) delay(bytes int) {
	pause := time.Duration(c.options.slowMS) * time.Millisecond
	if rate := c.options.slowBytesPerSecond; rate > 0 {
		pause += time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
	}
	if pause > 0 {
		time.Sleep(pause)
	}
}

// receivedEncoding is the grpc-encoding of the request, "identity" if it has none.
func receivedEncoding(ctx context.Context) string {
	type encoded interface{ RecvCompress() string }
	if stream, ok := grpc.ServerTransportStreamFromContext(ctx).(encoded); ok && stream.RecvCompress() != "" {
		return stream.RecvCompress()
	}
	return "identity"
}
