// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// Package typing judges heartbeats as an Agent Center and its manager do: by making typed values of their texts and
// decoding these into the structures that the two declare. What does not fit there takes a host out of the console.
package typing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Data types of heartbeats.
const (
	AgentHeartbeat  = 1000
	PluginHeartbeat = 1001
)

// exempt are the fields that an Agent Center leaves as strings, whatever they look like.
var exempt = map[int32]map[string]bool{
	AgentHeartbeat: {
		"platform_version": true, "version": true, "host_serial": true, "host_id": true, "host_model": true,
		"host_vendor": true, "cpu_name": true,
	},
	PluginHeartbeat: {"pversion": true},
}

// componentRequest is what the manager's GetComponentInstances binds; a type that differs refuses the whole request,
// and the agent gets no configuration.
type componentRequest struct {
	AgentID        string   `json:"agent_id"`
	KernelVersion  string   `json:"kernel_version"`
	PlatformFamily string   `json:"platform_family"`
	Arch           string   `json:"arch"`
	Tags           []string `json:"tags"`
}

// gauges are what an Agent Center exports of every heartbeat.
type gauges struct {
	CPU        float64 `json:"cpu"`
	RSS        float64 `json:"rss"`
	DU         float64 `json:"du"`
	ReadSpeed  float64 `json:"read_speed"`
	WriteSpeed float64 `json:"write_speed"`
	TxSpeed    float64 `json:"tx_speed"`
	RxSpeed    float64 `json:"rx_speed"`
}

// hostDocument is the manager's document of a host, whose decoder converts nothing.
type hostDocument struct {
	PID          int64   `json:"pid"`
	RSS          int64   `json:"rss"`
	NProc        int64   `json:"nproc"`
	TotalMem     int64   `json:"total_mem"`
	StartTime    int64   `json:"start_time"`
	BootTime     int64   `json:"boot_time"`
	CPU          float64 `json:"cpu"`
	Load1        float64 `json:"load_1"`
	Load5        float64 `json:"load_5"`
	Load15       float64 `json:"load_15"`
	CPUUsage     float64 `json:"cpu_usage"`
	MemUsage     float64 `json:"mem_usage"`
	IDC          string  `json:"idc"`
	Platform     string  `json:"platform"`
	KernelVer    string  `json:"kernel_version"`
	NetMode      string  `json:"net_mode"`
	DNS          string  `json:"dns"`
	Gateway      string  `json:"gateway"`
	State        string  `json:"state"`
	StateDetail  string  `json:"state_detail"`
	Region       string  `json:"region"`
	PlatformVer  string  `json:"platform_version"`
	HostSerial   string  `json:"host_serial"`
	HostID       string  `json:"host_id"`
	HostModel    string  `json:"host_model"`
	HostVendor   string  `json:"host_vendor"`
	CPUName      string  `json:"cpu_name"`
	RunningProcs float64 `json:"running_procs"`
	TotalProcs   float64 `json:"total_procs"`
}

// pluginDocument is the part of that document that a 1001 becomes.
type pluginDocument struct {
	Name      string  `json:"name"`
	PVersion  string  `json:"pversion"`
	PID       int64   `json:"pid"`
	RSS       int64   `json:"rss"`
	StartTime int64   `json:"start_time"`
	CPU       float64 `json:"cpu"`
}

// IsNumber says whether an Agent Center makes a number of a text.
func IsNumber(text string) bool {
	value, err := strconv.ParseFloat(text, 64)
	return err == nil && !math.IsInf(value, 0) && !math.IsNaN(value)
}

// document is the fields with the types that an Agent Center gives them. A number keeps the kind that its text has: a
// decoder of integers takes no "1.0".
func document(dataType int32, fields map[string]string) map[string]any {
	values := make(map[string]any, len(fields))
	for name, text := range fields {
		values[name] = text
		if exempt[dataType][name] || !IsNumber(text) {
			continue
		}
		if integer, err := strconv.ParseInt(text, 10, 64); err == nil {
			values[name] = integer
			continue
		}
		value, _ := strconv.ParseFloat(text, 64)
		number := strconv.FormatFloat(value, 'e', -1, 64)
		if !strings.Contains(number, ".") {
			number = strings.Replace(number, "e", ".0e", 1)
		}
		values[name] = json.Number(number)
	}
	return values
}

// Problems judges one heartbeat and returns what is wrong with it, nothing if nothing is.
func Problems(agentID string, dataType int32, fields map[string]string) []string {
	problems := []string{}
	add := func(format string, arguments ...any) {
		problems = append(problems, fmt.Sprintf(format, arguments...))
	}
	if !utf8.ValidString(agentID) {
		add("agent_id: a label of the metrics that is not UTF-8")
	}
	if _, ok := fields["tags"]; ok {
		add("tags: the manager declares it as a list")
	}
	names := make([]string, 0, len(fields))
	for name, text := range fields {
		names = append(names, name)
		if !utf8.ValidString(name) || !utf8.ValidString(text) {
			add("%q: not UTF-8", name)
		}
	}
	sort.Strings(names)
	values := document(dataType, fields)
	// Each field on its own, so that every problem is found and not only the first.
	check := func(what string, target func() any) {
		for _, name := range names {
			line, err := json.Marshal(map[string]any{name: values[name]})
			if err != nil {
				add("%s: %v", name, err)
				continue
			}
			if err := json.NewDecoder(bytes.NewReader(line)).Decode(target()); err != nil {
				add("%s = %q: %s: %v", name, fields[name], what, err)
			}
		}
	}
	check("gauges", func() any { return new(gauges) })
	switch dataType {
	case AgentHeartbeat:
		check("component request", func() any { return new(componentRequest) })
		check("host document", func() any { return new(hostDocument) })
	case PluginHeartbeat:
		if fields["name"] == "" {
			add("name: without it the server ignores the record")
		}
		check("plugin document", func() any { return new(pluginDocument) })
	default:
		add("data type %d is no heartbeat", dataType)
	}
	return problems
}
