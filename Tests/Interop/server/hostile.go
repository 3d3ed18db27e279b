// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sort"
	"strings"
	"sync"
	"time"

	"elkeid-interop/agentcenter"

	"github.com/golang/protobuf/proto"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// hostileMode is what a server of -bad does with each connection.
type hostileMode struct {
	// early modes act right after the TLS handshake, the others once the first gRPC message has arrived.
	early bool
	act   func(c *hostileConnection) error
}

var hostileModes map[string]hostileMode

func init() {
	hostileModes = map[string]hostileMode{
		// Well-behaved, to prove that the raw server itself is not what a client objects to.
		"none": answer(nil, message(0, nil)),

		// gRPC messages.
		"malformed-command":      answer(nil, message(0, []byte{0x12, 0x7f, 0x01})),
		"garbage-framing":        answer(nil, bytes.Repeat([]byte{0xa5}, 64)),
		"undeclared-compression": answer(nil, message(1, gzipped(encodedCommand(10)))),
		"unknown-encoding":       answer([]string{"grpc-encoding", "lzma"}, message(1, []byte{1, 2, 3})),
		"garbage-gzip":           answer([]string{"grpc-encoding", "gzip"}, message(1, []byte{1, 2, 3})),
		"garbage-snappy":         answer([]string{"grpc-encoding", "snappy"}, message(1, []byte{1, 2, 3})),
		"garbage-zstd":           answer([]string{"grpc-encoding", "zstd"}, message(1, []byte{1, 2, 3})),
		"truncated-gzip":         answer([]string{"grpc-encoding", "gzip"}, message(1, gzipped(encodedCommand(1000))[:20])),
		"bomb-gzip": answerLater([]string{"grpc-encoding", "gzip"},
			func() []byte { return message(1, gzipped(make([]byte, 256<<20))) }),
		"announced-11MiB":          answer(nil, []byte{0, 0, 0xb0, 0, 0}),
		"announced-4GiB":           answer(nil, []byte{0, 0xff, 0xff, 0xff, 0xff}),
		"large-command":            answerLater(nil, func() []byte { return message(0, encodedCommand(9<<20)) }),
		"oversized-command":        answerLater(nil, func() []byte { return message(0, encodedCommand(11<<20)) }),
		"truncated-message":        answerAndEnd(message(0, encodedCommand(100))[:60], "grpc-status", "0"),
		"end-inside-message-start": answerAndEnd([]byte{0, 0}, "grpc-status", "0"),

		// Statuses.
		"status-unimplemented": trailersOnly(":status", "200", "content-type", "application/grpc", "grpc-status", "12",
			"grpc-message", "grpc: Decompressor is not installed for grpc-encoding %22snappy%22"),
		"status-exhausted": trailersOnly(":status", "200", "content-type", "application/grpc", "grpc-status", "8",
			"grpc-message", "grpc: received message larger than max (11534336 vs. 10485760)"),
		"status-unavailable": answerAndEnd(nil, "grpc-status", "14", "grpc-message", "100%25 %E5%BF%99"),
		"status-absent":      answerAndEnd(nil, "x-no-status", "1"),
		"status-nonsense":    answerAndEnd(nil, "grpc-status", "seven"),
		"http-503":           trailersOnly(":status", "503", "content-type", "text/html"),
		"http-html": script(func(c *hostileConnection) error {
			if err := c.headers(false, ":status", "200", "content-type", "text/html"); err != nil {
				return err
			}
			return c.data([]byte("<html>It works!</html>"), true)
		}),
		"data-end-stream": script(func(c *hostileConnection) error {
			if err := c.open(); err != nil {
				return err
			}
			return c.data(nil, true)
		}),

		// HTTP/2.
		"rst-stream": script(func(c *hostileConnection) error {
			if err := c.open(); err != nil {
				return err
			}
			return c.write(func(f *http2.Framer) error { return f.WriteRSTStream(c.stream, http2.ErrCodeInternal) })
		}),
		"rst-refused": script(func(c *hostileConnection) error {
			return c.write(func(f *http2.Framer) error { return f.WriteRSTStream(c.stream, http2.ErrCodeRefusedStream) })
		}),
		"goaway-pings": script(func(c *hostileConnection) error {
			err := c.write(func(f *http2.Framer) error {
				return f.WriteGoAway(c.stream, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
			})
			c.connection.Close()
			return err
		}),
		"goaway-unprocessed": script(func(c *hostileConnection) error {
			return c.write(func(f *http2.Framer) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) })
		}),
		"close-after-headers": script(func(c *hostileConnection) error {
			err := c.open()
			c.connection.Close()
			return err
		}),
		"huge-frame": script(func(c *hostileConnection) error {
			return c.write(func(f *http2.Framer) error {
				return f.WriteRawFrame(http2.FrameData, 0, c.stream, make([]byte, 1<<20))
			})
		}),
		"garbage-hpack": script(func(c *hostileConnection) error {
			return c.write(func(f *http2.Framer) error {
				return f.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, c.stream, bytes.Repeat([]byte{0xff}, 64))
			})
		}),
		"window-overflow": script(func(c *hostileConnection) error {
			return c.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<31-1) })
		}),
		"data-before-headers": script(func(c *hostileConnection) error { return c.data(message(0, nil), false) }),
		"flood-settings": script(func(c *hostileConnection) error {
			for i := 0; i < 20000; i++ {
				if err := c.write(func(f *http2.Framer) error { return f.WriteSettings() }); err != nil {
					return err
				}
			}
			return nil
		}),

		// Not even HTTP/2.
		"http1": early(func(c *hostileConnection) error {
			_, err := io.WriteString(c.connection, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
			return err
		}),
		"garbage": early(func(c *hostileConnection) error {
			_, err := c.connection.Write(bytes.Repeat([]byte{0xff}, 4096))
			return err
		}),
		"close-at-once": early(func(c *hostileConnection) error { return c.connection.Close() }),
		"silent":        early(func(*hostileConnection) error { return nil }),
		"silent-tcp":    {},
	}
}

