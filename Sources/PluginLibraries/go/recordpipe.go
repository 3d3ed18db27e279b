// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// recordPipe is the buffered writing end of one record pipe.
//
// Under Block every write waits, holding the mutex. Under DropNewest the descriptor is in non-blocking mode: senders
// write what the pipe takes at once, and while it takes no more a goroutine (drain) waits for room.
type recordPipe struct {
	// dropped is first so that it is aligned for atomic access on 32-bit machines.
	dropped uint64

	file *os.File
	// write writes all bytes, waiting as long as it takes.
	write func([]byte) error
	// lines makes lines of JSON of the records: debug mode.
	lines bool
	// descriptor and raw are for DropNewest, where they belong to file.
	descriptor int
	raw        syscall.RawConn

	bufferSize    int
	flushInterval time.Duration
	drops         bool

	mutex   sync.Mutex
	changed *sync.Cond
	fields  Fields
	scratch []byte
	// written is how much of the buffer the pipe has taken; only under DropNewest other than 0 between calls.
	written int
	// accepted and taken count bytes since the start, to know when a flush is done.
	accepted, taken uint64
	// timer runs flushDue; flushTime is when that is to write, as an earlier timer may still be running.
	timer      *time.Timer
	isTimerSet bool
	flushTime  time.Time
	isDraining bool
	isClosed   bool
	isReleased bool
	// failure is that of the first write that failed; every later call fails alike.
	failure error
}

func newRecordPipe(o *options) *recordPipe {
	p := &recordPipe{bufferSize: o.bufferSize, flushInterval: o.flushInterval}
	p.changed = sync.NewCond(&p.mutex)
	capacity := o.bufferSize + bufferSlack
	p.fields = Fields{buf: make([]byte, 0, capacity), limit: o.maxRecordSize, initialCapacity: capacity}
	p.timer = time.AfterFunc(time.Hour, p.flushDue)
	p.timer.Stop()
	return p
}

