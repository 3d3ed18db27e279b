// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

func TestReceive(t *testing.T) {
	a := start(t, false)
	want := []Task{{}, {1, "name", "data", "token"}, {-1, "", strings.Repeat("ä", 100000), "t"}}
	go func() {
		for _, task := range want {
			a.writeTask(encodeTask(task))
		}
		a.tasks.Close()
	}()
	for _, task := range want {
		if got, err := a.client.Receive(); got != task || err != nil {
			t.Fatal(got, err)
		}
	}
	for i := 0; i < 2; i++ {
		if _, err := a.client.Receive(); err != io.EOF {
			t.Fatal(err)
		}
	}
}

func TestTimeoutKeepsWhatHasArrived(t *testing.T) {
	a := start(t, false)
	message := encodeTask(Task{DataType: 5, Data: "data"})
	frame := append(frameHead(len(message)), message...)
	for i, b := range frame {
		// The longest time ago, now, and the shortest time that is waited for.
		for _, timeout := range []time.Duration{math.MinInt64, 0, 1} {
			if _, err := a.client.ReceiveTimeout(timeout); !errors.Is(err, ErrTimeout) {
				t.Fatal(i, timeout, err)
			}
		}
		a.tasks.Write([]byte{b})
	}
	// The longest time is none that has passed.
	if task, err := a.client.ReceiveTimeout(math.MaxInt64); err != nil || task.Data != "data" {
		t.Fatal(task, err)
	}
	a.tasks.Write(frame[:7])
	a.tasks.Close()
	_, err := a.client.Receive()
	if !errors.Is(err, ErrIncompleteTask) || !strings.Contains(err.Error(), fmt.Sprintf("7 of %d", len(frame))) {
		t.Fatal(err)
	}
	if _, err := a.client.ReceiveTimeout(0); err != io.EOF {
		t.Fatal(err)
	}
}

func TestReceiveErrors(t *testing.T) {
	a := start(t, false, WithMaxTaskSize(100))
	a.writeTask([]byte{0x08})
	a.writeTask(encodeTask(Task{Data: strings.Repeat("x", 98)}))
	a.writeTask(make([]byte, 101))
	if _, err := a.client.Receive(); !errors.Is(err, ErrMalformedTask) {
		t.Fatal(err)
	}
	if task, err := a.client.Receive(); err != nil || len(task.Data) != 98 {
		t.Fatal(task, err)
	}
	for i := 0; i < 3; i++ {
		if _, err := a.client.Receive(); !errors.Is(err, ErrTaskTooLarge) {
			t.Fatal(err)
		}
	}
}

func TestReceiveContext(t *testing.T) {
	a := start(t, false)
	for i := 0; i < 20; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*time.Millisecond)
		// The second one finds that the time is over.
		for j := 0; j < 2; j++ {
			if _, err := a.client.ReceiveContext(ctx); err != context.DeadlineExceeded {
				t.Fatal(err)
			}
		}
		cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.writeTask(nil)
	if _, err := a.client.ReceiveContext(ctx); err != nil {
		t.Fatal(err)
	}
	// One waits for the pipe, the other ones for their turn.
	results := make(chan error)
	for i := 0; i < 3; i++ {
		go func() {
			_, err := a.client.ReceiveContext(ctx)
			results <- err
		}()
	}
	a.awaitReceiver()
	if _, err := a.client.ReceiveTimeout(time.Millisecond); !errors.Is(err, ErrTimeout) {
		t.Fatal(err)
	}
	cancel()
	for i := 0; i < 3; i++ {
		if err := <-results; err != context.Canceled {
			t.Error(err)
		}
	}
	// One that has no context waits for the pipe; the other one's end does not wait for it.
	received := make(chan Task)
	go func() {
		task, err := a.client.Receive()
		if err != nil {
			t.Error(err)
		}
		received <- task
	}()
	a.awaitReceiver()
	ctx, cancel = context.WithCancel(context.Background())
	go cancel()
	if _, err := a.client.ReceiveContext(ctx); err != context.Canceled {
		t.Error(err)
	}
	a.writeTask(encodeTask(Task{DataType: 8}))
	if task := <-received; task.DataType != 8 {
		t.Error(task)
	}
	a.writeTask(encodeTask(Task{DataType: 9}))
	if task, err := a.client.ReceiveContext(context.Background()); err != nil || task.DataType != 9 {
		t.Fatal(task, err)
	}
}

