// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"time"
)

// fileInterval is how often a writer with a file writes to it.
const fileInterval = 100 * time.Millisecond

// burn keeps so many processors busy until stopping is set.
func burn(processors int, stopping *flag) {
	for i := 0; i < processors; i++ {
		go func() {
			for !stopping.isSet() {
			}
		}()
	}
}

// fillFile appends so many bytes a second to writer.dat until stopping is set.
func fillFile(bytesPerSecond int, stopping *flag) error {
	file, err := os.OpenFile("writer.dat", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, bytesPerSecond/int(time.Second/fileInterval))
	go func() {
		defer file.Close()
		for ticks := time.NewTicker(fileInterval); !stopping.isSet(); <-ticks.C {
			if _, err := file.Write(block); err != nil {
				return
			}
		}
	}()
	return nil
}
