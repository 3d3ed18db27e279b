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
		frame := make([]byte, binary.LittleEndian.Uint32(prefix[:]))
		if _, err := io.ReadFull(input, frame); err != nil {
			return fmt.Errorf("task pipe: inside a frame of %d bytes: %w", len(frame), err)
		}
		t, err := decodeTask(frame)
		if err != nil {
			return err
		}
		if err := handle(t); err != nil {
			return err
		}
	}
}

// decodeTask is strict: the agent writes nothing but the four known fields.
func decodeTask(b []byte) (task, error) {
	var t task
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return t, errTask
		}
		b = b[n:]
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return t, errTask
		}
		b = b[n:]
		if tag == 1<<3 {
			t.dataType = int32(value)
			continue
		}
		if value > uint64(len(b)) {
			return t, errTask
		}
		text := string(b[:value])
		b = b[value:]
		switch tag {
		case 2<<3 | 2:
			t.objectName = text
		case 3<<3 | 2:
			t.data = text
		case 4<<3 | 2:
			t.token = text
		default:
			return t, errTask
		}
	}
	return t, nil
}
