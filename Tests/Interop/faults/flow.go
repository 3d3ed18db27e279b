// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// The most that is read or written at once.
	chunkSize = 32 << 10
	// A rate is kept in portions of so much time.
	portion = 20 * time.Millisecond
	// How often a source is looked at that may not be read: its reset shows without that.
	watchInterval = 200 * time.Millisecond
)

// chunk is what was read at once.
type chunk struct {
	data []byte
	at   time.Time
}

type ending int

const (
	notEnded ending = iota
	endOfData
	resetBySource
)

// flow is one direction of a link; the link's mutex protects it.
type flow struct {
	counters      *counters
	towardsServer bool
	sourceName    string
	source, sink  *net.TCPConn
	// What was read and is not written, its bytes, and what came after it.
	chunks  []chunk
	kept    int
	ended   ending
	endedAt time.Time
	// The end of the data has been passed on.
	passedOn bool
	// When the rate lets it go on.
	next             time.Time
	forwarded        int
	reading, writing call
}

func (f *flow) from(source *net.TCPConn) {
	f.source, f.reading.setDeadline = source, source.SetReadDeadline
}

func (f *flow) to(sink *net.TCPConn) {
	f.sink, f.writing.setDeadline = sink, sink.SetWriteDeadline
}

func (f *flow) finish(how ending) {
	if f.ended == notEnded {
		f.ended, f.endedAt = how, time.Now()
	}
}

// isGone is whether a connection was reset and no call has said so yet; reading would say it after all data.
func isGone(connection *net.TCPConn) bool {
	raw, err := connection.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(descriptor uintptr) {
		pending, err := syscall.GetsockoptInt(int(descriptor), syscall.SOL_SOCKET, syscall.SO_ERROR)
		gone = err != nil || pending != 0
	})
	return gone || err != nil
}

func (f *flow) discardKept() {
	f.counters.discarded.Add(int64(f.kept))
	f.chunks, f.kept = nil, 0
}

// read takes what the source sends, until its end.
func (l *link) read(f *flow) {
	buffer := make([]byte, chunkSize)
	for {
		room := l.awaitRoom(f)
		if room == 0 {
			break
		}
		count, err := f.source.Read(buffer[:room])
		if !l.take(f, buffer[:count], err) {
			break
		}
	}
	l.passReset(f)
}

// awaitRoom waits until the flow may read, and gives how much; 0 if it must not any more.
func (l *link) awaitRoom(f *flow) int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for l.fate != over {
		room := l.conditions.limit(f.towardsServer) - f.kept
		if l.fate == silent {
			room = chunkSize
		}
		if f.towardsServer && l.conditions.stopReading || room <= 0 {
			if isGone(f.source) {
				f.finish(resetBySource)
				l.reportSilentEnd()
				return 0
			}
			l.waitUntil(time.Now().Add(watchInterval))
			continue
		}
		l.begin(&f.reading)
		if room > chunkSize {
			room = chunkSize
		}
		return room
	}
	return 0
}

// take accounts for a read; false after the last.
func (l *link) take(f *flow, data []byte, err error) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.complete(&f.reading)
	switch {
	case l.fate == over:
		return false
	case l.fate == silent:
		f.counters.discarded.Add(int64(len(data)))
	case len(data) > 0:
		f.chunks = append(f.chunks, chunk{append([]byte(nil), data...), time.Now()})
		f.kept += len(data)
	}
	switch {
	case err == nil || errors.Is(err, os.ErrDeadlineExceeded):
		return true
	case errors.Is(err, io.EOF):
		f.finish(endOfData)
	default:
		f.finish(resetBySource)
	}
	l.reportSilentEnd()
	return false
}

// write gives to the sink what was read, when it is due, and then the end.
func (l *link) write(f *flow) {
	for {
		data := l.awaitData(f)
		if data == nil {
			break
		}
		count, err := f.sink.Write(data)
		if !l.give(f, count, err) {
			break
		}
	}
	l.passReset(l.opposite(f))
}

// awaitData waits until something may be written; nil if there will be nothing more. The end of the data is passed on
// here.
func (l *link) awaitData(f *flow) []byte {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for l.fate == forwarding {
		now := time.Now()
		switch {
		case l.conditions.blackhole:
			l.changed.Wait()
		case len(f.chunks) > 0:
			due, data := l.due(f)
			if !now.Before(due) {
				l.begin(&f.writing)
				return data
			}
			l.waitUntil(due)
		case f.ended == endOfData:
			due := f.endedAt.Add(l.conditions.latency)
			if !now.Before(due) {
				f.sink.CloseWrite()
				f.passedOn = true
				if l.up.passedOn && l.down.passedOn {
					l.shut("closed", false)
				}
				return nil
			}
			l.waitUntil(due)
		default:
			l.changed.Wait()
		}
	}
	return nil
}

// due gives when the next part of the data may be written, and that part.
func (l *link) due(f *flow) (time.Time, []byte) {
	first := f.chunks[0]
	due := first.at.Add(l.conditions.latency)
	rate := l.conditions.bytesPerSecond
	if !f.towardsServer || rate == 0 {
		return due, first.data
	}
	if due.Before(f.next) {
		due = f.next
	}
	size := int(float64(rate) * portion.Seconds())
	if size < 1 {
		size = 1
	}
	if size > len(first.data) {
		size = len(first.data)
	}
	return due, first.data[:size]
}

// give accounts for a write; false after the last.
func (l *link) give(f *flow, count int, err error) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.complete(&f.writing)
	if count > 0 {
		first := &f.chunks[0]
		first.data = first.data[count:]
		if len(first.data) == 0 {
			f.chunks[0] = chunk{}
			f.chunks = f.chunks[1:]
		}
		f.kept -= count
		f.forwarded += count
		f.counters.forwarded.Add(int64(count))
	}
	if rate := l.conditions.bytesPerSecond; f.towardsServer && rate > 0 {
		// A wake-up that comes late is made up for, a lull is not.
		if earliest := time.Now().Add(-portion); f.next.Before(earliest) {
			f.next = earliest
		}
		f.next = f.next.Add(time.Duration(float64(count) / float64(rate) * float64(time.Second)))
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	if l.fate == forwarding {
		// The sink is gone, even if it had only ended what it sends before.
		opposite := l.opposite(f)
		opposite.ended, opposite.endedAt = resetBySource, time.Now()
	}
	return false
}

func (l *link) opposite(f *flow) *flow {
	if f == &l.up {
		return &l.down
	}
	return &l.up
}
