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

// The numbers of records and tasks are agreed with the server: choose your own.
const (
	aliveType  = 7300
	resultType = 5100
)

func main() {
	client, err := plugin.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	err = run(client)
	if closeErr := client.Close(); err == nil {
		err = closeErr
	}
	if err != nil && !errors.Is(err, plugin.ErrAgentGone) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(client *plugin.Client) error {
	next := time.Now()
	for {
		task, err := client.ReceiveTimeout(time.Until(next))
		switch {
		case err == nil:
			_, err = client.Send(resultType, func(f *plugin.Fields) {
				f.Add("token", task.Token)
				f.Add("status", "succeed")
				f.Add("msg", task.Data)
			})
		case errors.Is(err, plugin.ErrTimeout):
			next = time.Now().Add(10 * time.Second)
			_, err = client.Send(aliveType, func(f *plugin.Fields) {
				f.AddInt("pid", int64(os.Getpid()))
			})
		case errors.Is(err, plugin.ErrMalformedTask):
			client.Log().Warningf("%v", err)
			err = nil
		case err == io.EOF:
			return nil // The agent has ended, or wants the plugin to end.
		}
		if err != nil {
			return err
		}
	}
}
