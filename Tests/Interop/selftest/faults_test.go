// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package selftest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

const mebibyte = 1 << 20

// How long nothing must come where nothing may come.
const quiet = 300 * time.Millisecond

// peer is a TCP server that hands the test each connection.
type peer struct {
	t           *testing.T
	address     string
	connections chan *net.TCPConn
}

func listen(t *testing.T) *peer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	p := &peer{t, listener.Addr().String(), make(chan *net.TCPConn, 100)}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { connection.Close() })
			p.connections <- connection.(*net.TCPConn)
		}
	}()
	return p
}

func (p *peer) accept() *net.TCPConn {
	p.t.Helper()
	select {
	case connection := <-p.connections:
		return connection
	case <-time.After(patience):
		p.t.Fatal("nobody connects to the server")
		return nil
	}
}

func faults(t *testing.T, target *peer) *server {
	t.Helper()
	return run(t, "interop-faults", "-target", target.address)
}

// connect gives both ends of a connection through the proxy.
func connect(s *server, target *peer) (agent, end *net.TCPConn) {
	s.t.Helper()
	agent = reach(s)
	return agent, target.accept()
}

func reach(s *server) *net.TCPConn {
	s.t.Helper()
	connection, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { connection.Close() })
	return connection.(*net.TCPConn)
}

func say(t *testing.T, from *net.TCPConn, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, at *net.TCPConn, text string) {
	t.Helper()
	at.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(text))
	if n, err := io.ReadFull(at, got); err != nil || string(got) != text {
		t.Fatalf("%q (%v) instead of %q", got[:n], err, text)
	}
}

// passes checks both directions.
func passes(t *testing.T, agent, end *net.TCPConn) {
	t.Helper()
	say(t, agent, "up")
	hear(t, end, "up")
	say(t, end, "down")
	hear(t, agent, "down")
}

// silence checks that for a while neither data nor an end comes.
func silence(t *testing.T, at *net.TCPConn) {
	t.Helper()
	at.SetReadDeadline(time.Now().Add(quiet))
	n, err := at.Read(make([]byte, 100))
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("not silent:", n, err)
	}
}

func isReset(t *testing.T, at *net.TCPConn) {
	t.Helper()
	at.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, at); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal("not a reset:", err)
	}
}

func isEnd(t *testing.T, at *net.TCPConn) {
	t.Helper()
	at.SetReadDeadline(time.Now().Add(patience))
	if n, err := io.Copy(io.Discard, at); n > 0 || err != nil {
		t.Fatal("not the end:", n, err)
	}
}

// fill writes until nothing more is taken, and gives what was.
func fill(t *testing.T, into *net.TCPConn) []byte {
	t.Helper()
	var taken []byte
	for number := 0; ; number++ {
		block := bytes.Repeat([]byte(fmt.Sprintf("%07d\n", number)), 1<<13)
		into.SetWriteDeadline(time.Now().Add(quiet))
		n, err := into.Write(block)
		taken = append(taken, block[:n]...)
		if err != nil {
			into.SetWriteDeadline(time.Time{})
			return taken
		}
		if len(taken) > 100*mebibyte {
			t.Fatal("everything is taken")
		}
	}
}

func hearAll(t *testing.T, at *net.TCPConn, data []byte) {
	t.Helper()
	at.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(data))
	if n, err := io.ReadFull(at, got); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes, equal %v: %v", n, len(data), bytes.Equal(got[:n], data[:n]), err)
	}
}

func order(s *server, format string, arguments ...any) event {
	s.t.Helper()
	return s.tell(fmt.Sprintf(format, arguments...), "done")
}