// openRecordPipe takes over a descriptor that has been checked.
func openRecordPipe(descriptor int, o *options) (*recordPipe, error) {
	p := newRecordPipe(o)
	syscall.CloseOnExec(descriptor)
	p.drops = o.policy == DropNewest
	if p.drops {
		if err := syscall.SetNonblock(descriptor, true); err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
	}
	p.file = os.NewFile(uintptr(descriptor), "record pipe")
	p.descriptor = descriptor
	p.write = func(frames []byte) error {
		_, err := p.file.Write(frames)
		return err
	}
	if p.drops {
		raw, err := p.file.SyscallConn()
		if err == nil {
			// This fails when the runtime cannot wait for the descriptor.
			err = p.file.SetWriteDeadline(time.Time{})
		}
		if err != nil {
			p.file.Close()
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
		p.raw = raw
	}
	return p, nil
}

// openLinePrinter makes the pipe of debug mode.
func openLinePrinter(o *options) *recordPipe {
	p := newRecordPipe(o)
	p.lines = true
	p.write = func(lines []byte) error { return writeStandardStream(1, lines) }
	return p
}

// The sending calls: all are made with begin and end around them.

func (p *recordPipe) begin() error {
	p.mutex.Lock()
	if p.isClosed {
		return errClosed
	}
	return p.failure
}

// end also comes when a function that builds a record panics, whose record is then not sent.
func (p *recordPipe) end() {
	if p.fields.isOpen {
		p.fields.abort()
	}
	p.mutex.Unlock()
}

func (p *recordPipe) send(dataType int32, timestamp int64, isHigh bool, build func(*Fields)) (bool, error) {
	defer p.end()
	if err := p.begin(); err != nil {
		return false, err
	}
	p.fields.begin(dataType, timestamp)
	build(&p.fields)
	return p.finish(isHigh)
}

// sendRecords sends the records up to the first error, and returns how many were not dropped.
func (p *recordPipe) sendRecords(records []Record) (sent int, err error) {
	defer p.end()
	if err := p.begin(); err != nil {
		return 0, err
	}
	for i := range records {
		record := &records[i]
		p.fields.begin(record.DataType, record.timestamp())
		record.addTo(&p.fields)
		isSent, err := p.finish(record.Priority == High)
		if err != nil {
			return sent, err
		}
		if isSent {
			sent++
		}
	}
	return sent, nil
}

func (p *recordPipe) sendRaw(record []byte, isHigh bool) (bool, error) {
	defer p.end()
	if err := p.begin(); err != nil {
		return false, err
	}
	f := &p.fields
	if !f.fits(len(record)) {
		return false, p.tooLarge(len(record))
	}
	f.start = len(f.buf)
	f.buf = append(f.buf, 0, 0, 0, 0)
	putLength(f.buf[f.start:], len(record))
	f.buf = append(f.buf, record...)
	return p.finished(isHigh)
}

func (p *recordPipe) tooLarge(size int) error {
	return errorOf(ErrRecordTooLarge,
		"a record of %d bytes was not sent, the limit is %d: split it or shorten its values", size, p.fields.limit)
}

func (p *recordPipe) finish(isHigh bool) (bool, error) {
	if size := p.fields.finish(); !p.fields.fits(size) {
		return false, p.tooLarge(size)
	}
	return p.finished(isHigh)
}

// finished decides what becomes of the frame that the buffer ends with.
func (p *recordPipe) finished(isHigh bool) (bool, error) {
	f := &p.fields
	if p.lines {
		p.scratch = appendRecordLine(p.scratch[:0], f.buf[f.start+lengthSize:], isHigh)
		f.buf = append(f.buf[:f.start], p.scratch...)
		if cap(p.scratch) > bufferSlack {
			p.scratch = nil
		}
	}
	size := len(f.buf) - f.start
	wasEmpty := f.start == p.written
	if len(f.buf)-p.written >= p.bufferSize {
		if !p.drops {
			p.accepted += uint64(size)
			return true, p.writeAll()
		}
		if !p.makeRoom() {
			p.addDropped(1)
			return false, nil
		}
		p.accepted += uint64(size)
		return true, p.failure
	}
	p.accepted += uint64(size)
	if wasEmpty {
		p.setTimer()
	}
	return true, nil
}

// makeRoom writes what the pipe takes. If the newest record does not fit then, it is removed and the result is false:
// unless a part of it has been written, or there is nothing before it.
func (p *recordPipe) makeRoom() bool {
	f := &p.fields
	start := f.start
	moved := p.writeAvailable()
	start -= moved
	pending := len(f.buf) - p.written
	if p.failure != nil || pending <= p.bufferSize || p.written >= start {
		return true
	}
	f.buf = f.buf[:start]
	return false
}

func (p *recordPipe) addDropped(count int) {
	atomic.AddUint64(&p.dropped, uint64(count))
}

// setTimer makes sure that the buffer is written after the flush interval. A running timer is left alone: it is set
// again when it runs out, so that a fast sender does not set one for each buffer.
func (p *recordPipe) setTimer() {
	p.flushTime = time.Now().Add(p.flushInterval)
	if !p.isTimerSet {
		p.isTimerSet = true
		p.timer.Reset(p.flushInterval)
	}
}

func (p *recordPipe) flushDue() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.isTimerSet = false
	if p.isClosed || p.failure != nil || len(p.fields.buf) == p.written {
		return
	}
	if rest := time.Until(p.flushTime); rest > 0 {
		p.isTimerSet = true
		p.timer.Reset(rest)
		return
	}
	// The next call of the plugin reports a failure.
	if p.drops {
		p.writeAvailable()
	} else {
		_ = p.writeAll()
	}
}

// writeAll writes the buffer, waiting as long as it takes.
func (p *recordPipe) writeAll() error {
	if p.failure == nil && len(p.fields.buf) > 0 {
		if err := p.write(p.fields.buf); err != nil {
			p.failure = writeError(err)
		}
		p.fields.reset()
	}
	return p.failure
}

