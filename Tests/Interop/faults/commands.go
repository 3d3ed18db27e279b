// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// command is one line on standard input.
type command struct {
	Command        string `json:"cmd"`
	On             *bool  `json:"on"`
	BytesPerSecond *int   `json:"bytes_per_second"`
	Milliseconds   *int   `json:"ms"`
	Address        string `json:"address"`
}

// obey executes commands until standard input ends. Each is answered by one event, once it has taken effect: "done",
// "stats" or "command_failed".
func obey(input io.Reader, door *door, proxy *proxy) error {
	lines := bufio.NewScanner(input)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var order command
		answer, details := "done", map[string]any{}
		err := json.Unmarshal(lines.Bytes(), &order)
		if err == nil && order.Command == "stats" {
			answer, details = "stats", proxy.stats()
		} else if err == nil {
			err = execute(&order, door, proxy, details)
		}
		if err != nil {
			answer, details = "command_failed", map[string]any{"error": err.Error()}
		}
		details["cmd"] = order.Command
		emit(answer, details)
	}
	return lines.Err()
}

// execute adds to the details of the answer.
func execute(order *command, door *door, proxy *proxy, details map[string]any) error {
	switch order.Command {
	case "clear":
		proxy.change(func(c *conditions) { *c = conditions{} })
		return door.reopen()
	case "reset":
		details["connections"] = proxy.reset()
	case "swallow":
		details["connections"] = proxy.silence(false)
	case "halfopen":
		details["connections"] = proxy.silence(true)
	case "refuse", "blackhole", "stop_reading":
		if order.On == nil {
			return errors.New(`"on" is missing`)
		}
		return turn(order.Command, *order.On, door, proxy)
	case "rate":
		if order.BytesPerSecond == nil || *order.BytesPerSecond < 0 {
			return errors.New(`"bytes_per_second" is missing or negative`)
		}
		proxy.change(func(c *conditions) { c.bytesPerSecond = *order.BytesPerSecond })
	case "latency":
		if order.Milliseconds == nil || *order.Milliseconds < 0 {
			return errors.New(`"ms" is missing or negative`)
		}
		proxy.change(func(c *conditions) { c.latency = time.Duration(*order.Milliseconds) * time.Millisecond })
	case "target":
		if _, _, err := net.SplitHostPort(order.Address); err != nil {
			return err
		}
		proxy.setTarget(order.Address)
	default:
		return fmt.Errorf("no such command; known are clear, reset, refuse, blackhole, swallow, halfopen, rate, " +
			"latency, stop_reading, target and stats")
	}
	return nil
}

// turn switches something on or off.
func turn(name string, on bool, door *door, proxy *proxy) error {
	switch {
	case name == "blackhole":
		proxy.change(func(c *conditions) { c.blackhole = on })
	case name == "stop_reading":
		proxy.change(func(c *conditions) { c.stopReading = on })
	case on:
		return door.refuse()
	default:
		return door.reopen()
	}
	return nil
}
