// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import "time"

const (
	// What is on its way in a direction that nothing holds up: little, so that whoever sends soon feels a receiver that
	// does not read.
	ordinaryLimit = 64 << 10
	// What is kept of a direction that is held up or delayed.
	largestLimit = 4 << 20
)

// conditions are what the network is like; the zero value is plain forwarding.
type conditions struct {
	// Towards the server, for each connection; 0 is no limit.
	bytesPerSecond int
	latency        time.Duration
	blackhole      bool
	// Of the agent's side only.
	stopReading bool
}

// limit is how much is kept of a direction. Delayed data must not make a fast direction slow, nor a slow one roomy.
func (c conditions) limit(towardsServer bool) int {
	switch {
	case c.blackhole:
		return largestLimit
	case c.latency == 0:
		return ordinaryLimit
	case towardsServer && c.bytesPerSecond > 0:
		delayed := float64(c.bytesPerSecond) * c.latency.Seconds()
		if delayed < largestLimit-ordinaryLimit {
			return ordinaryLimit + int(delayed)
		}
	}
	return largestLimit
}
