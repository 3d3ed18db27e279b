// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// Program probe is a plugin that tests drive by lines on its standard input.
package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"elkeid/plugin"
)

func main() {
	options, commandFile, err := parseArguments(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(2)
	}
	p := &probe{input: os.Stdin, output: os.Stdout}
	// In debug mode the standard streams belong to the library.
	if commandFile != "" {
		p.output = os.Stderr
	}
	p.client, err = plugin.Open(options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		p.print("error %s", kind(err))
		os.Exit(1)
	}
	if commandFile != "" {
		p.input, err = os.Open(commandFile)
		if err != nil {
			fmt.Fprintln(os.Stderr, "probe:", err)
			os.Exit(2)
		}
	}
	p.print("ready")
	p.run()
}

func parseArguments(arguments []string) (options []plugin.Option, commandFile string, err error) {
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		number, numberErr := strconv.Atoi(value)
		var option plugin.Option
		switch name {
		case "policy":
			numberErr = nil
			switch value {
			case "block":
				option = plugin.WithPolicy(plugin.Block)
			case "drop":
				option = plugin.WithPolicy(plugin.DropNewest)
			}
		case "buffer":
			option = plugin.WithBufferSize(number)
		case "flush":
			option = plugin.WithFlushInterval(time.Duration(number) * time.Millisecond)
		case "record-limit":
			option = plugin.WithMaxRecordSize(number)
		case "task-limit":
			option = plugin.WithMaxTaskSize(number)
		case "close-timeout":
			option = plugin.WithCloseTimeout(time.Duration(number) * time.Millisecond)
		case "sigterm":
			numberErr = nil
			if value == "on" || value == "off" {
				option = plugin.WithSignals(value == "on")
			}
		case "fds":
			var descriptors plugin.Descriptors
			descriptors, numberErr = parseDescriptors(value)
			option = plugin.WithDescriptors(descriptors)
		case "commands":
			commandFile = value
			continue
		}
		if option == nil || numberErr != nil {
			return nil, "", fmt.Errorf("unknown argument %q", argument)
		}
		options = append(options, option)
	}
	return options, commandFile, nil
}

func parseDescriptors(list string) (descriptors plugin.Descriptors, err error) {
	places := []*int{&descriptors.Tasks, &descriptors.Records, &descriptors.HighPriority}
	parts := strings.Split(list, ",")
	if len(parts) < 2 || len(parts) > 3 {
		return descriptors, errors.New("two or three descriptors are needed")
	}
	for i, part := range parts {
		if *places[i], err = strconv.Atoi(part); err != nil {
			return descriptors, err
		}
	}
	return descriptors, nil
}

// kind is the name of an error that the probes of all languages use.
func kind(err error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{plugin.ErrDescriptorNotOpen, "descriptor-not-open"},
		{plugin.ErrDescriptorUnusable, "descriptor-unusable"},
		{plugin.ErrAgentGone, "agent-gone"},
		{plugin.ErrClosed, "closed"},
		{plugin.ErrIncompleteTask, "incomplete-task"},
		{plugin.ErrTaskTooLarge, "task-too-large"},
		{plugin.ErrMalformedTask, "malformed-task"},
		{plugin.ErrRecordTooLarge, "record-too-large"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return "system"
}

type probe struct {
	client *plugin.Client
	input  *os.File
	output *os.File
	reader *bufio.Reader
}

func (p *probe) print(format string, arguments ...any) {
	fmt.Fprintf(p.output, format+"\n", arguments...)
}

// line returns the words of the next command, and false at the end of the input.
func (p *probe) line() (words []string, text string, ok bool) {
	text, err := p.reader.ReadString('\n')
	if err != nil && text == "" {
		return nil, "", false
	}
	text = strings.TrimSuffix(text, "\n")
	return strings.Fields(text), text, true
}

func (p *probe) run() {
	p.reader = bufio.NewReaderSize(p.input, 64<<10)
	for {
		words, text, ok := p.line()
		if !ok {
			return
		}
		if len(words) == 0 {
			continue
		}
		if words[0] == "exit" {
			return
		}
		if err := p.do(words, text); err != nil {
			fmt.Fprintf(os.Stderr, "probe: the command %.200q is not possible: %v\n", text, err)
			os.Exit(2)
		}
	}
}

// do carries out a command. The error is one of the command, not of the library.
func (p *probe) do(words []string, text string) error {
	arguments := newArguments(words)
	switch words[0] {
	case "record":
		return p.record(arguments)
	case "repeat":
		count, dataType, size := arguments.number(), arguments.number(), arguments.number()
		priority := arguments.priority()
		if arguments.err == nil {
			p.repeat(count, int32(dataType), size, priority)
		}
	case "many":
		count, dataType := arguments.number(), arguments.number()
		if arguments.err == nil {
			p.many(count, int32(dataType))
		}
	case "raw":
		content, priority := arguments.bytes(), arguments.priority()
		if arguments.err == nil {
			p.printSent(p.client.SendRaw(content, priority))
		}
	case "threads":
		threads, count, dataType := arguments.number(), arguments.number(), arguments.number()
		if arguments.err == nil {
			p.threads(threads, count, int32(dataType))
		}
	case "flush":
		p.printDone(p.client.Flush())
	case "close":
		if err := p.client.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "probe: close:", err)
		}
		p.print("ok")
	case "receive":
		if len(words) == 1 {
			p.printTask(p.client.Receive())
			return nil
		}
		timeout := arguments.number()
		if arguments.err == nil {
			p.printTask(p.client.ReceiveTimeout(time.Duration(timeout) * time.Millisecond))
		}
	case "receive-all":
		for {
			task, err := p.client.Receive()
			p.printTask(task, err)
			if err != nil && !errors.Is(err, plugin.ErrMalformedTask) && !errors.Is(err, plugin.ErrIncompleteTask) {
				return nil
			}
		}
	case "dropped":
		p.print("%d", p.client.Dropped())
	case "log":
		return p.log(words, text)
	case "sleep":
		milliseconds := arguments.number()
		time.Sleep(time.Duration(milliseconds) * time.Millisecond)
		p.print("ok")
	default:
		return errors.New("it is unknown")
	}
	return arguments.err
}

