// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"elkeid-interop/typing"
)

// captures numbers the files of -capture, over all streams.
var captures uint64

func isHeartbeat(record reportedRecord) bool {
	return record.dataType == agentHeartbeat || record.dataType == pluginHeartbeat
}

// captureHeartbeats writes a message as it came, decompressed, to a new file if it has a heartbeat and the options ask
// for it. It returns the file's path, "" if there is none.
func (c *center) captureHeartbeats(message []byte, reports []reportedRecord) (string, error) {
	wanted := false
	for _, report := range reports {
		wanted = wanted || isHeartbeat(report)
	}
	if c.options.capture == "" || !wanted {
		return "", nil
	}
	path := filepath.Join(c.options.capture, fmt.Sprintf("message-%d.pb", atomic.AddUint64(&captures, 1)))
	if err := os.WriteFile(path, message, 0o600); err != nil {
		return "", fmt.Errorf("-capture: %w", err)
	}
	return path, nil
}

// judge emits what an Agent Center and a manager would stumble over in a heartbeat.
func (s *agentStream) judge(record reportedRecord) {
	problems := typing.Problems(s.agentID, record.dataType, record.fields)
	emit("heartbeat_typing", map[string]any{
		"agent_id": s.agentID, "data_type": record.dataType, "name": record.fields["name"],
		"ok": len(problems) == 0, "problems": problems,
	})
}
