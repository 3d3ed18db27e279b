// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package typing

import (
	"strings"
	"testing"
)

func TestNumbers(t *testing.T) {
	for _, text := range []string{"0", "-1", "+7", "1.", ".5", "1e5", "0x1p4", "0X.8P1", "1_000", "0x_1p-2", "1e-999"} {
		if !IsNumber(text) {
			t.Errorf("%q is none", text)
		}
	}
	for _, text := range []string{"", "inf", "+Inf", "nan", "1e999", "0x10", "1.2.3", " 1", "1 ", "６", "infinity"} {
		if IsNumber(text) {
			t.Errorf("%q is a number", text)
		}
	}
}

func TestProblems(t *testing.T) {
	agent := map[string]string{
		"kernel_version": "6.1.0-13-amd64", "arch": "x86_64", "platform_family": "debian", "platform_version": "12.4",
		"pid": "12", "rss": "4096", "nproc": "2", "total_mem": "1", "start_time": "1", "boot_time": "1",
		"cpu": "0.00000000", "load_1": "0.52", "idc": "default", "state_detail": "[]", "host_id": "1234", "dns": "",
		"cpu_name": "8086", "host_model": "1e5", "du": "3", "read_speed": "1.50000000",
	}
	plugin := map[string]string{"name": "driver", "pversion": "1.7", "pid": "1", "rss": "2", "start_time": "3", "cpu": "1"}
	if problems := Problems("id", AgentHeartbeat, agent); len(problems) > 0 {
		t.Error(problems)
	}
	if problems := Problems("id", PluginHeartbeat, plugin); len(problems) > 0 {
		t.Error(problems)
	}
	for _, c := range []struct {
		dataType    int32
		name, value string
		wrong       bool
	}{
		{AgentHeartbeat, "idc", "123", true}, {AgentHeartbeat, "idc", "0x1p4", true},
		{AgentHeartbeat, "idc", "1e5", true}, {AgentHeartbeat, "idc", "inf", false},
		{AgentHeartbeat, "idc", "nan", false}, {AgentHeartbeat, "idc", "1_000", true},
		{AgentHeartbeat, "idc", "0x_1p4", true}, {AgentHeartbeat, "idc", "1e999", false},
		{AgentHeartbeat, "idc", "1__0", false},
		{AgentHeartbeat, "idc", "\xff", true}, {AgentHeartbeat, "region", "7", true},
		{AgentHeartbeat, "kernel_version", "6.12", true}, {AgentHeartbeat, "arch", "386", true},
		{AgentHeartbeat, "platform_family", "5", true}, {AgentHeartbeat, "platform_version", "12", false},
		{AgentHeartbeat, "dns", "1.1", true}, {AgentHeartbeat, "gateway", "1", true},
		{AgentHeartbeat, "state", "0", true}, {AgentHeartbeat, "tags", "a", true},
		{AgentHeartbeat, "tags", "[]", true}, {AgentHeartbeat, "pid", "1.0", true},
		{AgentHeartbeat, "pid", "1e3", true}, {AgentHeartbeat, "pid", "", true}, {AgentHeartbeat, "pid", "-1", false},
		{AgentHeartbeat, "rss", "1.00000000", true}, {AgentHeartbeat, "boot_time", "x", true},
		{AgentHeartbeat, "cpu", "1", false}, {AgentHeartbeat, "cpu", "nan", true}, {AgentHeartbeat, "load_1", "inf", true},
		{AgentHeartbeat, "cpu_usage", "", true}, {AgentHeartbeat, "read_speed", "NaN", true},
		{AgentHeartbeat, "host_serial", "1", false}, {AgentHeartbeat, "du", "12 MB", true},
		{PluginHeartbeat, "name", "", true}, {PluginHeartbeat, "name", "42", true},
		{PluginHeartbeat, "name", "\xff", true}, {PluginHeartbeat, "pversion", "2", false},
		{PluginHeartbeat, "pid", "1.0", true}, {PluginHeartbeat, "rss", "0x1p4", true},
		{PluginHeartbeat, "start_time", "1.5", true}, {PluginHeartbeat, "cpu", "-nan", true},
	} {
		fields := map[string]string{}
		base := agent
		if c.dataType == PluginHeartbeat {
			base = plugin
		}
		for name, value := range base {
			fields[name] = value
		}
		fields[c.name] = c.value
		problems := Problems("id", c.dataType, fields)
		named := false
		for _, problem := range problems {
			named = named || strings.Contains(problem, c.name)
		}
		if named != c.wrong || (len(problems) > 0) != c.wrong {
			t.Errorf("%d %s = %q: %q", c.dataType, c.name, c.value, problems)
		}
	}
	if len(Problems("\xff", AgentHeartbeat, agent)) == 0 || len(Problems("id", 5050, agent)) == 0 {
		t.Error("agent id or data type")
	}
}