// writeAvailable writes as much of the buffer as the pipe takes without waiting, and has the rest written later. It
// returns by how many bytes it has moved the content of the buffer to the front.
func (p *recordPipe) writeAvailable() (moved int) {
	f := &p.fields
	for p.failure == nil && p.written < len(f.buf) {
		n, err := syscall.Write(p.descriptor, f.buf[p.written:])
		if n > 0 {
			p.written += n
			p.taken += uint64(n)
			continue
		}
		if err == syscall.EAGAIN {
			break
		}
		if err != nil && err != syscall.EINTR {
			p.failure = writeError(err)
		}
	}
	p.changed.Broadcast()
	if p.failure != nil || p.written == len(f.buf) {
		moved = p.written
		p.written = 0
		f.reset()
		return moved
	}
	if !p.isDraining {
		p.isDraining = true
		go p.drain()
	}
	// Less has to be moved than was written since the last time.
	if p.written >= len(f.buf)-p.written {
		moved = p.begunFrame()
		f.buf = f.buf[:copy(f.buf, f.buf[moved:])]
		p.written -= moved
	}
	return moved
}

// begunFrame returns where the first frame starts that is not completely written.
func (p *recordPipe) begunFrame() int {
	start := 0
	for start < p.written {
		next := start + lengthSize + frameLength(p.fields.buf[start:])
		if next > p.written {
			break
		}
		start = next
	}
	return start
}

// drain writes the buffer whenever the pipe takes something, until nothing is left.
func (p *recordPipe) drain() {
	err := p.raw.Write(func(uintptr) bool {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		if !p.isReleased {
			p.writeAvailable()
		}
		isDone := p.isReleased || p.failure != nil || len(p.fields.buf) == p.written
		p.isDraining = !isDone
		return isDone
	})
	if err == nil {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.isDraining = false
	if !p.isReleased && p.failure == nil {
		p.failure = writeError(err)
	}
	p.changed.Broadcast()
}

// flush returns when the pipe has taken all records sent before.
func (p *recordPipe) flush() error {
	defer p.end()
	if err := p.begin(); err != nil {
		return err
	}
	if !p.drops {
		return p.writeAll()
	}
	target := p.accepted
	p.writeAvailable()
	for p.failure == nil && p.taken < target {
		if p.isReleased {
			return errClosed
		}
		p.changed.Wait()
	}
	return p.failure
}

// close writes what is buffered, under DropNewest for at most timeout, and closes the descriptor. To be called once.
// It returns the failure due to which records were lost.
func (p *recordPipe) close(timeout time.Duration) error {
	p.mutex.Lock()
	p.isClosed = true
	p.timer.Stop()
	if p.drops {
		p.writeFor(timeout)
	} else {
		_ = p.writeAll()
	}
	p.isReleased = true
	p.changed.Broadcast()
	failure := p.failure
	p.mutex.Unlock()
	if p.file != nil {
		if err := p.file.Close(); err != nil && failure == nil {
			failure = err
		}
	}
	return failure
}

func (p *recordPipe) writeFor(timeout time.Duration) {
	isOver := false
	timer := time.AfterFunc(timeout, func() {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		isOver = true
		p.changed.Broadcast()
	})
	defer timer.Stop()
	p.writeAvailable()
	for p.failure == nil && !isOver && len(p.fields.buf) > p.written {
		p.changed.Wait()
	}
	if p.failure != nil {
		return
	}
	for start := p.begunFrame(); start < len(p.fields.buf); {
		start += lengthSize + frameLength(p.fields.buf[start:])
		p.addDropped(1)
	}
}

func frameLength(frame []byte) int {
	_ = frame[3]
	return int(uint32(frame[0]) | uint32(frame[1])<<8 | uint32(frame[2])<<16 | uint32(frame[3])<<24)
}