func script(act func(*hostileConnection) error) hostileMode { return hostileMode{act: act} }

func early(act func(*hostileConnection) error) hostileMode { return hostileMode{early: true, act: act} }

// answer sends response headers and bytes, and leaves the stream open.
func answer(extraHeaders []string, bytes []byte) hostileMode {
	return answerLater(extraHeaders, func() []byte { return bytes })
}

// answerLater is answer for bytes that are dear to make.
func answerLater(extraHeaders []string, make func() []byte) hostileMode {
	return script(func(c *hostileConnection) error {
		if err := c.open(extraHeaders...); err != nil {
			return err
		}
		return c.data(make(), false)
	})
}

// answerAndEnd sends response headers, bytes and trailers.
func answerAndEnd(bytes []byte, trailers ...string) hostileMode {
	return script(func(c *hostileConnection) error {
		if err := c.open(); err != nil {
			return err
		}
		if err := c.data(bytes, false); err != nil {
			return err
		}
		return c.headers(true, trailers...)
	})
}

func trailersOnly(fields ...string) hostileMode {
	return script(func(c *hostileConnection) error { return c.headers(true, fields...) })
}

// message puts gRPC's prefix before a message.
func message(flag byte, body []byte) []byte {
	prefix := make([]byte, 5, 5+len(body))
	prefix[0] = flag
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(body)))
	return append(prefix, body...)
}

// encodedCommand is a valid Command: a task for nobody with data of that size.
func encodedCommand(size int) []byte {
	encoded, err := proto.Marshal(&agentcenter.Command{
		Task: &agentcenter.Task{ObjectName: "nobody", Token: "large", Data: strings.Repeat("x", size)},
	})
	if err != nil {
		panic(err)
	}
	return encoded
}

func gzipped(plain []byte) []byte {
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	writer.Write(plain)
	writer.Close()
	return out.Bytes()
}

