// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// command is one line on standard input.
type command struct {
	Command string  `json:"cmd"`
	Name    string  `json:"name"`
	Entries []entry `json:"entries"`
	Mode    string  `json:"mode"`
	DelayMS int     `json:"delay_ms"`
	Host    string  `json:"host"`
	Address string  `json:"address"`
	Seconds int     `json:"seconds"`
}

// obey executes commands until standard input ends. Each is answered by one event: "done" or "command_failed".
func obey(input io.Reader, registry *registry, proxy *proxy) error {
	lines := bufio.NewScanner(input)
	lines.Buffer(make([]byte, 0, 1<<16), 64<<20)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var order command
		err := json.Unmarshal(lines.Bytes(), &order)
		if err == nil {
			err = execute(&order, registry, proxy)
		}
		if err != nil {
			emit("command_failed", map[string]any{"cmd": order.Command, "error": err.Error()})
		} else {
			emit("done", map[string]any{"cmd": order.Command})
		}
	}
	return lines.Err()
}

func execute(order *command, registry *registry, proxy *proxy) error {
	switch order.Command {
	case "registry":
		registry.set(order.Name, order.Entries)
		return nil
	case "mode":
		return registry.setMode(order.Mode, order.DelayMS)
	case "clock":
		registry.setClock(order.Seconds)
		return nil
	case "proxy_mode":
		return proxy.setMode(order.Mode)
	case "resolve":
		proxy.resolve(order.Host, order.Address)
		return nil
	default:
		return fmt.Errorf("no such command; known are registry, mode, clock, proxy_mode and resolve")
	}
}
