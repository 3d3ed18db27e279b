// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"io"
	"time"
)

// receiver is the reading end of the task pipe.
type receiver struct {
	// turn holds one value while no goroutine receives; whoever takes it may use source, failure and hasEnded.
	turn     chan struct{}
	input    taskInput
	source   taskSource
	failure  error
	hasEnded bool
	// ended is closed by SIGTERM, closed by Close; each is followed by input.wake.
	ended, closed chan struct{}
}

// taskSource cuts what was read into tasks. It does no input of its own.
type taskSource interface {
	// next returns the next whole task; false when more bytes are needed.
	next() (Task, bool, error)
	// last is next after the end of file.
	last() (Task, bool, error)
	// room returns where to read to, and added says how many bytes came.
	room() []byte
	added(count int)
}

// taskInput is where the bytes come from.
type taskInput interface {
	// read reads without waiting; errNothingYet if nothing has arrived.
	read(room []byte) (int, error)
	// wait reads when something arrives. It may also return errNothingYet at any time, and does so when the deadline
	// has come (the zero time is none), when cancel is closed, and for ever after wake.
	wait(room []byte, deadline time.Time, cancel <-chan struct{}) (int, error)
	wake()
	close() error
}

func newReceiver(input taskInput, source taskSource) *receiver {
	r := &receiver{
		turn: make(chan struct{}, 1), input: input, source: source,
		ended: make(chan struct{}), closed: make(chan struct{}),
	}
	r.turn <- struct{}{}
	return r
}

// receive waits for a task until the deadline (the zero time is none), or until the context (may be nil) is done.
func (r *receiver) receive(ctx context.Context, deadline time.Time) (Task, error) {
	var cancel <-chan struct{}
	if ctx != nil {
		cancel = ctx.Done()
	}
	if !r.takeTurn(deadline, cancel) {
		if err := r.interruption(ctx); err != nil {
			return Task{}, err
		}
		return Task{}, errTimeout
	}
	defer func() { r.turn <- struct{}{} }()
	for {
		if err := r.interruption(ctx); err != nil {
			return Task{}, err
		}
		if r.failure != nil {
			return Task{}, r.failure
		}
		next := r.source.next
		if r.hasEnded {
			next = r.source.last
		}
		if task, ok, err := next(); ok || err != nil {
			if isPermanent(err) {
				r.failure = err
			}
			return task, err
		}
		if r.hasEnded {
			return Task{}, io.EOF
		}
		room := r.source.room()
		count, err := r.input.read(room)
		if err == errNothingYet {
			if !deadline.IsZero() && !time.Now().Before(deadline) {
				return Task{}, errTimeout
			}
			count, err = r.input.wait(room, deadline, cancel)
		}
		switch {
		case err == errNothingYet:
		case err != nil:
			return Task{}, err
		case count == 0:
			r.hasEnded = true
		default:
			r.source.added(count)
		}
	}
}

// interruption returns why no task is to be returned, or nil.
func (r *receiver) interruption(ctx context.Context) error {
	if isDone(r.closed) {
		return errClosed
	}
	if isDone(r.ended) {
		return io.EOF
	}
	if ctx != nil {
		return ctx.Err()
	}
	return nil
}

// takeTurn waits until no other goroutine receives; false when it was not for it to wait any longer.
func (r *receiver) takeTurn(deadline time.Time, cancel <-chan struct{}) bool {
	select {
	case <-r.turn:
		return true
	default:
	}
	var timeout <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-r.turn:
		return true
	case <-timeout:
	case <-cancel:
	case <-r.ended:
	case <-r.closed:
	}
	return false
}

// end makes every receive return io.EOF. To be called once.
func (r *receiver) end() {
	close(r.ended)
	r.input.wake()
}

// close makes every receive return ErrClosed, and closes the task pipe. To be called once.
func (r *receiver) close() error {
	close(r.closed)
	r.input.wake()
	// The descriptor must not be closed, and its number used anew, under a goroutine that reads.
	<-r.turn
	defer func() { r.turn <- struct{}{} }()
	return r.input.close()
}

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