func hostileModeNames() []string {
	var names []string
	for name := range hostileModes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// serveHostile serves every connection in the mode of -bad.
func (c *center) serveHostile() error {
	mode, ok := hostileModes[c.options.bad]
	if !ok {
		return fmt.Errorf("-bad %s: known are %s", c.options.bad, strings.Join(hostileModeNames(), ", "))
	}
	branch := c.board.branch()
	go func() {
		for {
			connection, err := branch.Accept()
			if err != nil {
				return
			}
			go c.misbehave(connection, mode)
		}
	}()
	return nil
}

func (c *center) misbehave(raw net.Conn, mode hostileMode) {
	defer raw.Close()
	peer := raw.RemoteAddr().String()
	connection := raw
	if mode.act != nil && c.tls != nil {
		secured, err := c.tls.handshake(raw)
		if err != nil {
			return
		}
		connection = secured
	}
	h := &hostileConnection{connection: connection, window: 65535, initialWindow: 65535, seen: make(map[string]any)}
	h.changed = sync.NewCond(&h.mutex)
	h.framer = http2.NewFramer(connection, connection)
	var err error
	if mode.early || mode.act == nil {
		emit("hostile", map[string]any{"peer": peer, "mode": c.options.bad})
		if mode.act != nil {
			err = mode.act(h)
		}
		io.Copy(io.Discard, connection)
	} else {
		err = h.converse(func() error {
			emit("hostile", map[string]any{"peer": peer, "mode": c.options.bad})
			return mode.act(h)
		})
	}
	details := map[string]any{"peer": peer, "mode": c.options.bad, "client": h.seen}
	if err != nil {
		details["error"] = err.Error()
	}
	emit("hostile_closed", details)
}

// hostileConnection is just enough of an HTTP/2 server to take one call and answer it wrongly.
type hostileConnection struct {
	connection net.Conn
	framer     *http2.Framer
	writing    sync.Mutex

	mutex         sync.Mutex
	changed       *sync.Cond
	stream        uint32
	window        int64
	streamWindow  int64
	initialWindow int64
	request       []byte
	closed        bool
	seen          map[string]any
}

// converse reads the client's frames until the connection ends, and calls act once the first gRPC message is there.
func (c *hostileConnection) converse(act func() error) error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.connection, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return errors.New("the client's HTTP/2 preface is wrong")
	}
	if err := c.write(func(f *http2.Framer) error { return f.WriteSettings() }); err != nil {
		return err
	}
	acted := make(chan error, 1)
	started := false
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			c.mutex.Lock()
			c.closed = true
			c.seen["end"] = err.Error()
			c.changed.Broadcast()
			c.mutex.Unlock()
			break
		}
		if err := c.take(frame); err != nil {
			return err
		}
		if !started && len(c.request) >= 5 && len(c.request) >= 5+int(binary.BigEndian.Uint32(c.request[1:])) {
			started = true
			go func() { acted <- act() }()
		}
	}
	if !started {
		return errors.New("the connection ended before the first message")
	}
	return <-acted
}

func (c *hostileConnection) take(frame http2.Frame) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	defer c.changed.Broadcast()
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if value, ok := f.Value(http2.SettingInitialWindowSize); ok {
			c.streamWindow += int64(value) - c.initialWindow
			c.initialWindow = int64(value)
		}
		return c.write(func(f *http2.Framer) error { return f.WriteSettingsAck() })
	case *http2.HeadersFrame:
		if c.stream == 0 {
			c.stream, c.streamWindow = f.StreamID, c.initialWindow
		}
	case *http2.DataFrame:
		if len(c.request) < maxMessageSize {
			c.request = append(c.request, f.Data()...)
		}
		if length := f.Length; length > 0 {
			return c.write(func(f *http2.Framer) error {
				if err := f.WriteWindowUpdate(0, length); err != nil {
					return err
				}
				return f.WriteWindowUpdate(c.stream, length)
			})
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		} else if f.StreamID == c.stream {
			c.streamWindow += int64(f.Increment)
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			data := f.Data
			return c.write(func(f *http2.Framer) error { return f.WritePing(true, data) })
		}
	case *http2.RSTStreamFrame:
		c.seen["rst_stream"] = f.ErrCode.String()
	case *http2.GoAwayFrame:
		c.seen["goaway"] = f.ErrCode.String()
	}
	return nil
}

func (c *hostileConnection) write(frame func(*http2.Framer) error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.connection.SetWriteDeadline(time.Now().Add(30 * time.Second))
	return frame(c.framer)
}

// open sends the headers with which a gRPC response starts.
func (c *hostileConnection) open(extra ...string) error {
	return c.headers(false, append([]string{":status", "200", "content-type", "application/grpc"}, extra...)...)
}

func (c *hostileConnection) headers(end bool, fields ...string) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	// No dynamic table, so that blocks do not depend on each other.
	for i := 0; i < len(fields); i += 2 {
		encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true})
	}
	return c.write(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{
			StreamID: c.stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end,
		})
	})
}

// data sends bytes within the client's flow-control windows.
func (c *hostileConnection) data(bytes []byte, end bool) error {
	for first := true; len(bytes) > 0 || first; first = false {
		c.mutex.Lock()
		for len(bytes) > 0 && (c.window <= 0 || c.streamWindow <= 0) && !c.closed {
			c.changed.Wait()
		}
		closed := c.closed
		n := len(bytes)
		for _, limit := range []int64{16384, c.window, c.streamWindow} {
			if int64(n) > limit {
				n = int(limit)
			}
		}
		if len(bytes) == 0 {
			n = 0
		}
		c.window -= int64(n)
		c.streamWindow -= int64(n)
		c.mutex.Unlock()
		if closed {
			return errors.New("the client closed the connection before all was sent")
		}
		if n == 0 && !end {
			return nil
		}
		chunk, last := bytes[:n], n == len(bytes)
		bytes = bytes[n:]
		if err := c.write(func(f *http2.Framer) error { return f.WriteData(c.stream, end && last, chunk) }); err != nil {
			return err
		}
	}
	return nil
}
