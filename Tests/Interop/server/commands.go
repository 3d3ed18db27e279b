// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"elkeid-interop/agentcenter"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// configJSON is an entry of the -config file and of the command "config".
type configJSON struct {
	Name         string   `json:"name"`
	Type         string   `json:"type"`
	Version      string   `json:"version"`
	SHA256       string   `json:"sha256"`
	Signature    string   `json:"signature"`
	DownloadURLs []string `json:"download_urls"`
	Detail       string   `json:"detail"`
}

func decodeConfigs(text []byte) ([]*agentcenter.Config, error) {
	var entries []configJSON
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, err
	}
	configs := make([]*agentcenter.Config, 0, len(entries))
	for _, entry := range entries {
		configs = append(configs, &agentcenter.Config{
			Name: entry.Name, Type: entry.Type, Version: entry.Version, Sha256: entry.SHA256,
			Signature: entry.Signature, DownloadUrls: entry.DownloadURLs, Detail: entry.Detail,
		})
	}
	return configs, nil
}

// command is one line on standard input.
type command struct {
	Command    string          `json:"cmd"`
	AgentID    *string         `json:"agent_id"`
	ObjectName string          `json:"object_name"`
	DataType   int32           `json:"data_type"`
	Data       string          `json:"data"`
	Token      string          `json:"token"`
	Configs    json.RawMessage `json:"configs"`
	Value      int32           `json:"value"`
	Code       uint32          `json:"code"`
	Message    string          `json:"message"`
	On         bool            `json:"on"`
}

// obey executes commands until standard input ends. Each is answered by one event: "done", "stats" or
// "command_failed".
func (c *center) obey(input io.Reader) error {
	lines := bufio.NewScanner(input)
	lines.Buffer(make([]byte, 0, 1<<16), 64<<20)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var order command
		err := json.Unmarshal(lines.Bytes(), &order)
		if err == nil && order.Command == "stats" {
			emit("stats", c.stats())
			continue
		}
		streams := 0
		if err == nil {
			streams, err = c.execute(&order)
		}
		if err != nil {
			emit("command_failed", map[string]any{"cmd": order.Command, "error": err.Error()})
		} else {
			emit("done", map[string]any{"cmd": order.Command, "streams": streams})
		}
	}
	return lines.Err()
}

// execute returns the number of streams or connections that the command concerned.
func (c *center) execute(order *command) (int, error) {
	switch order.Command {
	case "task":
		return c.broadcast(order.AgentID, &agentcenter.Command{Task: &agentcenter.Task{
			DataType: order.DataType, ObjectName: order.ObjectName, Data: order.Data, Token: order.Token,
		}})
	case "config":
		configs, err := decodeConfigs(order.Configs)
		if err != nil {
			return 0, err
		}
		c.setConfigs(configs)
		return c.broadcast(order.AgentID, &agentcenter.Command{Configs: configs})
	case "agent_ctrl":
		return c.broadcast(order.AgentID, &agentcenter.Command{AgentCtrl: order.Value})
	case "end":
		streams := c.selected(order.AgentID)
		for _, stream := range streams {
			var result error
			if order.Code != 0 {
				result = status.Error(codes.Code(order.Code), order.Message)
			}
			select {
			case stream.end <- result:
			default:
			}
		}
		return len(streams), nil
	case "goaway":
		if c.options.bad != "" {
			return 0, fmt.Errorf("not with -bad")
		}
		c.drain()
		return len(c.selected(nil)), nil
	case "disconnect":
		return c.disconnect(), nil
	case "conflict":
		c.setRefusal(errConflict, order.On)
		return len(c.selected(nil)), nil
	case "full":
		c.setRefusal(errFull, order.On)
		return len(c.selected(nil)), nil
	case "forget":
		return c.forget(order.AgentID), nil
	case "refuse":
		c.board.setRefusing(order.On)
		return 0, nil
	case "pause", "resume":
		c.setPaused(order.Command == "pause")
		return len(c.selected(nil)), nil
	default:
		return 0, fmt.Errorf("no such command; known are task, config, agent_ctrl, end, goaway, disconnect, " +
			"conflict, full, forget, refuse, pause, resume and stats")
	}
}

func (c *center) broadcast(agentID *string, message *agentcenter.Command) (int, error) {
	streams := c.selected(agentID)
	for _, stream := range streams {
		if !stream.post(message) {
			return 0, fmt.Errorf("agent %q reads its commands too slowly", stream.agentID)
		}
	}
	return len(streams), nil
}