func TestFaultsForwarding(t *testing.T) {
	target := listen(t)
	s := faults(t, target)
	agent, end := connect(s, target)
	passes(t, agent, end)
	if e := s.expect("connection"); e["connection"] != 1.0 || e["peer"] != agent.LocalAddr().String() {
		t.Error(e)
	}
	if e := s.expect("connected"); e["target"] != target.address || e["local"] != end.RemoteAddr().String() {
		t.Error(e)
	}
	s.until("up", 2)
	stats := s.until("down", 4)
	if stats["connections"] != 1.0 || stats["total"] != 1.0 || stats["up"] != 2.0 || stats["down"] != 4.0 {
		t.Error(stats)
	}
	// Much, both ways at once, and then one end after the other.
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<19)
	go func() {
		agent.Write(data)
		agent.CloseWrite()
	}()
	go end.Write(data)
	hearAll(t, end, data)
	isEnd(t, end)
	hearAll(t, agent, data)
	silence(t, agent)
	say(t, end, "later")
	hear(t, agent, "later")
	end.CloseWrite()
	isEnd(t, agent)
	if e := s.expect("connection_ended"); e["reason"] != "closed" || e["up"] != float64(len(data)+2) {
		t.Error(e)
	}
	// Resets are passed on, after what came before them.
	agent, end = connect(s, target)
	say(t, agent, "last words")
	agent.SetLinger(0)
	agent.Close()
	hear(t, end, "last words")
	isReset(t, end)
	if e := s.expect("connection_ended"); e["reason"] != "reset by the agent" {
		t.Error(e)
	}
	agent, end = connect(s, target)
	end.SetLinger(0)
	end.Close()
	isReset(t, agent)
	// An end, and then nobody who takes what still comes.
	agent, end = connect(s, target)
	agent.Close()
	isEnd(t, end)
	end.SetWriteDeadline(time.Now().Add(patience))
	for {
		if _, err := end.Write(data); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the server can write for ever")
			}
			break
		}
	}
	s.until("total", 4)
	if stats := s.tell(`{"cmd":"stats"}`, "stats"); stats["connections"] != 0.0 || stats["kept_down"] != 0.0 {
		t.Error(stats)
	}
	for _, wrong := range []string{
		`{"cmd":"no-such"}`, `{"cmd":"refuse"}`, `{"cmd":"rate"}`, `{"cmd":"rate","bytes_per_second":-1}`,
		`{"cmd":"latency"}`, `{"cmd":"target","address":"nowhere"}`, `not JSON`,
	} {
		if e := s.tell(wrong, "command_failed"); e["error"] == "" {
			t.Error(wrong, e)
		}
	}
}

func TestFaultsReset(t *testing.T) {
	target := listen(t)
	s := faults(t, target)
	agent, end := connect(s, target)
	other, otherEnd := connect(s, target)
	passes(t, agent, end)
	passes(t, other, otherEnd)
	if e := order(s, `{"cmd":"reset"}`); e["connections"] != 2.0 {
		t.Error(e)
	}
	for _, side := range []*net.TCPConn{agent, end, other, otherEnd} {
		isReset(t, side)
	}
	agent, end = connect(s, target)
	passes(t, agent, end)
	if stats := s.tell(`{"cmd":"stats"}`, "stats"); stats["connections"] != 1.0 || stats["total"] != 3.0 {
		t.Error(stats)
	}
}

func TestFaultsRefuse(t *testing.T) {
	target := listen(t)
	s := faults(t, target)
	agent, end := connect(s, target)
	refused := func() {
		t.Helper()
		for i := 0; i < 20; i++ {
			if connection, err := net.Dial("tcp", s.address); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatal("not refused:", connection, err)
			}
		}
	}
	for i := 0; i < 3; i++ {
		order(s, `{"cmd":"refuse","on":true}`)
		order(s, `{"cmd":"refuse","on":true}`)
		refused()
		passes(t, agent, end)
		order(s, `{"cmd":"refuse","on":false}`)
		other, otherEnd := connect(s, target)
		passes(t, other, otherEnd)
	}
	order(s, `{"cmd":"refuse","on":true}`)
	refused()
	order(s, `{"cmd":"clear"}`)
	agent, end = connect(s, target)
	passes(t, agent, end)
}

func TestFaultsBlackhole(t *testing.T) {
	target := listen(t)
	s := faults(t, target)
	agent, end := connect(s, target)
	closing, closingEnd := connect(s, target)
	resetting, resettingEnd := connect(s, target)
	order(s, `{"cmd":"blackhole","on":true}`)
	say(t, agent, "kept up")
	say(t, end, "kept down")
	fresh := reach(s)
	say(t, fresh, "from a new one")
	say(t, closing, "end")
	closing.CloseWrite()
	say(t, resetting, "...")
	resetting.SetLinger(0)
	resetting.Close()
	s.until("kept_up", 27)
	s.until("kept_down", 9)
	for _, side := range []*net.TCPConn{agent, end, closing, closingEnd, resettingEnd, fresh} {
		silence(t, side)
	}
	if len(target.connections) > 0 {
		t.Error("the server has heard of the new connection")
	}
	order(s, `{"cmd":"blackhole","on":false}`)
	hear(t, end, "kept up")
	hear(t, agent, "kept down")
	hear(t, closingEnd, "end")
	isEnd(t, closingEnd)
	hear(t, resettingEnd, "...")
	isReset(t, resettingEnd)
	freshEnd := target.accept()
	hear(t, freshEnd, "from a new one")
	passes(t, fresh, freshEnd)

	// Not more than so much; and also for writes to a server that did not read when it began.
	early := fill(t, agent)
	order(s, `{"cmd":"blackhole","on":true}`)
	forwarded := s.tell(`{"cmd":"stats"}`, "stats")["up"]
	taken := append(early, fill(t, agent)...)
	got := make([]byte, len(early))
	end.SetReadDeadline(time.Now().Add(quiet))
	n, err := io.ReadFull(end, got)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(n, err)
	}
	if stats := s.until("kept_up", 4*mebibyte); stats["kept_up"] != 4.0*mebibyte || stats["up"] != forwarded {
		t.Error(stats)
	}
	order(s, `{"cmd":"clear"}`)
	hearAll(t, end, taken[n:])
	passes(t, agent, end)
}

