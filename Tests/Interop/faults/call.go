// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// Any time that is past.
var longAgo = time.Unix(1, 0)

// call is a system call that may be in progress without the link's mutex, and can be interrupted: a change must hold
// also for those that began before it.
type call struct {
	setDeadline func(time.Time) error
	active      bool
	epoch       int
	interrupted bool
}

// begin and complete are called before and after the system call, with the mutex.
func (l *link) begin(c *call) {
	if c.interrupted {
		c.setDeadline(time.Time{})
		c.interrupted = false
	}
	c.active, c.epoch = true, l.epoch
}

func (l *link) complete(c *call) {
	c.active = false
	l.changed.Broadcast()
}

// settle interrupts all calls and waits until none is left that began before.
func (l *link) settle() {
	l.epoch++
	l.changed.Broadcast()
	calls := []*call{&l.up.reading, &l.up.writing, &l.down.reading, &l.down.writing}
	for _, c := range calls {
		if c.active {
			c.interrupted = true
			c.setDeadline(longAgo)
		}
	}
	for _, c := range calls {
		for c.active && c.epoch < l.epoch {
			l.changed.Wait()
		}
	}
}
