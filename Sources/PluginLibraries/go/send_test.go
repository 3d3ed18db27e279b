// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestEncodings(t *testing.T) {
	a := start(t, false, WithFlushInterval(0))
	sizes := []int{0, 1, 117, 118, 119, 120, 121, 122, 123, 124, 125, 127, 128, 129, 16370, 16384, 70000}
	for _, dataType := range []int32{0, 1, 127, 128, 7001, math.MaxInt32, -1, math.MinInt32} {
		for _, timestamp := range []int64{0, 1, 1700000000, -1, math.MaxInt64, math.MinInt64} {
			for _, size := range sizes {
				fields := []Field{{"key", strings.Repeat("\xFF", size)}, {"", ""}}
				record := Record{DataType: dataType, Time: time.Unix(timestamp, 1), List: fields}
				isSent, err := a.client.SendRecord(record)
				if !isSent || err != nil {
					t.Fatal(isSent, err)
				}
				a.expectFrame(encodeRecord(dataType, timestamp, fields...))
			}
		}
	}
	_, err := a.client.SendRecord(Record{Time: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	a.expectFrame([]byte{0x1A, 0})
}

func TestFormsOfFields(t *testing.T) {
	a := start(t, true)
	now := time.Unix(5, 0)
	key := strings.Repeat("k", 300)
	record := Record{DataType: 1, Time: now, Priority: High, List: []Field{{key, "v"}},
		Map: map[string]string{"m": "1"},
		Build: func(f *Fields) {
			f.AddInt("i", math.MinInt64)
			f.AddUint("u", math.MaxUint64)
			f.AddFloat("f", 0.25)
			f.AddBool("b", true)
			f.AddBytes("y", []byte{0xFF})
		}}
	if _, err := a.client.SendRecords([]Record{{Time: now}, record, record, {Time: now}}); err != nil {
		t.Fatal(err)
	}
	if err := a.client.Flush(); err != nil {
		t.Fatal(err)
	}
	want := encodeRecord(1, 5, Field{key, "v"}, Field{"m", "1"}, Field{"i", "-9223372036854775808"},
		Field{"u", "18446744073709551615"}, Field{"f", "0.25"}, Field{"b", "true"}, Field{"y", "\xFF"})
	for i := 0; i < 2; i++ {
		a.expectFrame(encodeRecord(0, 5))
		got, err := readFrame(a.high)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v, got %q, want %q", err, got, want)
		}
	}
	before := time.Now().Unix()
	if _, err := a.client.SendMap(3, map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	a.client.Close()
	after := time.Now().Unix()
	got, err := readFrame(a.records)
	if err != nil {
		t.Fatal(err)
	}
	isNow := false
	for now := before; now <= after; now++ {
		isNow = isNow || bytes.Equal(got, encodeRecord(3, now, Field{"k", "v"}))
	}
	if !isNow {
		t.Fatalf("%q", got)
	}
	if _, err := readFrame(a.records); err != io.EOF {
		t.Fatal(err)
	}
}

func TestNoAllocation(t *testing.T) {
	for _, policy := range []Policy{Block, DropNewest} {
		a := start(t, false, WithPolicy(policy))
		go io.Copy(io.Discard, a.records)
		value := []byte("value")
		count := testing.AllocsPerRun(20000, func() {
			_, err := a.client.Send(7001, func(f *Fields) {
				for i := 0; i < 30; i++ {
					f.Add("a_key", "some value of a field")
				}
				f.AddInt("number", math.MinInt64)
				f.AddBytes("bytes", value)
				f.AddFloat("float", 0.1)
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		if count != 0 {
			t.Errorf("policy %d: Send allocates %v times", policy, count)
		}
		list := []Field{{"key", "value"}}
		record := []byte{0x1A, 0}
		count = testing.AllocsPerRun(20000, func() {
			if _, err := a.client.SendRecord(Record{DataType: 1, List: list}); err != nil {
				t.Fatal(err)
			}
			if _, err := a.client.SendRaw(record, Normal); err != nil {
				t.Fatal(err)
			}
		})
		if count != 0 {
			t.Errorf("policy %d: SendRecord or SendRaw allocates %v times", policy, count)
		}
		a.client.Close()
	}
}

func TestRecordLimit(t *testing.T) {
	a := start(t, false, WithMaxRecordSize(1000), WithBufferSize(1<<20))
	for _, size := range []int{1000, 100000, 10 << 20} {
		isSent, err := a.client.Send(1, func(f *Fields) {
			f.Add("big", strings.Repeat("x", size))
			f.Add("k", "v")
		})
		if isSent || !errors.Is(err, ErrRecordTooLarge) || !strings.Contains(err.Error(), "the limit is 1000") {
			t.Fatal(isSent, err)
		}
	}
	if c := cap(a.client.records.fields.buf); c > 2<<20 {
		t.Errorf("the buffer has grown to %d", c)
	}
	if _, err := a.client.SendRaw(make([]byte, 1001), Normal); !errors.Is(err, ErrRecordTooLarge) {
		t.Fatal(err)
	}
	exact := encodeRecord(0, 1, Field{"k", strings.Repeat("x", 986)})
	if len(exact) != 1000 {
		t.Fatal(len(exact))
	}
	record := Record{Time: time.Unix(1, 0), List: []Field{{"k", strings.Repeat("x", 986)}}}
	if _, err := a.client.SendRecord(record); err != nil {
		t.Fatal(err)
	}
	record.List[0].Value += "x"
	if sent, err := a.client.SendRecords([]Record{{}, record, {}}); sent != 1 || !errors.Is(err, ErrRecordTooLarge) {
		t.Fatal(sent, err)
	}
	a.client.Flush()
	a.expectFrame(exact)
}

func TestBufferShrinks(t *testing.T) {
	a := start(t, false, WithBufferSize(1000))
	initial := cap(a.client.records.fields.buf)
	go io.Copy(io.Discard, a.records)
	if _, err := a.client.SendRaw(make([]byte, 4<<20), Normal); err != nil {
		t.Fatal(err)
	}
	if _, err := a.client.Send(1, func(f *Fields) { f.AddBytes("k", make([]byte, 4<<20)) }); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { recover() }()
		a.client.Send(1, func(f *Fields) {
			f.AddBytes("k", make([]byte, 4<<20))
			panic("no")
		})
	}()
	if c := cap(a.client.records.fields.buf); c != initial {
		t.Errorf("capacity %d, not %d", c, initial)
	}
}

func TestPanicInBuildSendsNothing(t *testing.T) {
	a := start(t, false)
	var kept *Fields
	func() {
		defer func() { recover() }()
		a.client.Send(1, func(f *Fields) {
			kept = f
			f.Add("half", "")
			panic("no")
		})
	}()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a use after the function was not noticed")
			}
		}()
		kept.Add("late", "")
	}()
	a.client.SendRaw([]byte("next"), Normal)
	a.client.Close()
	a.expectFrame([]byte("next"))
	if _, err := readFrame(a.records); err != io.EOF {
		t.Fatal(err)
	}
}

func TestAgentGone(t *testing.T) {
	for _, policy := range []Policy{Block, DropNewest} {
		a := start(t, true, WithPolicy(policy), WithFlushInterval(0))
		a.records.Close()
		if _, err := a.client.SendRaw([]byte("x"), Normal); err != nil {
			t.Error(err)
		}
		// Nobody flushes: the time does, and the next call tells.
		a.client.records.awaitFailure()
		if _, err := a.client.SendRaw([]byte("x"), Normal); !errors.Is(err, ErrAgentGone) {
			t.Error(err)
		}
		if err := a.client.Flush(); !errors.Is(err, ErrAgentGone) {
			t.Error(err)
		}
		// The other pipe is still there.
		if _, err := a.client.SendRaw([]byte("x"), High); err != nil {
			t.Error(err)
		}
		if err := a.client.Close(); !errors.Is(err, ErrAgentGone) {
			t.Error(err)
		}
		if frame, err := readFrame(a.high); err != nil || string(frame) != "x" {
			t.Error(frame, err)
		}
	}
}

func TestAgentGoneWhileFlushing(t *testing.T) {
	for _, policy := range []Policy{Block, DropNewest} {
		a := start(t, false, WithPolicy(policy), WithBufferSize(1<<20), WithFlushInterval(time.Hour))
		if _, err := a.client.SendRaw(make([]byte, 500<<10), Normal); err != nil {
			t.Error(err)
		}
		failure := make(chan error)
		go func() { failure <- a.client.Flush() }()
		// It has begun, and cannot end: that is more than a pipe holds.
		if _, err := io.ReadFull(a.records, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		a.records.Close()
		if err := <-failure; !errors.Is(err, ErrAgentGone) {
			t.Error(policy, err)
		}
	}
}

// Many senders, and an agent that begins to read when something was dropped, in odd pieces: nothing is torn, and the
// counts are right.
func TestDropNewest(t *testing.T) {
	a := start(t, false, WithPolicy(DropNewest), WithBufferSize(20000), WithFlushInterval(time.Millisecond),
		WithCloseTimeout(math.MaxInt64))
	const senders, each = 4, 5000
	isDropping := make(chan struct{})
	var once sync.Once
	counts := make(chan int, 1)
	go func() {
		<-isDropping
		reader := &pieceReader{file: a.records}
		count := 0
		next := map[byte]int{}
		for {
			frame, err := readFrame(reader)
			if err == io.EOF {
				break
			}
			if err != nil || len(frame) < 3 {
				t.Error("torn frame", err)
				break
			}
			sender, n := frame[0], int(frame[1])|int(frame[2])<<8
			if n < next[sender] || !bytes.Equal(frame[3:], bytes.Repeat([]byte{sender}, len(frame)-3)) {
				t.Error("out of order or torn", sender, n)
				break
			}
			next[sender] = n + 1
			count++
		}
		// A sender must not wait for a reader that has given up.
		a.records.Close()
		counts <- count
	}()
	var group sync.WaitGroup
	var sent, dropped uint64
	for sender := byte(0); sender < senders; sender++ {
		group.Add(1)
		go func(sender byte) {
			defer group.Done()
			for n := 0; n < each; n++ {
				size := n * 7 % 3000
				if n%500 == 0 {
					size = 100000
				}
				record := append([]byte{sender, byte(n), byte(n >> 8)}, bytes.Repeat([]byte{sender}, size)...)
				isSent, err := a.client.SendRaw(record, Normal)
				if err != nil {
					t.Error(err)
					return
				}
				if isSent {
					atomic.AddUint64(&sent, 1)
				} else {
					atomic.AddUint64(&dropped, 1)
					once.Do(func() { close(isDropping) })
				}
				if n%100 == 0 && isDone(isDropping) {
					if err := a.client.Flush(); err != nil {
						t.Error(err)
						return
					}
				}
			}
		}(sender)
	}
	group.Wait()
	if sent+dropped != senders*each || a.client.Dropped() != dropped || dropped == 0 || sent == 0 {
		t.Error(sent, dropped, a.client.Dropped())
	}
	if err := a.client.Close(); err != nil {
		t.Error(err)
	}
	if got := <-counts; got != int(sent) {
		t.Errorf("%d of %d records arrived", got, sent)
	}
	if a.client.Dropped() != dropped {
		t.Error("Close has dropped", a.client.Dropped()-dropped)
	}
}

// pieceReader reads 1 to 5000 bytes at a time.
type pieceReader struct {
	file *os.File
	last int
}

func (r *pieceReader) Read(b []byte) (int, error) {
	r.last = r.last*31%5000 + 1
	if len(b) > r.last {
		b = b[:r.last]
	}
	return r.file.Read(b)
}

// Nobody reads before the end: that this ends at all shows that no sender waits.
func TestCloseGivesUp(t *testing.T) {
	a := start(t, false, WithPolicy(DropNewest), WithBufferSize(10000), WithCloseTimeout(0))
	sent, dropped := 0, 0
	for i := 0; i < 1000; i++ {
		isSent, err := a.client.SendRaw(make([]byte, 996), Normal)
		if err != nil {
			t.Fatal(err)
		}
		if isSent {
			sent++
		} else {
			dropped++
		}
	}
	if sent < 10 || dropped == 0 || int(a.client.Dropped()) != dropped {
		t.Error(sent, dropped, a.client.Dropped())
	}
	if err := a.client.Close(); err != nil {
		t.Error(err)
	}
	lost := int(a.client.Dropped()) - dropped
	content, err := io.ReadAll(a.records)
	if err != nil {
		t.Fatal(err)
	}
	// The one that was begun is lost, too.
	if lost == 0 || len(content)/1000 != sent-lost {
		t.Errorf("sent %d, %d lost in close, %d bytes arrived", sent, lost, len(content))
	}
}

func TestCloseEndsFlush(t *testing.T) {
	a := start(t, false, WithPolicy(DropNewest), WithBufferSize(1<<20), WithFlushInterval(time.Hour),
		WithCloseTimeout(0))
	if _, err := a.client.SendRaw(make([]byte, 500<<10), Normal); err != nil {
		t.Fatal(err)
	}
	flushed := make(chan error)
	go func() { flushed <- a.client.Flush() }()
	// It has begun, and cannot end: that is more than a pipe holds.
	if _, err := io.ReadFull(a.records, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if err := a.client.Close(); err != nil {
		t.Error(err)
	}
	if err := <-flushed; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if a.client.Dropped() != 1 {
		t.Error(a.client.Dropped())
	}
}

func TestClosed(t *testing.T) {
	a := start(t, true)
	received := make(chan error)
	go func() {
		_, err := a.client.Receive()
		received <- err
	}()
	a.awaitReceiver()
	for i := 0; i < 2; i++ {
		if err := a.client.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, sendErr := a.client.Send(1, func(*Fields) { t.Error("called") })
	_, rawErr := a.client.SendRaw(nil, High)
	_, receiveErr := a.client.ReceiveTimeout(0)
	for i, err := range []error{sendErr, rawErr, receiveErr, a.client.Flush(), <-received} {
		if !errors.Is(err, ErrClosed) {
			t.Error(i, err)
		}
	}
	if _, err := a.tasks.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Error("the task pipe is open", err)
	}
}

// What was sent before Close arrives, also while others send and flush.
func TestManySendersAndClose(t *testing.T) {
	a := start(t, true, WithBufferSize(5000), WithFlushInterval(time.Millisecond))
	var counts [2]uint64
	var readers sync.WaitGroup
	for i, file := range []*os.File{a.records, a.high} {
		readers.Add(1)
		go func(i int, file *os.File) {
			defer readers.Done()
			count, err := countFrames(file)
			if err != nil {
				t.Error(err)
			}
			counts[i] = uint64(count)
		}(i, file)
	}
	const eachAtLeast = 500
	var senders, begun sync.WaitGroup
	var sent [2]uint64
	for sender := 0; sender < 8; sender++ {
		senders.Add(1)
		begun.Add(1)
		go func(priority Priority) {
			defer senders.Done()
			for i := 1; ; i++ {
				_, err := a.client.SendRecord(Record{Priority: priority, Map: map[string]string{"k": "v"}})
				if err != nil {
					if i <= eachAtLeast {
						t.Error(i, err)
						begun.Done()
					} else if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				atomic.AddUint64(&sent[priority], 1)
				if i == eachAtLeast {
					begun.Done()
				}
				if i%50 == 0 {
					// Close may come first.
					if err := a.client.Flush(); err != nil && !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
				}
			}
		}(Priority(sender % 2))
	}
	begun.Wait()
	if err := a.client.Close(); err != nil {
		t.Error(err)
	}
	senders.Wait()
	readers.Wait()
	if counts != sent {
		t.Errorf("sent %v, arrived %v", sent, counts)
	}
}

func FuzzRecord(f *testing.F) {
	for _, size := range []uint32{0, 1, 118, 128, 16370, 16384, 70000} {
		f.Add(int32(7001), int64(1700000000), []byte("key"), size)
		f.Add(int32(-1), int64(-1), []byte("\xFF"), size)
	}
	f.Fuzz(func(t *testing.T, dataType int32, timestamp int64, key []byte, size uint32) {
		value := strings.Repeat("v", int(size%100000))
		fields := Fields{limit: 1 << 20}
		for i := 0; i < 2; i++ {
			fields.begin(dataType, timestamp)
			fields.Add(string(key), value)
			fields.AddBytes(value, key)
			want := encodeRecord(dataType, timestamp, Field{string(key), value}, Field{value, string(key)})
			if got := fields.finish(); got != len(want) {
				t.Fatal(got, len(want))
			}
			got, err := readFrame(bytes.NewReader(fields.buf[fields.start:]))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%v, got %q, want %q", err, got, want)
			}
		}
	})
}
