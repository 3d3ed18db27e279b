// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"os"
	"strings"
	"syscall"
	"unsafe"
)

const startHint = "this is an Elkeid plugin, to be started by elkeid-agent or elkeid-devcenter --plugin " +
	"(descriptor 3 reads tasks, 4 writes records), or with ELKEID_PLUGIN_DEBUG=1 in the environment to try it by hand"

// startedWithoutPipes says that neither 3 nor 4 was open when the program started. Later is too late to ask: files that
// the program has opened since then have taken these numbers.
var startedWithoutPipes = func() bool {
	// The runtime opens its own descriptors earlier than this if the standard input is in non-blocking mode.
	if target, err := os.Readlink("/proc/self/fd/3"); err == nil && strings.Contains(target, "eventpoll") {
		return true
	}
	return !isOpen(3) && !isOpen(4)
}()

// inheritedDescriptors are what the agent passes to a plugin.
func inheritedDescriptors() Descriptors {
	descriptors := Descriptors{Tasks: 3, Records: 4}
	if os.Getenv("ELKEID_PLUGIN_HIGH_PRIORITY_PIPE") != "" {
		descriptors.HighPriority = 5
	}
	return descriptors
}

func isOpen(descriptor int) bool {
	_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(descriptor), syscall.F_GETFD, 0)
	return errno != syscall.EBADF
}

// check refuses descriptors that cannot be the contract's pipes. Changes nothing.
func (d Descriptors) check() error {
	if err := checkDescriptor(d.Tasks, syscall.O_RDONLY); err != nil {
		return err
	}
	if err := checkDescriptor(d.Records, syscall.O_WRONLY); err != nil {
		return err
	}
	if d.HighPriority != 0 {
		return checkDescriptor(d.HighPriority, syscall.O_WRONLY)
	}
	return nil
}

func checkDescriptor(descriptor, direction int) error {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(descriptor), syscall.F_GETFL, 0)
	if errno == syscall.EBADF {
		return errorOf(ErrDescriptorNotOpen, "descriptor %d is not open: %s", descriptor, startHint)
	}
	if errno != 0 {
		return os.NewSyscallError("fcntl", errno)
	}
	var status syscall.Stat_t
	if err := syscall.Fstat(descriptor, &status); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	kind := status.Mode & syscall.S_IFMT
	access := int(flags) & syscall.O_ACCMODE
	if kind != syscall.S_IFIFO && kind != syscall.S_IFSOCK || access != syscall.O_RDWR && access != direction {
		return errorOf(ErrDescriptorUnusable, "descriptor %d is not a pipe in the right direction: %s", descriptor,
			startHint)
	}
	return nil
}

func isTerminal(descriptor int) bool {
	var settings syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(descriptor), syscall.TCGETS,
		uintptr(unsafe.Pointer(&settings)))
	return errno == 0
}

// standardStreamReady waits until 0 can be read (isRead) or 1 or 2 be written, at most for timeout; nil is as long as
// it takes. The non-blocking mode and the poller of the runtime are not for these: other processes share them.
func standardStreamReady(descriptor int, isRead bool, timeout *syscall.Timeval) (bool, error) {
	for {
		var set syscall.FdSet
		set.Bits[0] = 1 << uint(descriptor)
		read, write := &set, (*syscall.FdSet)(nil)
		if !isRead {
			read, write = nil, &set
		}
		count, err := syscall.Select(descriptor+1, read, write, nil, timeout)
		if err == syscall.EINTR {
			continue
		}
		return count > 0, err
	}
}

// writeStandardStream writes all of line. Unlike os.Stdout it returns EPIPE when there is no reader, instead of letting
// SIGPIPE kill the process.
func writeStandardStream(descriptor int, line []byte) error {
	for len(line) > 0 {
		n, err := syscall.Write(descriptor, line)
		switch {
		case n > 0:
			line = line[n:]
		case err == syscall.EAGAIN:
			if _, err := standardStreamReady(descriptor, false, nil); err != nil {
				return err
			}
		case err != nil && err != syscall.EINTR:
			return err
		}
	}
	return nil
}