func TestFaultsSwallow(t *testing.T) {
	target := listen(t)
	s := faults(t, target)
	agent, end := connect(s, target)
	if e := order(s, `{"cmd":"swallow"}`); e["connections"] != 1.0 {
		t.Error(e)
	}
	// Much more than any buffer.
	for _, side := range []*net.TCPConn{agent, end} {
		side.SetWriteDeadline(time.Now().Add(patience))
		if _, err := side.Write(make([]byte, 32*mebibyte)); err != nil {
			t.Fatal(err)
		}
	}
	s.until("discarded_up", 32*mebibyte)
	s.until("discarded_down", 32*mebibyte)
	other, otherEnd := connect(s, target)
	passes(t, other, otherEnd)
	// For ever, even when one side gives up.
	order(s, `{"cmd":"clear"}`)
	say(t, agent, "lost")
	silence(t, end)
	silence(t, agent)
	if stats := s.tell(`{"cmd":"stats"}`, "stats"); stats["connections"] != 2.0 || stats["silent"] != 1.0 {
		t.Error(stats)
	}
	agent.CloseWrite()
	silence(t, agent)
	silence(t, end)
	end.Close()
	if e := s.expect("connection_ended"); e["reason"] != "silent" {
		t.Error(e)
	}
	if stats := s.tell(`{"cmd":"stats"}`, "stats"); stats["connections"] != 1.0 || stats["silent"] != 0.0 {
		t.Error(stats)
	}
	silence(t, agent)
	if e := order(s, `{"cmd":"reset"}`); e["connections"] != 1.0 {
		t.Error(e)
	}
	isReset(t, other)
	isReset(t, agent)
}

func TestFaultsHalfOpen(t *testing.T) {
	target := listen(t)
	s := faults(t, target)
	agent, end := connect(s, target)
	passes(t, agent, end)
	if e := order(s, `{"cmd":"halfopen"}`); e["connections"] != 1.0 {
		t.Error(e)
	}
	isReset(t, end)
	agent.SetWriteDeadline(time.Now().Add(patience))
	if _, err := agent.Write(make([]byte, 32*mebibyte)); err != nil {
		t.Fatal(err)
	}
	silence(t, agent)
	other, otherEnd := connect(s, target)
	passes(t, other, otherEnd)
	order(s, `{"cmd":"clear"}`)
	silence(t, agent)
	s.until("discarded_up", 32*mebibyte)
	agent.Close()
	if e := s.expect("connection_ended"); e["reason"] != "silent" || e["peer"] != agent.LocalAddr().String() {
		t.Error(e)
	}
	if stats := s.tell(`{"cmd":"stats"}`, "stats"); stats["connections"] != 1.0 {
		t.Error(stats)
	}
	passes(t, other, otherEnd)
}

func TestFaultsRate(t *testing.T) {
	target := listen(t)
	s := faults(t, target)
	agent, end := connect(s, target)
	order(s, `{"cmd":"rate","bytes_per_second":20000}`)
	data := bytes.Repeat([]byte("0123456789"), 2000)
	fast := bytes.Repeat([]byte("fast"), mebibyte)
	began := time.Now()
	go agent.Write(data)
	go end.Write(fast)
	hearAll(t, agent, fast)
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Error("the other direction took", took)
	}
	hearAll(t, end, data[:10000])
	half := time.Since(began)
	hearAll(t, end, data[10000:])
	whole := time.Since(began)
	if half < 400*time.Millisecond || half > 800*time.Millisecond ||
		whole < 900*time.Millisecond || whole > 2*time.Second {
		t.Error("half after", half, "and all after", whole)
	}
	// One by one, also for a new connection; there is no large buffer.
	order(s, `{"cmd":"rate","bytes_per_second":1}`)
	agent, end = connect(s, target)
	say(t, agent, "abc")
	began = time.Now()
	hear(t, end, "abc")
	if took := time.Since(began); took < 1500*time.Millisecond || took > 4*time.Second {
		t.Error("three bytes took", took)
	}
	taken := fill(t, agent)
	if stats := s.tell(`{"cmd":"stats"}`, "stats"); stats["kept_up"].(float64) > 64<<10 {
		t.Error(stats)
	}
	order(s, `{"cmd":"clear"}`)
	began = time.Now()
	hearAll(t, end, taken)
	if took := time.Since(began); took > 3*time.Second {
		t.Error("without a limit it took", took)
	}
	// A reset does not wait for what goes before it.
	order(s, `{"cmd":"rate","bytes_per_second":1}`)
	fill(t, agent)
	agent.SetLinger(0)
	agent.Close()
	began = time.Now()
	isReset(t, end)
	if took := time.Since(began); took > 3*time.Second {
		t.Error("the reset took", took)
	}
}