func TestSIGTERM(t *testing.T) {
	a := start(t, false, WithSignals(true))
	results := make(chan error)
	for i := 0; i < 3; i++ {
		go func() {
			_, err := a.client.Receive()
			results <- err
		}()
	}
	a.awaitReceiver()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 3; i++ {
		if err := <-results; err != io.EOF {
			t.Error(err)
		}
	}
	a.writeTask(nil)
	if _, err := a.client.Receive(); err != io.EOF {
		t.Error(err)
	}
	if _, err := a.client.SendRaw([]byte("after"), Normal); err != nil {
		t.Error(err)
	}
	if err := a.client.Close(); err != nil {
		t.Fatal(err)
	}
	a.expectFrame([]byte("after"))
}

func TestDescriptors(t *testing.T) {
	reading, writing := pipe(t)
	defer syscall.Close(reading)
	defer syscall.Close(writing)
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(null)
	for _, test := range []struct {
		descriptors Descriptors
		want        error
	}{
		{Descriptors{Tasks: 999, Records: writing}, ErrDescriptorNotOpen},
		{Descriptors{Tasks: reading, Records: 999}, ErrDescriptorNotOpen},
		{Descriptors{Tasks: writing, Records: writing}, ErrDescriptorUnusable},
		{Descriptors{Tasks: reading, Records: reading}, ErrDescriptorUnusable},
		{Descriptors{Tasks: reading, Records: null}, ErrDescriptorUnusable},
		{Descriptors{Tasks: reading, Records: writing, HighPriority: null}, ErrDescriptorUnusable},
	} {
		if _, err := Open(WithDescriptors(test.descriptors)); !errors.Is(err, test.want) {
			t.Error(test, err)
		}
	}
	if _, err := Open(WithBufferSize(-1)); !errors.Is(err, ErrInvalidOption) {
		t.Error(err)
	}
}

func TestDecodeTask(t *testing.T) {
	for _, test := range []struct {
		message string
		want    Task
		isWrong bool
	}{
		{"", Task{}, false},
		{"\x1a\x01d\x08\x01\x08\x02\x22\x01t\x12\x01o", Task{2, "o", "d", "t"}, false},
		{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Task{DataType: -1}, false},
		{"\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x7f", Task{DataType: 1}, false},
		{"\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", Task{}, true},
		{"\x08\x81\x80\x80\x80\x10", Task{DataType: 1}, false},
		{"\x88\x00\x05", Task{DataType: 5}, false},
		{"\x0a\x00", Task{}, true},
		{"\x10\x00", Task{}, true},
		{"\x1d\x00\x00\x00\x00", Task{}, true},
		{"\x12\x01\xff", Task{}, true},
		{"\x12\x03\xed\xa0\x80", Task{}, true},
		{"\x12\x02\xc0\x80", Task{}, true},
		{"\x12\x05a", Task{}, true},
		{"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Task{}, true},
		{"\x00\x00", Task{}, true},
		{"\x80\x80\x80\x80\x10\x00", Task{}, true},
		{"\xf8\xff\xff\xff\x0f\x00", Task{}, false},
		{"\x29\x00\x00\x00\x00\x00\x00\x00\x00\x2d\x00\x00\x00\x00\x2a\x01x\x28\x01", Task{}, false},
		{"\x29\x00\x00\x00\x00\x00\x00\x00", Task{}, true},
		{"\x2d\x00\x00\x00", Task{}, true},
		{"\x2b", Task{}, true}, {"\x2c", Task{}, true}, {"\x2e", Task{}, true}, {"\x2f", Task{}, true},
		{"\x08", Task{}, true}, {"\x80", Task{}, true},
	} {
		got, err := decodeTask([]byte(test.message))
		if errors.Is(err, ErrMalformedTask) != test.isWrong || got != test.want {
			t.Errorf("%q: %v, %v", test.message, got, err)
		}
	}
}

func FuzzDecodeTask(f *testing.F) {
	f.Add([]byte("\x1a\x01d\x08\x01\x08\x02\x22\x01t\x12\x01o"))
	f.Add([]byte("\x29\x00\x00\x00\x00\x00\x00\x00\x00\x2d\x00\x00\x00\x00\x2a\x01x\x28\x01"))
	f.Fuzz(func(t *testing.T, message []byte) {
		task, err := decodeTask(message)
		if err != nil {
			if !errors.Is(err, ErrMalformedTask) {
				t.Fatal(err)
			}
			return
		}
		if !utf8.ValidString(task.ObjectName + task.Data + task.Token) {
			t.Fatal("not UTF-8")
		}
		again, err := decodeTask(encodeTask(task))
		if err != nil || again != task {
			t.Fatal(again, err)
		}
		// In any pieces the frames give the same.
		frames := taskFrames{limit: 1 << 20}
		bytes := frameHead(len(message))
		bytes = append(bytes, message...)
		for i := range bytes {
			if _, ok, err := frames.next(); ok || err != nil {
				t.Fatal(ok, err)
			}
			frames.added(copy(frames.room(), bytes[i:i+1]))
		}
		if again, ok, err := frames.next(); !ok || err != nil || again != task {
			t.Fatal(again, ok, err)
		}
	})
}

func TestTaskLines(t *testing.T) {
	lines := taskLines{limit: 1000}
	lines.added(copy(lines.room(), "7001 a b\n\n-5\nx\n 1\n+1\n2147483648\n1 \xff\n7002  c\r\n3"))
	var got []string
	for _, next := range []func() (Task, bool, error){lines.next, lines.last} {
		for {
			task, ok, err := next()
			if err != nil {
				if !errors.Is(err, ErrMalformedTask) || !strings.Contains(err.Error(), "one space") {
					t.Fatal(err)
				}
				got = append(got, "wrong")
			} else if ok {
				got = append(got, fmt.Sprintf("%d|%s|%s|%s", task.DataType, task.ObjectName, task.Data, task.Token))
			} else {
				break
			}
		}
	}
	want := "7001||a b|debug-1, -5|||debug-2, wrong, wrong, wrong, wrong, wrong, 7002|| c\r|debug-3, 3|||debug-4"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %q\nwant %q", strings.Join(got, ", "), want)
	}
}

