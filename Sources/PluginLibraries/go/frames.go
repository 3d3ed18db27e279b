// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

// readSize is how many bytes are asked for at a time: what a pipe holds by default.
const readSize = 64 << 10

// inputBuffer holds what has arrived and is not used up.
type inputBuffer struct {
	bytes      []byte
	start, end int
}

func (b *inputBuffer) unread() []byte { return b.bytes[b.start:b.end] }

func (b *inputBuffer) added(count int) { b.end += count }

// makeRoom moves what is there to the front, and makes room for a read and for expected bytes in all.
func (b *inputBuffer) makeRoom(expected int) []byte {
	b.end = copy(b.bytes, b.unread())
	b.start = 0
	needed := b.end + readSize
	if needed < expected {
		needed = expected
	}
	if len(b.bytes) < needed {
		grown := make([]byte, needed)
		copy(grown, b.bytes[:b.end])
		b.bytes = grown
	}
	return b.bytes[b.end:]
}

// taskFrames cuts the bytes of the task pipe into tasks.
type taskFrames struct {
	inputBuffer
	limit int
}

// expected returns the bytes of the frame that has begun, its length field included; 4 while that is incomplete.
func (f *taskFrames) expected() int {
	unread := f.unread()
	if len(unread) < lengthSize {
		return lengthSize
	}
	return lengthSize + frameLength(unread)
}

func (f *taskFrames) room() []byte { return f.makeRoom(f.expected()) }

func (f *taskFrames) next() (Task, bool, error) {
	unread := f.unread()
	if len(unread) < lengthSize {
		return Task{}, false, nil
	}
	length := frameLength(unread)
	// Negative where an int has 32 bits.
	if length > f.limit || length < 0 {
		return Task{}, false, errorOf(ErrTaskTooLarge, "the agent announced a task of %d bytes, the limit is %d: "+
			"raise WithMaxTaskSize, or restart the plugin if the task pipe is out of step", uint32(length), f.limit)
	}
	if len(unread) < lengthSize+length {
		return Task{}, false, nil
	}
	f.start += lengthSize + length
	task, err := decodeTask(unread[lengthSize : lengthSize+length])
	return task, err == nil, err
}

func (f *taskFrames) last() (Task, bool, error) {
	task, ok, err := f.next()
	if ok || err != nil {
		return task, ok, err
	}
	if received := len(f.unread()); received > 0 {
		err = errorOf(ErrIncompleteTask, "the task pipe ended inside a task, after %d of %d bytes: the agent has "+
			"ended suddenly", received, f.expected())
		f.start = f.end
	}
	return Task{}, false, err
}

// isPermanent says that every later receive must fail alike.
func isPermanent(err error) bool { return errors.Is(err, ErrTaskTooLarge) }

// taskLines makes tasks of lines "DATA_TYPE DATA": debug mode.
type taskLines struct {
	inputBuffer
	limit int
	count int
}

func (l *taskLines) room() []byte { return l.makeRoom(0) }

func (l *taskLines) next() (Task, bool, error) {
	for {
		unread := l.unread()
		end := bytes.IndexByte(unread, '\n')
		if end < 0 {
			return Task{}, false, nil
		}
		l.start += end + 1
		if end > 0 {
			return l.parse(unread[:end])
		}
	}
}

// last also takes a line without an end.
func (l *taskLines) last() (Task, bool, error) {
	task, ok, err := l.next()
	if ok || err != nil || l.start == l.end {
		return task, ok, err
	}
	line := l.unread()
	l.start = l.end
	return l.parse(line)
}

func (l *taskLines) parse(line []byte) (Task, bool, error) {
	number, data := line, []byte(nil)
	if space := bytes.IndexByte(line, ' '); space >= 0 {
		number, data = line[:space], line[space+1:]
	}
	dataType, err := strconv.ParseInt(string(number), 10, 32)
	if err != nil || number[0] == '+' || !utf8.Valid(data) || len(data) > l.limit {
		return Task{}, false, errorOf(ErrMalformedTask, "this line is not a task: %.100q: type a number of 32 bits, "+
			"one space and the data (UTF-8, at most %d bytes), for example: 7001 {\"path\":\"/tmp\"}", line, l.limit)
	}
	l.count++
	return Task{DataType: int32(dataType), Data: string(data), Token: "debug-" + strconv.Itoa(l.count)}, true, nil
}
