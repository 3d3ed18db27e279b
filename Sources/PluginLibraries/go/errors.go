// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// The errors of this package, to be compared with errors.Is: those that are returned say more about the case.
// A failure of the system is none of them but an *os.SyscallError.
var (
	// ErrDescriptorNotOpen: the program was not started by an agent.
	ErrDescriptorNotOpen = errors.New("descriptor not open")
	// ErrDescriptorUnusable: a descriptor is open, but is no pipe or socket that goes the way the contract says.
	ErrDescriptorUnusable = errors.New("descriptor unusable")
	// ErrInvalidOption: an option has a value that makes no sense.
	ErrInvalidOption = errors.New("invalid option")
	// ErrAgentGone: the agent has closed its end of a record pipe, or has ended. Nothing can be sent any more.
	ErrAgentGone = errors.New("agent gone")
	// ErrClosed: the client has been closed.
	ErrClosed = errors.New("client closed")
	// ErrRecordTooLarge: the record has more bytes than the agent takes. It was not sent; others can be.
	ErrRecordTooLarge = errors.New("record too large")
	// ErrTimeout: no task arrived in time.
	ErrTimeout = errors.New("timed out")
	// ErrMalformedTask: one task could not be decoded. The next receive goes on behind it.
	ErrMalformedTask = errors.New("malformed task")
	// ErrTaskTooLarge: the agent announced a task over the limit. Where the next one starts is not known any more, so
	// that every later receive returns this again.
	ErrTaskTooLarge = errors.New("task too large")
	// ErrIncompleteTask: the agent ended inside a task. The next receive returns io.EOF.
	ErrIncompleteTask = errors.New("incomplete task")
)

// detailedError is one of the errors above with a line about this case.
type detailedError struct {
	kind error
	text string
}

func (e *detailedError) Error() string { return e.text }
func (e *detailedError) Unwrap() error { return e.kind }

func errorOf(kind error, format string, arguments ...any) error {
	return &detailedError{kind: kind, text: "elkeid plugin: " + fmt.Sprintf(format, arguments...)}
}

var (
	errClosed = errorOf(ErrClosed, "the client has been closed: make no calls after Close")
	// errAgentGone is returned whenever a record pipe has no reader.
	errAgentGone = errorOf(ErrAgentGone, "the agent has closed the record pipe: end the plugin")
	errTimeout   = errorOf(ErrTimeout, "no task arrived in time")
)

// writeError gives an error of writing its kind.
func writeError(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return errAgentGone
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return os.NewSyscallError("write to the record pipe", errno)
	}
	return os.NewSyscallError("write to the record pipe", err)
}
