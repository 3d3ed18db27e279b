// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

type task struct {
	dataType   int32
	objectName string
	data       string
	token      string
}

// taskLimit is more than the agent sends.
const taskLimit = 4 << 20

var errTask = errors.New("a task that is not well-formed")

// readTasks calls handle for every task until the agent closes the task pipe, which is no error.
func readTasks(handle func(task) error) error {
	input := bufio.NewReaderSize(os.NewFile(taskDescriptor, "tasks"), 64<<10)
	for {
		var prefix [4]byte
		if _, err := io.ReadFull(input, prefix[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("task pipe: %w", err)
		}
		length := binary.LittleEndian.Uint32(prefix[:])
		if length > taskLimit {
			return fmt.Errorf("task pipe: a task of %d bytes, at most %d are accepted", length, taskLimit)
		}
		frame := make([]byte, length)
		if _, err := io.ReadFull(input, frame); err != nil {
			return fmt.Errorf("task pipe: inside a frame of %d bytes: %w", len(frame), err)
		}
		t, err := decodeTask(frame)
		if err != nil {
			// The length says where the next one begins.
			fmt.Fprintf(os.Stderr, "task of %d bytes: %v\n", length, err)
			continue
		}
		if err := handle(t); err != nil {
			return err
		}
	}
}

// decodeTask takes the known fields in any order, the last of each, and passes over others.
func decodeTask(b []byte) (task, error) {
	var t task
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 {
			return t, errTask
		}
		b = b[n:]
		var value, size uint64
		switch tag & 7 {
		case 0, 2:
			value, n = binary.Uvarint(b)
			if n <= 0 {
				return t, errTask
			}
			b = b[n:]
			if tag&7 == 2 {
				size = value
			}
		case 1:
			size = 8
		case 5:
			size = 4
		default:
			return t, errTask
		}
		if size > uint64(len(b)) {
			return t, errTask
		}
		text := string(b[:size])
		b = b[size:]
		switch tag {
		case 1 << 3:
			t.dataType = int32(value)
		case 2<<3 | 2:
			t.objectName = text
		case 3<<3 | 2:
			t.data = text
		case 4<<3 | 2:
			t.token = text
		}
	}
	return t, nil
}
