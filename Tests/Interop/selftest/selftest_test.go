// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package selftest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"elkeid-interop/agentcenter"

	"github.com/golang/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
)

// compressor wraps a library's writer and reader as a gRPC compressor.
type compressor struct {
	name   string
	writer func(io.Writer) io.WriteCloser
	reader func(io.Reader) io.Reader
}

func (c compressor) Name() string                                 { return c.name }
func (c compressor) Compress(w io.Writer) (io.WriteCloser, error) { return c.writer(w), nil }
func (c compressor) Decompress(r io.Reader) (io.Reader, error)    { return c.reader(r), nil }

func init() {
	encoding.RegisterCompressor(compressor{
		"snappy",
		func(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) },
		func(r io.Reader) io.Reader { return snappy.NewReader(r) },
	})
	encoding.RegisterCompressor(compressor{
		"zstd",
		func(w io.Writer) io.WriteCloser { writer, _ := zstd.NewWriter(w); return writer },
		func(r io.Reader) io.Reader { reader, _ := zstd.NewReader(r); return reader },
	})
}

func record(dataType int32, fields map[string]string) *agentcenter.EncodedRecord {
	payload, err := proto.Marshal(&agentcenter.Payload{Fields: fields})
	if err != nil {
		panic(err)
	}
	return &agentcenter.EncodedRecord{DataType: dataType, Timestamp: 1700000000, Data: payload}
}

func heartbeat() *agentcenter.EncodedRecord {
	return record(1000, map[string]string{"state": "running"})
}

func tracked(lane string, seq int) *agentcenter.EncodedRecord {
	return record(59, map[string]string{"lane": lane, "seq": fmt.Sprint(seq)})
}

