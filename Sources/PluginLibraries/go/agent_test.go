// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"runtime"
	"syscall"
	"testing"
)

// testAgent is the agent's side of a plugin in the same process.
type testAgent struct {
	t       *testing.T
	client  *Client
	tasks   *os.File
	records *os.File
	// high is nil unless asked for.
	high *os.File
}

func pipe(t *testing.T) (reading, writing int) {
	t.Helper()
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return ends[0], ends[1]
}

// agentEnd makes a file of a descriptor that another goroutine may close while one reads or writes.
func agentEnd(t *testing.T, descriptor int) *os.File {
	t.Helper()
	if err := syscall.SetNonblock(descriptor, true); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(descriptor), "agent's end")
	t.Cleanup(func() { file.Close() })
	return file
}

// await returns when the condition holds, which another goroutine brings about.
func await(condition func() bool) {
	for !condition() {
		runtime.Gosched()
	}
}

// awaitReceiver returns when a goroutine receives.
func (a *testAgent) awaitReceiver() {
	await(func() bool { return len(a.client.tasks.turn) == 0 })
}

// awaitFailure returns when a write has failed.
func (p *recordPipe) awaitFailure() {
	await(func() bool {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		return p.failure != nil
	})
}

func start(t *testing.T, withHigh bool, changes ...Option) *testAgent {
	t.Helper()
	taskReading, taskWriting := pipe(t)
	recordReading, recordWriting := pipe(t)
	a := &testAgent{t: t, tasks: agentEnd(t, taskWriting), records: agentEnd(t, recordReading)}
	descriptors := Descriptors{Tasks: taskReading, Records: recordWriting}
	if withHigh {
		highReading, highWriting := pipe(t)
		a.high = agentEnd(t, highReading)
		descriptors.HighPriority = highWriting
	}
	changes = append([]Option{WithSignals(false), WithDescriptors(descriptors)}, changes...)
	client, err := Open(changes...)
	if err != nil {
		t.Fatal(err)
	}
	a.client = client
	t.Cleanup(func() {
		a.records.Close()
		client.Close()
	})
	return a
}

// readFrame returns io.EOF at the end of the pipe.
func readFrame(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.LittleEndian.Uint32(length[:]))
	_, err := io.ReadFull(r, frame)
	return frame, err
}

func (a *testAgent) expectFrame(want []byte) {
	a.t.Helper()
	got, err := readFrame(a.records)
	if err != nil {
		a.t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		a.t.Fatalf("got %q, want %q", got, want)
	}
}

// countFrames reads to the end and counts the records.
func countFrames(r io.Reader) (count int, err error) {
	for {
		_, err := readFrame(r)
		if err == io.EOF {
			return count, nil
		}
		if err != nil {
			return count, err
		}
		count++
	}
}

func (a *testAgent) writeTask(task []byte) {
	a.t.Helper()
	frame := frameHead(len(task))
	if _, err := a.tasks.Write(append(frame, task...)); err != nil {
		a.t.Fatal(err)
	}
}

func frameHead(length int) []byte {
	head := make([]byte, 4)
	binary.LittleEndian.PutUint32(head, uint32(length))
	return head
}

func appendUvarint(b []byte, value uint64) []byte {
	var varint [binary.MaxVarintLen64]byte
	return append(b, varint[:binary.PutUvarint(varint[:], value)]...)
}

// encodeTask is the simplest encoder there can be, for comparison.
func encodeTask(task Task) []byte {
	var b []byte
	if task.DataType != 0 {
		b = appendUvarint(append(b, 0x08), uint64(int64(task.DataType)))
	}
	for i, text := range []string{task.ObjectName, task.Data, task.Token} {
		if text != "" {
			b = appendUvarint(append(b, byte(0x12+8*i)), uint64(len(text)))
			b = append(b, text...)
		}
	}
	return b
}

// encodeRecord likewise.
func encodeRecord(dataType int32, timestamp int64, fields ...Field) []byte {
	var payload []byte
	for _, field := range fields {
		entry := appendUvarint([]byte{0x0A}, uint64(len(field.Key)))
		entry = append(entry, field.Key...)
		entry = appendUvarint(append(entry, 0x12), uint64(len(field.Value)))
		entry = append(entry, field.Value...)
		payload = appendUvarint(append(payload, 0x0A), uint64(len(entry)))
		payload = append(payload, entry...)
	}
	var b []byte
	if dataType != 0 {
		b = appendUvarint(append(b, 0x08), uint64(int64(dataType)))
	}
	if timestamp != 0 {
		b = appendUvarint(append(b, 0x10), uint64(timestamp))
	}
	b = appendUvarint(append(b, 0x1A), uint64(len(payload)))
	return append(b, payload...)
}
