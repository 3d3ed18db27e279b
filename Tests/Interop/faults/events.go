// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"sync"
	"time"
)

var stdout sync.Mutex

// emit prints one event as one line of JSON. A parent that is gone ends the program.
func emit(event string, details map[string]any) {
	line := map[string]any{"event": event, "at": time.Now().UnixMicro()}
	for key, value := range details {
		line[key] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		text, _ = json.Marshal(map[string]string{"event": "internal_error", "error": err.Error()})
	}
	stdout.Lock()
	defer stdout.Unlock()
	if _, err := os.Stdout.Write(append(text, '\n')); err != nil {
		os.Exit(1)
	}
}