func TestFaultsLatency(t *testing.T) {
	target := listen(t)
	s := faults(t, target)
	agent, end := connect(s, target)
	const milliseconds = 150
	order(s, `{"cmd":"latency","ms":%d}`, milliseconds)
	for i := 0; i < 2; i++ {
		for _, way := range [][2]*net.TCPConn{{agent, end}, {end, agent}} {
			began := time.Now()
			say(t, way[0], "delayed")
			hear(t, way[1], "delayed")
			if took := time.Since(began).Milliseconds(); took < milliseconds || took > 3*milliseconds {
				t.Error("it took", took, "ms")
			}
		}
		agent, end = connect(s, target)
	}
	// In order, and as many at a time as there is room for; limited by neither.
	data := fillPattern(16 * mebibyte)
	began := time.Now()
	go agent.Write(data)
	hearAll(t, end, data)
	if took := time.Since(began); took < milliseconds*time.Millisecond || took > 3*time.Second {
		t.Error("16 MiB took", took)
	}
	began = time.Now()
	agent.CloseWrite()
	isEnd(t, end)
	if took := time.Since(began).Milliseconds(); took < milliseconds {
		t.Error("the end took", took, "ms")
	}
	// What is on its way does not wait any longer than the conditions say.
	order(s, `{"cmd":"latency","ms":600000}`)
	say(t, end, "late")
	s.until("kept_down", 4)
	silence(t, agent)
	order(s, `{"cmd":"clear"}`)
	hear(t, agent, "late")
}

// fillPattern gives data in which no two places look alike.
func fillPattern(size int) []byte {
	data := make([]byte, 0, size)
	for number := 0; len(data) < size; number++ {
		data = append(data, fmt.Sprintf("%07d\n", number)...)
	}
	return data
}

func TestFaultsStopReading(t *testing.T) {
	target := listen(t)
	s := faults(t, target)
	agent, end := connect(s, target)
	passes(t, agent, end)
	order(s, `{"cmd":"stop_reading","on":true}`)
	taken := fill(t, agent)
	silence(t, end)
	if stats := s.tell(`{"cmd":"stats"}`, "stats"); stats["kept_up"] != 0.0 || stats["up"] != 2.0 {
		t.Error(stats)
	}
	data := fillPattern(8 * mebibyte)
	go end.Write(data)
	hearAll(t, agent, data)
	other, otherEnd := connect(s, target)
	say(t, other, "unread")
	silence(t, otherEnd)
	order(s, `{"cmd":"stop_reading","on":false}`)
	hearAll(t, end, taken)
	hear(t, otherEnd, "unread")
	passes(t, agent, end)
	order(s, `{"cmd":"stop_reading","on":true}`)
	say(t, agent, "unread")
	silence(t, end)
	order(s, `{"cmd":"clear"}`)
	hear(t, end, "unread")
	order(s, `{"cmd":"stop_reading","on":true}`)
	say(t, agent, "unread")
	agent.SetLinger(0)
	agent.Close()
	isReset(t, end)
}

func TestFaultsTarget(t *testing.T) {
	first, second := listen(t), listen(t)
	s := faults(t, first)
	agent, end := connect(s, first)
	order(s, `{"cmd":"target","address":"%s"}`, second.address)
	other, otherEnd := connect(s, second)
	passes(t, agent, end)
	passes(t, other, otherEnd)

	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	order(s, `{"cmd":"target","address":"%s"}`, nobody.Addr())
	// The reset may be there before the dialler has looked.
	if connection, err := net.Dial("tcp", s.address); err == nil {
		isReset(t, connection.(*net.TCPConn))
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if e := s.expect("dial_failed"); !strings.Contains(e["error"].(string), "refused") {
		t.Error(e)
	}
	// Through a black hole nobody hears of it.
	order(s, `{"cmd":"blackhole","on":true}`)
	agent = reach(s)
	silence(t, agent)
	order(s, `{"cmd":"blackhole","on":false}`)
	isReset(t, agent)
}
