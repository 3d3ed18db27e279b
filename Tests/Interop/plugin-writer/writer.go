// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// flushSize is how much is gathered before a write when there is no rate.
	flushSize = 64 << 10
	// tick is how often a writer with a rate writes what has become due.
	tick = 10 * time.Millisecond
)

// writer turns options into frames on the record pipe. Its lock is held while frames are made and written, so that
// the answer to a task never lands inside another frame.
type writer struct {
	options *options
	random  *rand.Rand
	started time.Time
	encoder *recordEncoder
	tasks   uint64 // atomic

	mutex        sync.Mutex
	pending      pendingFrames
	highPriority pendingFrames
	sequences    map[string]uint64
	summary      summary
	failure      error
	timestamp    int64
}

// pendingFrames are whole frames for one descriptor, and what they will count for once they are written.
type pendingFrames struct {
	descriptor int
	bytes      []byte
	frames     []frameAccount
}

type frameAccount struct {
	end  int
	lane string
	kind frameKind
}

type frameKind int

const (
	trackedFrame frameKind = iota
	untrackedFrame
	malformedFrame
)

func newWriter(o *options) *writer {
	return &writer{
		options: o, random: rand.New(rand.NewSource(o.Seed)), started: time.Now(),
		encoder:      newRecordEncoder(o.RecordSize),
		pending:      pendingFrames{descriptor: recordDescriptor},
		highPriority: pendingFrames{descriptor: highPriorityDescriptor},
		sequences:    make(map[string]uint64),
		summary:      summary{Lane: o.Lane, PID: os.Getpid(), Lanes: make(map[string]uint64)},
	}
}

// generate writes records until the count or the time is reached or stopping is set.
func (w *writer) generate(stopping *flag) error {
	o := w.options
	var made uint64
	for made < o.Count || (o.Count == 0 && time.Since(w.started).Seconds() < o.Seconds) {
		if stopping.isSet() {
			return nil
		}
		due := uint64(1 << 62)
		if o.Rate > 0 {
			due = uint64(time.Since(w.started).Seconds()*o.Rate) + 1
		}
		if o.Count > 0 && due > o.Count {
			due = o.Count
		}
		if made >= due {
			time.Sleep(tick)
			continue
		}
		w.mutex.Lock()
		w.timestamp = time.Now().Unix()
		for made < due && len(w.pending.bytes) < flushSize && len(w.highPriority.bytes) < flushSize {
			w.frame(made)
			made++
		}
		err := w.flush()
		w.mutex.Unlock()
		if err != nil {
			return err
		}
	}
	return w.last()
}

// last writes what some modes end with.
func (w *writer) last() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	switch {
	case w.options.has("huge-length"):
		w.pending.bytes = appendLength(w.pending.bytes, w.options.HugeLength)
		w.pending.bytes = append(w.pending.bytes, make([]byte, flushSize)...)
	case w.options.has("half-frame"):
		start := len(w.pending.bytes)
		w.frame(0)
		w.pending.frames = nil
		w.pending.bytes = w.pending.bytes[:(start+len(w.pending.bytes))/2]
	}
	return w.flush()
}

// frame appends record number n to what is pending.
func (w *writer) frame(n uint64) {
	o := w.options
	if o.has("malformed") && n%o.Every == o.Every-1 {
		w.append(&w.pending, malformedRecords[int(n/o.Every)%len(malformedRecords)], "", malformedFrame)
		return
	}
	if o.has("odd") {
		w.odd(n)
		return
	}
	lane, pending := o.Lane, &w.pending
	if o.HighPriority > 0 && n%o.HighPriority == o.HighPriority-1 {
		lane, pending = lane+"-high", &w.highPriority
	}
	seq := w.sequences[lane]
	w.sequences[lane] = seq + 1
	start := len(pending.bytes)
	pending.bytes = append(pending.bytes, 0, 0, 0, 0)
	pending.bytes = w.encoder.append(pending.bytes, lane, o.DataType, w.timestamp, seq)
	binary.LittleEndian.PutUint32(pending.bytes[start:], uint32(len(pending.bytes)-start-4))
	pending.frames = append(pending.frames, frameAccount{len(pending.bytes), lane, trackedFrame})
}

// appendLength appends a frame's length, little-endian.
func appendLength(bytes []byte, length uint32) []byte {
	return append(bytes, byte(length), byte(length>>8), byte(length>>16), byte(length>>24))
}

func (w *writer) append(pending *pendingFrames, record []byte, lane string, kind frameKind) {
	pending.bytes = appendLength(pending.bytes, uint32(len(record)))
	pending.bytes = append(pending.bytes, record...)
	pending.frames = append(pending.frames, frameAccount{len(pending.bytes), lane, kind})
}

func (w *writer) flush() error {
	if w.failure == nil {
		w.failure = w.write(&w.pending)
	}
	if w.failure == nil {
		w.failure = w.write(&w.highPriority)
	}
	return w.failure
}

// write counts only frames that the kernel has taken to their last byte.
func (w *writer) write(pending *pendingFrames) error {
	written := 0
	var failure error
	for written < len(pending.bytes) {
		part := pending.bytes[written:]
		if w.options.Chunk > 0 {
			if n := 1 + w.random.Intn(w.options.Chunk); n < len(part) {
				part = part[:n]
			}
		}
		n, err := syscall.Write(pending.descriptor, part)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			failure = fmt.Errorf("write to descriptor %d: %w", pending.descriptor, err)
			break
		}
		written += n
	}
	for _, frame := range pending.frames {
		if frame.end > written {
			break
		}
		switch frame.kind {
		case malformedFrame:
			w.summary.Malformed++
		case untrackedFrame:
			w.summary.Records++
			w.summary.Untracked++
		default:
			w.summary.Records++
			w.summary.Lanes[frame.lane]++
		}
	}
	w.summary.Bytes += uint64(written)
	pending.bytes, pending.frames = pending.bytes[:0], pending.frames[:0]
	return failure
}

// echo sends a task back as the record with which a plugin reports a task's result.
func (w *writer) echo(t task) error {
	payload := appendEntry(nil, "token", t.token)
	payload = appendEntry(payload, "status", "succeed")
	payload = appendEntry(payload, "msg", t.data)
	payload = appendEntry(payload, "task_data_type", strconv.Itoa(int(t.dataType)))
	payload = appendEntry(payload, "object_name", t.objectName)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	record := appendBytes(appendHead(nil, 5100, time.Now().Unix()), 3, payload)
	w.append(&w.pending, record, "", untrackedFrame)
	return w.flush()
}

// finish writes the summary; ended says that the process is about to exit.
func (w *writer) finish(result error, ended bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	s := w.summary
	s.Tasks, s.Seconds, s.Done, s.Ended = atomic.LoadUint64(&w.tasks), time.Since(w.started).Seconds(), result == nil, ended
	if result != nil {
		s.Error = result.Error()
	}
	if err := writeJSON("writer-summary.json", s); err != nil {
		fmt.Fprintln(os.Stderr, "plugin-writer:", err)
	}
}