func TestRecordsAndCommands(t *testing.T) {
	for _, set := range []string{"elkeid", "ordinary", "ordinary-ec"} {
		for _, name := range []string{"identity", "gzip", "snappy", "zstd"} {
			t.Run(set+"/"+name, func(t *testing.T) {
				config := filepath.Join(t.TempDir(), "configs.json")
				os.WriteFile(config, []byte(`[{"name":"writer","version":"1.0.0.1","download_urls":["http://a/b"]}]`), 0o600)
				s := start(t, set, "-config", config)
				c := open(t, dial(t, s, clientTLS(t, set)), grpc.UseCompressor(name))
				c.send("agent-1", heartbeat())
				if e := s.expect("stream_opened"); e["agent_id"] != "agent-1" || e["encoding"] != name {
					t.Errorf("%v", e)
				}
				if e := s.expect("heartbeat"); e["fields"].(map[string]any)["state"] != "running" {
					t.Errorf("%v", e)
				}
				command, err := c.receive()
				if err != nil || len(command.Configs) != 1 || command.Configs[0].Name != "writer" ||
					command.Configs[0].DownloadUrls[0] != "http://a/b" {
					t.Fatalf("%v, %v", command, err)
				}
				for i := 0; i < 100; i++ {
					if i != 50 {
						c.send("agent-1", tracked("a", i), tracked("a", i+i%2), tracked("b", 99-i))
					}
				}
				c.send("agent-1", heartbeat(), record(5100, map[string]string{"token": "t1"}))
				if e := s.expect("record"); e["data_type"] != 5100.0 || e["fields"].(map[string]any)["token"] != "t1" {
					t.Errorf("%v", e)
				}
				stats := s.until("heartbeats", 2)
				lanes := stats["lanes"].(map[string]any)
				a, b := lanes["a"].(map[string]any), lanes["b"].(map[string]any)
				// Evens arrive twice; odd i sends i and i+1; only 0 and even numbers up to 100.
				if a["unique"] != 101.0 || a["missing"] != 0.0 || a["count"] != 198.0 || a["duplicates"] != 97.0 {
					t.Errorf("lane a: %v", a)
				}
				if b["count"] != 99.0 || b["missing"] != 1.0 || b["reordered"] != 98.0 || b["duplicates"] != 0.0 {
					t.Errorf("lane b: %v", b)
				}
				if stats["records"] != 298.0 || stats["malformed"] != 0.0 || stats["messages"] != 101.0 ||
					(stats["compressed_messages"] != 0.0) != (name != "identity") {
					t.Errorf("%v", stats)
				}
				s.tell(`{"cmd":"task","object_name":"writer","data_type":7,"data":"d","token":"k"}`, "done")
				command, err = c.receive()
				if err != nil || command.Task.ObjectName != "writer" || command.Task.DataType != 7 ||
					command.Task.Data != "d" || command.Task.Token != "k" || command.Configs != nil {
					t.Errorf("%v, %v", command, err)
				}
				s.tell(`{"cmd":"config","configs":[]}`, "done")
				if command, err = c.receive(); err != nil || len(command.Configs) != 0 || command.Task != nil {
					t.Errorf("%v, %v", command, err)
				}
				s.tell(`{"cmd":"end"}`, "done")
				if _, err := c.receive(); err != io.EOF {
					t.Errorf("end: %v", err)
				}
				s.expect("stream_ended")
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	cases := []struct {
		name      string
		arguments []string
		option    grpc.CallOption
		code      codes.Code
		message   string
	}{
		{"conflict", []string{"-conflict"}, nil, codes.Unknown, "agentID conflict"},
		{"full", []string{"-full"}, nil, codes.Unknown, "out of max connection limit"},
		{"encoding", []string{"-refuse-encoding", "snappy"}, grpc.UseCompressor("snappy"), codes.Unimplemented,
			"Decompressor is not installed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, "elkeid", c.arguments...)
			option := c.option
			if option == nil {
				option = grpc.UseCompressor("identity")
			}
			client := open(t, dial(t, s, clientTLS(t, "elkeid")), option)
			client.send("agent", heartbeat())
			_, err := client.receive()
			if status.Code(err) != c.code || !strings.Contains(err.Error(), c.message) {
				t.Error(err)
			}
		})
	}
}

func TestSecondStreamAndLimit(t *testing.T) {
	s := start(t, "elkeid", "-max-conns", "2")
	connection := dial(t, s, clientTLS(t, "elkeid"))
	open(t, connection).send("one", heartbeat())
	s.expect("heartbeat")
	for _, c := range []struct{ id, message string }{{"one", "agentID conflict"}, {"two", ""}, {"three", "out of max"}} {
		client := open(t, connection)
		client.send(c.id, heartbeat())
		if c.message == "" {
			s.expect("heartbeat")
			continue
		}
		if _, err := client.receive(); status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v", c.id, err)
		}
	}
}

func TestStatusAndHalfClose(t *testing.T) {
	s := start(t, "elkeid")
	connection := dial(t, s, clientTLS(t, "elkeid"))
	c := open(t, connection)
	c.send("agent", heartbeat())
	s.expect("heartbeat")
	s.tell(`{"cmd":"end","code":14,"message":"later"}`, "done")
	if _, err := c.receive(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	s.expect("stream_ended")
	c = open(t, connection)
	c.send("agent", heartbeat())
	c.stream.CloseSend()
	if _, err := c.receive(); err != io.EOF {
		t.Error(err)
	}
	if e := s.expect("stream_ended"); e["reason"] != "half-closed by the agent" {
		t.Error(e)
	}
}

func TestPauseHoldsTheStreamBack(t *testing.T) {
	s := start(t, "elkeid")
	c := open(t, dial(t, s, clientTLS(t, "elkeid")))
	c.send("agent", heartbeat())
	s.expect("heartbeat")
	s.tell(`{"cmd":"pause"}`, "done")
	sent := make(chan int, 1)
	go func() {
		for i := 0; i < 2000; i++ {
			c.send("agent", record(59, map[string]string{
				"lane": "a", "seq": fmt.Sprint(i), "pad": strings.Repeat("x", 10000),
			}))
		}
		sent <- 1
	}()
	if stats := s.tell(`{"cmd":"stats"}`, "stats"); stats["records"].(float64) > 1 {
		t.Errorf("%v records while paused", stats["records"])
	}
	s.tell(`{"cmd":"resume"}`, "done")
	stats := s.until("records", 2000)
	<-sent
	if lane := stats["lanes"].(map[string]any)["a"].(map[string]any); lane["missing"] != 0.0 || lane["duplicates"] != 0.0 {
		t.Error(lane)
	}
}

func TestGoawayDrainsAndTheNextStreamGoesElsewhere(t *testing.T) {
	s := start(t, "elkeid")
	connection := dial(t, s, clientTLS(t, "elkeid"))
	c := open(t, connection)
	c.send("agent", heartbeat())
	first := s.expect("heartbeat")
	s.tell(`{"cmd":"goaway"}`, "done")
	c.send("agent", heartbeat())
	s.expect("heartbeat")
	s.tell(`{"cmd":"end"}`, "done")
	if _, err := c.receive(); err != io.EOF {
		t.Error(err)
	}
	s.expect("drained")
	c = open(t, connection)
	c.send("agent", heartbeat())
	if s.expect("heartbeat")["agent_id"] != first["agent_id"] {
		t.Error("another agent")
	}
}

func TestDisconnectAndRefuse(t *testing.T) {
	s := start(t, "elkeid")
	connection := dial(t, s, clientTLS(t, "elkeid"))
	c := open(t, connection)
	c.send("agent", heartbeat())
	s.expect("heartbeat")
	s.tell(`{"cmd":"refuse","on":true}`, "done")
	if done := s.tell(`{"cmd":"disconnect"}`, "done"); done["streams"] != 1.0 {
		t.Error(done)
	}
	if _, err := c.receive(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	s.expect("connection_refused")
	s.tell(`{"cmd":"refuse","on":false}`, "done")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		"/grpc.Transfer/Transfer", grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	(&client{t, stream, connection}).send("agent", heartbeat())
	s.expect("heartbeat")
}

func TestUpload(t *testing.T) {
	s := start(t, "elkeid")
	connection := dial(t, s, clientTLS(t, "elkeid"))
	stream, err := connection.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true}, "/grpc.FileExt/Upload")
	if err != nil {
		t.Fatal(err)
	}
	for _, chunk := range []string{"hello ", "world"} {
		stream.SendMsg(&agentcenter.FileUploadRequest{Token: "tok", Data: []byte(chunk)})
	}
	stream.CloseSend()
	response := &agentcenter.FileUploadResponse{Status: 1}
	if err := stream.RecvMsg(response); err != nil || response.Status != 0 {
		t.Fatal(response, err)
	}
	e := s.expect("upload")
	if e["token"] != "tok" || e["bytes"] != 11.0 || e["chunks"] != 2.0 ||
		e["sha256"] != "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9" {
		t.Error(e)
	}
}

func TestHandshakes(t *testing.T) {
	cases := []struct {
		name      string
		arguments []string
		adjust    func(*tls.Config)
		server    string
		client    string
		accepted  bool
	}{
		{name: "TLS 1.2", arguments: []string{"-max-tls", "1.2"}, accepted: true},
		{name: "TLS 1.3", arguments: []string{"-min-tls", "1.3"}, accepted: true},
		{name: "client too old", arguments: []string{"-min-tls", "1.3"},
			adjust: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		{name: "no client certificate", adjust: func(c *tls.Config) { c.Certificates = nil }},
		{name: "client of another authority", client: "elkeid-other"},
		{name: "no ALPN", adjust: func(c *tls.Config) { c.NextProtos = nil }},
		{name: "expired server", server: "expired", client: "ordinary"},
		{name: "expired client", server: "ordinary", client: "expired"},
		{name: "server of another name", server: "wrong-name", client: "ordinary"},
		{name: "server of tomorrow", server: "not-yet-valid", client: "ordinary"},
		{name: "server of a stranger", server: "stranger", client: "ordinary"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.server == "" {
				c.server = "elkeid"
			}
			if c.client == "" {
				c.client = c.server
			}
			s := start(t, c.server, c.arguments...)
			config := clientTLS(t, c.client)
			config.NextProtos = []string{"h2"}
			if c.adjust != nil {
				c.adjust(config)
			}
			connection, err := tls.Dial("tcp", s.address, config)
			if err == nil {
				defer connection.Close()
				connection.SetDeadline(time.Now().Add(patience))
				// With TLS 1.3 a refused client learns it from its first read. A server that accepts sends SETTINGS.
				io.WriteString(connection, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
				_, err = connection.Read(make([]byte, 9))
			}
			if (err == nil) != c.accepted {
				t.Errorf("error %v", err)
			}
			if c.accepted {
				s.expect("connection")
			} else {
				s.expect("handshake_failed")
			}
		})
	}
}

func TestPlainAndNoH2(t *testing.T) {
	s := start(t, "elkeid", "-plain")
	c := open(t, dial(t, s, nil))
	c.send("agent", heartbeat())
	s.expect("heartbeat")
	if _, err := tls.Dial("tcp", s.address, clientTLS(t, "elkeid")); err == nil {
		t.Error("TLS on a plain port")
	}

	s = start(t, "elkeid", "-no-h2")
	config := clientTLS(t, "elkeid")
	config.NextProtos = []string{"h2"}
	connection, err := tls.Dial("tcp", s.address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if protocol := connection.ConnectionState().NegotiatedProtocol; protocol != "" {
		t.Error(protocol)
	}
}

func TestMessageLimits(t *testing.T) {
	s := start(t, "elkeid")
	c := open(t, dial(t, s, clientTLS(t, "elkeid")))
	c.send("agent", record(59, map[string]string{"lane": "a", "seq": "0", "pad": strings.Repeat("x", 9<<20)}))
	c.send("agent", record(59, map[string]string{"lane": "a", "seq": "1", "pad": strings.Repeat("x", 11<<20)}))
	if _, err := c.receive(); status.Code(err) != codes.ResourceExhausted {
		t.Error(err)
	}
	if e := s.expect("stream_ended"); !strings.Contains(e["reason"].(string), "larger than max") {
		t.Error(e)
	}
	stats := s.until("records", 1)
	if stats["largest_message"].(float64) < 9<<20 || stats["records"] != 1.0 {
		t.Error(stats)
	}
}

func TestMalformedMessageEndsTheStream(t *testing.T) {
	s := start(t, "elkeid")
	c := open(t, dial(t, s, clientTLS(t, "elkeid")))
	c.send("agent", heartbeat())
	s.expect("heartbeat")
	// An upload request is no PackagedData: a token that is not a record, and bytes that are not UTF-8.
	if err := c.stream.SendMsg(&agentcenter.FileUploadRequest{Token: "x", Data: []byte{0xff}}); err != nil {
		t.Fatal(err)
	}
	s.expect("malformed")
	if _, err := c.receive(); status.Code(err) != codes.Internal {
		t.Error(err)
	}
	if stats := s.until("malformed", 1); stats["records"] != 0.0 {
		t.Error(stats)
	}
}

// What grpc-go itself makes of each hostile mode. "" means that a command arrives, "desc = " any error, perhaps that
// of the deadline; "anything" is for what grpc-go lets pass.
func TestHostileModes(t *testing.T) {
	cases := map[string]string{
		"none": "", "large-command": "", "malformed-command": "unmarshal", "garbage-framing": "larger than max",
		"undeclared-compression": "compressed flag set", "unknown-encoding": "Decompressor is not installed",
		"garbage-gzip": "decompress", "garbage-snappy": "decompress", "garbage-zstd": "decompress",
		"truncated-gzip": "desc = ", "bomb-gzip": "larger than max", "announced-11MiB": "larger than max",
		"announced-4GiB": "larger than max", "oversized-command": "larger than max", "truncated-message": "unexpected EOF",
		"end-inside-message-start": "unexpected EOF", "status-unimplemented": "Unimplemented",
		"status-exhausted": "ResourceExhausted", "status-unavailable": "100% 忙", "status-absent": "desc = ",
		"status-nonsense": "malformed grpc-status", "http-503": "Unavailable", "http-html": "text/html",
		"data-end-stream": "server closed the stream without sending trailers", "rst-stream": "Internal",
		"rst-refused": "desc = ", "goaway-pings": "Unavailable", "goaway-unprocessed": "Unavailable",
		"close-after-headers": "Unavailable", "huge-frame": "Unavailable", "garbage-hpack": "desc = ",
		"window-overflow": "desc = ", "data-before-headers": "anything", "flood-settings": "desc = ", "http1": "Unavailable",
		"garbage": "Unavailable", "close-at-once": "Unavailable", "silent": "desc = ", "silent-tcp": "desc = ",
	}
	for mode, want := range cases {
		mode, want := mode, want
		t.Run(mode, func(t *testing.T) {
			s := start(t, "elkeid", "-bad", mode)
			connection := dial(t, s, clientTLS(t, "elkeid"))
			limit := patience
			if want == "desc = " || want == "anything" {
				limit = time.Second
			}
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
				"/grpc.Transfer/Transfer", grpc.MaxCallRecvMsgSize(10<<20))
			if err == nil {
				stream.SendMsg(&agentcenter.PackagedData{AgentId: "agent"})
				err = stream.RecvMsg(new(agentcenter.Command))
			}
			if want == "anything" {
				want = ""
			} else if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%v, want %q", err, want)
			}
			s.expect("hostile")
		})
	}
}

// writerRun starts interop-plugin-writer as the agent would, and collects its records.
func writerRun(t *testing.T, options map[string]any, tasks ...*agentcenter.Task) (records []byte, summary event) {
	t.Helper()
	dir := t.TempDir()
	text, _ := json.Marshal(options)
	os.WriteFile(filepath.Join(dir, "writer.json"), text, 0o600)
	taskRead, taskWrite, _ := os.Pipe()
	recordRead, recordWrite, _ := os.Pipe()
	highRead, highWrite, _ := os.Pipe()
	command := exec.Command(filepath.Join(os.Getenv("INTEROP_BIN"), "interop-plugin-writer"))
	command.Dir = dir
	command.Stderr = os.Stderr
	command.ExtraFiles = []*os.File{taskRead, recordWrite, highWrite}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	taskRead.Close()
	recordWrite.Close()
	highWrite.Close()
	high := make(chan []byte, 1)
	go func() {
		bytes, _ := io.ReadAll(highRead)
		high <- bytes
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		records, _ = io.ReadAll(recordRead)
	}()
	for _, task := range tasks {
		body, _ := proto.Marshal(task)
		frame := make([]byte, 4, 4+len(body))
		binary.LittleEndian.PutUint32(frame, uint32(len(body)))
		taskWrite.Write(append(frame, body...))
	}
	deadline := time.Now().Add(patience)
	for {
		text, err := os.ReadFile(filepath.Join(dir, "writer-summary.json"))
		if err == nil && json.Unmarshal(text, &summary) == nil && summary["done"] == true {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the writer is not done")
		}
		time.Sleep(time.Millisecond)
	}
	taskWrite.Close()
	<-done
	if err := command.Wait(); err != nil && options["exit_code"] == nil {
		t.Error(err)
	}
	records = append(records, <-high...)
	text, _ = os.ReadFile(filepath.Join(dir, "writer-summary.json"))
	json.Unmarshal(text, &summary)
	return records, summary
}

// forward sends frames to a server as the agent would, and returns its account.
func forward(t *testing.T, frames [][]byte, arguments ...string) event {
	t.Helper()
	s := start(t, "elkeid", arguments...)
	c := open(t, dial(t, s, clientTLS(t, "elkeid")))
	message := &agentcenter.PackagedData{AgentId: "agent"}
	size := 0
	for i, frame := range frames {
		var r agentcenter.Record
		if err := proto.Unmarshal(frame, &r); err != nil && !strings.Contains(err.Error(), "UTF-8") {
			t.Fatalf("frame %d: %v", i, err)
		}
		var data []byte
		if r.Data != nil {
			// Re-encoded: the order of the map does not matter here.
			data, _ = proto.Marshal(r.Data)
		}
		message.Records = append(message.Records, &agentcenter.EncodedRecord{DataType: r.DataType, Timestamp: r.Timestamp, Data: data})
		if size += len(frame); size > 1<<20 || i == len(frames)-1 {
			if err := c.stream.SendMsg(message); err != nil {
				t.Fatal(err)
			}
			message.Records, size = nil, 0
		}
	}
	return s.until("records", float64(len(frames)))
}

func split(t *testing.T, stream []byte) (frames [][]byte) {
	t.Helper()
	for len(stream) > 0 {
		length := int(binary.LittleEndian.Uint32(stream))
		if len(stream) < 4+length {
			t.Fatalf("%d bytes of a frame of %d", len(stream)-4, length)
		}
		frames = append(frames, stream[4:4+length])
		stream = stream[4+length:]
	}
	return frames
}

func TestWriterLanes(t *testing.T) {
	for _, options := range []map[string]any{
		{"count": 5000, "lane": "a"},
		{"count": 3000, "lane": "a", "chunk": 700, "seed": 3, "record_size": 300},
		{"count": 300, "lane": "a", "rate": 3000},
		{"count": 1000, "lane": "a", "high_priority_every": 10},
		{"count": 1300, "lane": "a", "mode": "odd"},
	} {
		stream, summary := writerRun(t, options)
		frames := split(t, stream)
		if summary["records"] != float64(len(frames)) || summary["bytes"] != float64(len(stream)) || summary["ended"] != true {
			t.Errorf("%v: %v for %d frames, %d bytes", options, summary, len(frames), len(stream))
		}
		stats := forward(t, frames)
		for name, count := range summary["lanes"].(map[string]any) {
			lane := stats["lanes"].(map[string]any)[name].(map[string]any)
			if lane["count"] != count || lane["missing"] != 0.0 || lane["duplicates"] != 0.0 || lane["reordered"] != 0.0 {
				t.Errorf("%v: lane %s: %v, want %v", options, name, lane, count)
			}
		}
	}
}

func TestWriterMalformed(t *testing.T) {
	stream, summary := writerRun(t, map[string]any{"count": 1000, "mode": "malformed", "every": 10})
	if frames := split(t, stream); len(frames) != 1000 || summary["malformed"] != 100.0 || summary["records"] != 900.0 {
		t.Errorf("%d frames, %v", len(frames), summary)
	}
}

func TestWriterEndings(t *testing.T) {
	stream, _ := writerRun(t, map[string]any{"count": 2, "mode": "huge-length"})
	first := 4 + binary.LittleEndian.Uint32(stream)
	second := first + 4 + binary.LittleEndian.Uint32(stream[first:])
	if binary.LittleEndian.Uint32(stream[second:]) != 0xfffffff0 {
		t.Error("no huge length after two records")
	}
	stream, _ = writerRun(t, map[string]any{"count": 1, "mode": "half-frame,crash", "exit_code": 3})
	first = 4 + binary.LittleEndian.Uint32(stream)
	if rest := stream[first:]; len(rest) < 100 || len(rest) >= 4+int(binary.LittleEndian.Uint32(rest)) {
		t.Errorf("%d bytes of a half frame", len(rest))
	}
}

func TestWriterEchoesTasks(t *testing.T) {
	var tasks []*agentcenter.Task
	for i := 0; i < 50; i++ {
		tasks = append(tasks, &agentcenter.Task{DataType: int32(i), ObjectName: "w", Data: strings.Repeat("d", i*1000), Token: fmt.Sprint(i)})
	}
	stream, summary := writerRun(t, map[string]any{"mode": "echo-tasks"}, tasks...)
	frames := split(t, stream)
	if len(frames) != 50 || summary["tasks"] != 50.0 {
		t.Fatalf("%d frames, %v", len(frames), summary)
	}
	for i, frame := range frames {
		var r agentcenter.Record
		if err := proto.Unmarshal(frame, &r); err != nil || r.DataType != 5100 || r.Data.Fields["token"] != fmt.Sprint(i) ||
			r.Data.Fields["status"] != "succeed" || len(r.Data.Fields["msg"]) != i*1000 {
			t.Errorf("%d: %v %v", i, err, &r)
		}
	}
}

func TestWriterThatDoesNotEnd(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "writer.json"), []byte(`{"mode":"ignore-term,ignore-eof,grandchild","count":1}`), 0o600)
	taskRead, taskWrite, _ := os.Pipe()
	recordRead, recordWrite, _ := os.Pipe()
	command := exec.Command(filepath.Join(os.Getenv("INTEROP_BIN"), "interop-plugin-writer"))
	command.Dir = dir
	command.ExtraFiles = []*os.File{taskRead, recordWrite}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	taskRead.Close()
	recordWrite.Close()
	first := make([]byte, 600)
	if _, err := io.ReadFull(recordRead, first); err != nil {
		t.Fatal(err)
	}
	taskWrite.Close()
	command.Process.Signal(syscall.SIGTERM)
	// The end of neither the process nor the pipe comes; a bounded wait for what must not happen.
	recordRead.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := io.Copy(io.Discard, recordRead); !os.IsTimeout(err) {
		t.Errorf("the record pipe: %v", err)
	}
	if err := command.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error(err)
	}
	command.Process.Kill()
	command.Wait()
	recordRead.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := recordRead.Read(first); !os.IsTimeout(err) {
		t.Errorf("the record pipe without the writer: %v", err)
	}
	syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
}

func TestGoPluginStreamAndDump(t *testing.T) {
	file, err := os.Open(filepath.Join(os.Getenv("INTEROP_VECTORS"), "go-plugin.stream.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	frames := split(t, stream)
	dump := filepath.Join(t.TempDir(), "dump")
	stats := forward(t, frames, "-dump", dump)
	if stats["records"] != 268.0 || stats["malformed_payloads"] != 0.0 {
		t.Error(stats)
	}
	written, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	for i, frame := range frames {
		var r agentcenter.Record
		proto.Unmarshal(frame, &r)
		size := int(binary.LittleEndian.Uint32(written[12:]))
		if int32(binary.LittleEndian.Uint32(written)) != r.DataType || int64(binary.LittleEndian.Uint64(written[4:])) != r.Timestamp {
			t.Fatalf("record %d differs", i)
		}
		for _, value := range r.GetData().GetFields() {
			if !bytes.Contains(written[16:16+size], []byte(value)) {
				t.Errorf("record %d lacks a value", i)
			}
		}
		written = written[16+size:]
	}
	if len(written) != 0 {
		t.Errorf("%d bytes after the last record", len(written))
	}
}
