// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// Package plugin (import it as elkeid/plugin) connects a plugin with the Elkeid agent that started it.
//
// A plugin is a child process of the agent. It sends records (a data type, a time and text fields) and receives
// tasks. A complete one:
//
//	client, err := plugin.Open()
//	if err != nil {
//		fmt.Fprintln(os.Stderr, err)
//		os.Exit(1)
//	}
//	defer client.Close()
//	client.Send(7001, func(f *plugin.Fields) {
//		f.AddInt("pid", int64(os.Getpid()))
//		f.Add("message", "hello")
//	})
//	for {
//		task, err := client.Receive()
//		if err == io.EOF {
//			return // the agent wants the plugin to end
//		}
//		...
//	}
//
// Records are buffered and written when 512 KiB have gathered, at the latest 200 ms after they were sent, and by
// Flush and Close. While nothing is buffered nothing wakes up. Sending allocates no memory.
//
// A plugin that is started in a terminal, or with the environment variable ELKEID_PLUGIN_DEBUG=1, is in debug mode:
// records are printed as lines of JSON on the standard output, and lines "DATA_TYPE DATA" on the standard input are
// tasks.
//
// All methods may be called from any goroutine. Linux only.
package plugin