func TestRecordLines(t *testing.T) {
	for _, test := range []struct {
		record []byte
		isHigh bool
		want   string
	}{
		{encodeRecord(7001, 1700000000, Field{"k", "v"}), false,
			`{"data_type":7001,"timestamp":1700000000,"fields":{"k":"v"}}`},
		{encodeRecord(-1, -2), true, `{"data_type":-1,"timestamp":-2,"priority":"high","fields":{}}`},
		{nil, false, `{"data_type":0,"timestamp":0,"fields":{}}`},
		{encodeRecord(1, 0, Field{"a\"\\", "\n\r\t\b\f\x00\x1f\x7f/ä€😀"}, Field{"", ""}), false,
			`{"data_type":1,"timestamp":0,"fields":{"a\"\\":"\n\r\t\b\f\u0000\u001f` + "\x7f" + `/ä€😀","":""}}`},
		{encodeRecord(1, 0, Field{"u",
			"\xff|\xc0\x80|\xed\xa0\x80|\xe2\x82|\xf0\x90\x80|\xf4\x90\x80\x80|\xe2\x82\xe2\x82\xac|\xf0"}),
			false, `{"data_type":1,"timestamp":0,"fields":{"u":"?|??|???|?|?|????|?€|?"}}`},
		{[]byte{0x08}, false, `{"malformed":"08"}`},
		{[]byte{0x1a, 0x02, 0x0a, 0x01}, false, `{"malformed":"1a020a01"}`},
		{[]byte{0x1a, 0x02, 0x0a, 0x00}, false, `{"data_type":0,"timestamp":0,"fields":{"":""}}`},
	} {
		want := strings.ReplaceAll(test.want, "?", "\uFFFD") + "\n"
		if got := appendRecordLine([]byte("x"), test.record, test.isHigh); string(got) != "x"+want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestLogger(t *testing.T) {
	a := start(t, false, WithLogLevel(LevelError+1))
	a.client.Log().Warningf("not sent")
	a.client.Log().Errorf("%d of %s", 1, "them")
	if err := a.client.Flush(); err != nil {
		t.Fatal(err)
	}
	frame, err := readFrame(a.records)
	if err != nil {
		t.Fatal(err)
	}
	line := string(appendRecordLine(nil, frame, false))
	if !strings.Contains(line, `"data_type":1011,`) ||
		!strings.Contains(line, `"fields":{"level":"error","source":"receive_test.go:`) ||
		!strings.Contains(line, `"msg":"1 of them"}`) {
		t.Error(line)
	}
	a.client.Close()
	a.client.Log().Errorf("after Close this is one line on the standard error, not a failure")
}

func FuzzRecordLine(f *testing.F) {
	f.Add(encodeRecord(7001, 1700000000, Field{"k", "\xf0\x90"}, Field{"", "x"}))
	f.Fuzz(func(t *testing.T, record []byte) {
		line := appendRecordLine(nil, record, false)
		if !json.Valid(line) || !utf8.Valid(line) || bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("%q", line)
		}
	})
}
