// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// Program PLUGIN_NAME is a plugin for the Elkeid agent.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"elkeid/plugin"
)

const (
	recordType = 7000 // agree your own numbers with whoever runs the server
	taskType   = 7001
	answerType = 5100 // what servers take as the answer to any task
	interval   = 10 * time.Second
)

func main() {
	client, err := plugin.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	err = run(client)
	if err == nil {
		err = client.Flush() // says whether the last records were taken
	}
	if err != nil && !errors.Is(err, plugin.ErrAgentGone) {
		client.Log().Errorf("PLUGIN_NAME ends: %v", err)
		client.Close() // os.Exit runs no deferred calls
		os.Exit(1)
	}
}

// run looks at the time first, so that many tasks do not hold up a record. It returns nil at the agent's end.
func run(client *plugin.Client) error {
	next := time.Now()
	for {
		now := time.Now()
		if !now.Before(next) {
			if err := sendRecord(client); err != nil {
				return err
			}
			next = next.Add(interval)
			if !next.After(now) {
				next = now.Add(interval) // what a pause has left out is not made up for
			}
			continue
		}
		task, err := client.ReceiveTimeout(next.Sub(now))
		switch {
		case err == nil:
			if err := answer(client, task); err != nil {
				return err
			}
		case errors.Is(err, plugin.ErrTimeout):
		case errors.Is(err, plugin.ErrMalformedTask), errors.Is(err, plugin.ErrIncompleteTask):
			client.Log().Warningf("%v", err) // the next task can be received, or the end
		case err == io.EOF:
			return nil
		default:
			return err
		}
	}
}

func sendRecord(client *plugin.Client) error {
	_, err := client.Send(recordType, func(f *plugin.Fields) { f.AddInt("pid", int64(os.Getpid())) })
	return err
}

// answer answers a task. The server knows by the token which one.
func answer(client *plugin.Client, task plugin.Task) error {
	status, msg := "succeed", task.Data
	if task.DataType != taskType {
		status, msg = "failed", fmt.Sprintf("unknown data type %d", task.DataType)
	}
	_, err := client.Send(answerType, func(f *plugin.Fields) {
		f.Add("token", task.Token)
		f.Add("status", status)
		f.Add("msg", msg)
	})
	return err
}
