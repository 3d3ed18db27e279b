// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// errNothingYet says that there is nothing to read now.
var errNothingYet = errors.New("nothing has arrived")

// past is a deadline that makes every wait return at once.
var past = time.Unix(1, 0)

// pipeInput reads the task pipe, waiting with the poller of the runtime.
type pipeInput struct {
	descriptor int
	file       *os.File
	raw        syscall.RawConn
	// mutex guards the order of setting deadlines: once woken is set, none but past is.
	mutex sync.Mutex
	woken bool
}

// openPipeInput takes over a descriptor that has been checked.
func openPipeInput(descriptor int) (*pipeInput, error) {
	syscall.CloseOnExec(descriptor)
	if err := syscall.SetNonblock(descriptor, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(descriptor), "task pipe")
	raw, err := file.SyscallConn()
	if err == nil {
		// This fails when the runtime cannot wait for the descriptor.
		err = file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		file.Close()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return &pipeInput{descriptor: descriptor, file: file, raw: raw}, nil
}

func (in *pipeInput) read(room []byte) (int, error) {
	defer runtime.KeepAlive(in.file)
	return readDescriptor(in.descriptor, room)
}

func (in *pipeInput) wait(room []byte, deadline time.Time, cancel <-chan struct{}) (count int, err error) {
	if !in.setDeadline(deadline) {
		return 0, errNothingYet
	}
	if cancel != nil {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			select {
			case <-cancel:
				in.setDeadline(past)
			case <-stop:
			}
		}()
		// A late setDeadline must not disturb the next wait.
		defer func() {
			close(stop)
			<-stopped
		}()
	}
	waitError := in.raw.Read(func(descriptor uintptr) bool {
		count, err = readDescriptor(int(descriptor), room)
		return err != errNothingYet
	})
	if errors.Is(waitError, os.ErrDeadlineExceeded) {
		return 0, errNothingYet
	}
	if waitError != nil {
		return 0, os.NewSyscallError("read", waitError)
	}
	return count, err
}

func (in *pipeInput) setDeadline(deadline time.Time) bool {
	in.mutex.Lock()
	defer in.mutex.Unlock()
	return !in.woken && in.file.SetReadDeadline(deadline) == nil
}

func (in *pipeInput) wake() {
	in.mutex.Lock()
	defer in.mutex.Unlock()
	in.woken = true
	_ = in.file.SetReadDeadline(past)
}

func (in *pipeInput) close() error { return in.file.Close() }

// standardInput reads the standard input in debug mode. Its own mode is left alone, as the shell shares it; a goroutine
// waits until there is something to read, and reads nothing.
type standardInput struct {
	readable  chan struct{}
	isWaiting bool
	wokenOnce sync.Once
	woken     chan struct{}
}

func newStandardInput() *standardInput {
	return &standardInput{readable: make(chan struct{}, 1), woken: make(chan struct{})}
}

func (in *standardInput) read(room []byte) (int, error) {
	isReady, err := standardStreamReady(0, true, &syscall.Timeval{})
	if err != nil {
		return 0, os.NewSyscallError("select on the standard input", err)
	}
	if !isReady {
		return 0, errNothingYet
	}
	return readDescriptor(0, room)
}

func (in *standardInput) wait(_ []byte, deadline time.Time, cancel <-chan struct{}) (int, error) {
	if !in.isWaiting {
		in.isWaiting = true
		go func() {
			// The read that follows meets the same error, if any.
			_, _ = standardStreamReady(0, true, nil)
			in.readable <- struct{}{}
		}()
	}
	var timeout <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-in.readable:
		in.isWaiting = false
	case <-timeout:
	case <-cancel:
	case <-in.woken:
	}
	return 0, errNothingYet
}

func (in *standardInput) wake() { in.wokenOnce.Do(func() { close(in.woken) }) }

func (in *standardInput) close() error { return nil }

func readDescriptor(descriptor int, room []byte) (int, error) {
	for {
		count, err := syscall.Read(descriptor, room)
		switch err {
		case nil:
			return count, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, errNothingYet
		default:
			return 0, os.NewSyscallError("read of tasks", err)
		}
	}
}
