// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// Program loadavg is an example of a plugin: it reports how busy the host is, and answers two tasks.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"elkeid/plugin"
)

// The data types of records and tasks are numbers that the plugin and the server agree on.
const (
	loadType     = 7200 // record: how busy the host is
	echoType     = 7201 // task: send the data back
	intervalType = 7202 // task: send records more or less often
	endType      = 7203 // record: the last one
	resultType   = 5100 // record: the result of a task that has no type of its own
)

type loadPlugin struct {
	client   *plugin.Client
	interval time.Duration
	next     time.Time // when the next record is due
	sent     int64     // records of loadType
}

func main() {
	client, err := plugin.Open()
	if err != nil {
		// The error says what to do: a plugin is started by the agent, or by hand with ELKEID_PLUGIN_DEBUG=1.
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	p := &loadPlugin{client: client, interval: time.Second, next: time.Now()}
	err = p.run()
	if errors.Is(err, plugin.ErrAgentGone) {
		return // There is nobody left to work for.
	}
	if err != nil {
		client.Log().Errorf("loadavg ends: %v", err)
		client.Close()
		os.Exit(1)
	}
}

// run does everything in one loop: it waits for a task until the next record is due.
func (p *loadPlugin) run() error {
	for {
		// First the time: many tasks must not keep the records back.
		wait := time.Until(p.next)
		if wait <= 0 {
			if err := p.sendLoad(); err != nil {
				return err
			}
			p.next = time.Now().Add(p.interval)
			continue
		}
		task, err := p.client.ReceiveTimeout(wait)
		switch {
		case err == nil:
			if err := p.handle(task); err != nil {
				return err
			}
		case errors.Is(err, plugin.ErrTimeout):
			// The next record is due.
		case errors.Is(err, plugin.ErrMalformedTask):
			p.client.Log().Warningf("%v", err)
		case err == io.EOF:
			// The agent has ended, or SIGTERM came.
			return p.end()
		default:
			return err
		}
	}
}

// sendLoad sends /proc/loadavg, which looks like "0.10 0.20 0.30 1/234 5678".
func (p *loadPlugin) sendLoad() error {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		p.client.Log().Errorf("the load is not known: %v", err)
		return nil
	}
	parts := strings.Fields(string(content))
	if len(parts) < 4 {
		p.client.Log().Errorf("/proc/loadavg has an unknown format: %q", content)
		return nil
	}
	running, total, _ := strings.Cut(parts[3], "/")
	// The function adds the fields. They go straight into the buffer that is written to the agent.
	_, err = p.client.Send(loadType, func(f *plugin.Fields) {
		f.Add("load_1", parts[0])
		f.Add("load_5", parts[1])
		f.Add("load_15", parts[2])
		f.Add("running", running)
		f.Add("total", total)
	})
	if err == nil {
		p.sent++
	}
	return err
}

func (p *loadPlugin) handle(task plugin.Task) error {
	switch task.DataType {
	case echoType:
		// Somebody waits for this: high priority.
		_, err := p.client.SendHigh(echoType, func(f *plugin.Fields) {
			f.Add("token", task.Token)
			f.Add("status", "succeed")
			f.Add("msg", task.Data)
			f.Add("language", "go")
		})
		return err
	case intervalType:
		milliseconds, err := strconv.Atoi(task.Data)
		if err != nil || milliseconds < 100 || milliseconds > 3600000 {
			return p.sendResult(intervalType, task.Token, "failed",
				fmt.Sprintf("the interval must be 100 to 3600000 milliseconds, not %q", task.Data))
		}
		p.interval = time.Duration(milliseconds) * time.Millisecond
		p.next = time.Now().Add(p.interval)
		return p.sendResult(intervalType, task.Token, "succeed", fmt.Sprintf("interval is %d ms", milliseconds))
	default:
		return p.sendResult(resultType, task.Token, "failed", fmt.Sprintf("unknown data type %d", task.DataType))
	}
}

// sendResult answers a task. The server knows by the token which one.
func (p *loadPlugin) sendResult(dataType int32, token, status, message string) error {
	_, err := p.client.Send(dataType, func(f *plugin.Fields) {
		f.Add("token", token)
		f.Add("status", status)
		f.Add("msg", message)
	})
	return err
}

// end says good-bye. Close would write the last records too; Flush tells whether they were taken.
func (p *loadPlugin) end() error {
	_, err := p.client.Send(endType, func(f *plugin.Fields) { f.AddInt("sent", p.sent) })
	if err != nil {
		return err
	}
	if err := p.client.Flush(); err != nil {
		return err
	}
	return p.client.Close()
}