func (p *probe) record(arguments *arguments) error {
	record := plugin.Record{DataType: int32(arguments.number())}
	// The nanosecond tells every second from the zero Time, which stands for now.
	record.Time = time.Unix(int64(arguments.number()), 1)
	record.Priority = arguments.priority()
	if arguments.err != nil {
		return arguments.err
	}
	for {
		words, _, ok := p.line()
		if !ok || len(words) == 0 {
			return errors.New("send is missing")
		}
		if words[0] == "send" {
			p.printSent(p.client.SendRecord(record))
			return nil
		}
		field := newArguments(words)
		key, value := field.bytes(), field.bytes()
		if words[0] != "field" || field.err != nil {
			return fmt.Errorf("%q is not a field", words)
		}
		record.List = append(record.List, plugin.Field{Key: string(key), Value: string(value)})
	}
}

func (p *probe) repeat(count int, dataType int32, size int, priority plugin.Priority) {
	padding := strings.Repeat("x", size)
	sent, dropped := 0, 0
	for i := 0; i < count; i++ {
		isSent, err := p.client.SendRecord(plugin.Record{
			DataType: dataType, Time: time.Unix(1, 0), Priority: priority,
			Build: func(f *plugin.Fields) {
				f.AddInt("n", int64(i))
				f.Add("pad", padding)
			},
		})
		if err != nil {
			p.print("error %s", kind(err))
			return
		}
		if isSent {
			sent++
		} else {
			dropped++
		}
	}
	p.print("sent %d dropped %d", sent, dropped)
}

func (p *probe) many(count int, dataType int32) {
	records := make([]plugin.Record, count)
	for i := range records {
		records[i] = plugin.Record{
			DataType: dataType, Time: time.Unix(1, 0),
			List: []plugin.Field{{Key: "n", Value: strconv.Itoa(i)}},
		}
	}
	sent, err := p.client.SendRecords(records)
	if err != nil {
		p.print("error %s", kind(err))
		return
	}
	p.print("sent %d dropped %d", sent, count-sent)
}

func (p *probe) threads(threads, count int, dataType int32) {
	var group sync.WaitGroup
	var mutex sync.Mutex
	sent, dropped := 0, 0
	var failure error
	for thread := 0; thread < threads; thread++ {
		group.Add(1)
		go func(thread int) {
			defer group.Done()
			for n := 0; n < count; n++ {
				isSent, err := p.client.Send(dataType, func(f *plugin.Fields) {
					f.AddInt("thread", int64(thread))
					f.AddInt("n", int64(n))
				})
				mutex.Lock()
				switch {
				case err != nil:
					failure = err
				case isSent:
					sent++
				default:
					dropped++
				}
				mutex.Unlock()
				if err != nil {
					return
				}
			}
		}(thread)
	}
	group.Wait()
	if failure != nil {
		p.print("error %s", kind(failure))
		return
	}
	p.print("sent %d dropped %d", sent, dropped)
}

func (p *probe) log(words []string, text string) error {
	levels := map[string]plugin.Level{
		"debug": plugin.LevelDebug, "info": plugin.LevelInfo, "warn": plugin.LevelWarning,
		"warning": plugin.LevelWarning, "error": plugin.LevelError,
	}
	parts := strings.SplitN(text, " ", 3)
	if len(words) < 2 || len(parts) < 2 {
		return errors.New("the level is missing")
	}
	level, ok := levels[parts[1]]
	if !ok {
		return errors.New("the level is unknown")
	}
	message := ""
	if len(parts) == 3 {
		message = parts[2]
	}
	p.client.Log().Logf(level, "%s", message)
	p.print("ok")
	return nil
}

func (p *probe) printSent(isSent bool, err error) {
	switch {
	case err != nil:
		p.print("error %s", kind(err))
	case isSent:
		p.print("sent")
	default:
		p.print("dropped")
	}
}

func (p *probe) printDone(err error) {
	if err != nil {
		p.print("error %s", kind(err))
		return
	}
	p.print("ok")
}

func (p *probe) printTask(task plugin.Task, err error) {
	switch {
	case err == nil:
		p.print("task %d %s %s %s", task.DataType, hexOf(task.ObjectName), hexOf(task.Data), hexOf(task.Token))
	case err == io.EOF:
		p.print("end")
	case errors.Is(err, plugin.ErrTimeout):
		p.print("timeout")
	default:
		fmt.Fprintln(os.Stderr, "probe: receive:", err)
		p.print("error %s", kind(err))
	}
}

func hexOf(text string) string {
	if text == "" {
		return "-"
	}
	return hex.EncodeToString([]byte(text))
}
