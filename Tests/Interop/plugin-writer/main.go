// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// plugin-writer is a plugin for tests: it writes frames straight to its record pipe, legal, odd or broken ones, as
// writer.json in its working directory says, and reports in writer-summary.json what it has written.
// See ../README.md.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	taskDescriptor         = 3
	recordDescriptor       = 4
	highPriorityDescriptor = 5
)

type options struct {
	Lane         string  `json:"lane"`
	DataType     int32   `json:"data_type"`
	RecordSize   int     `json:"record_size"`
	Rate         float64 `json:"rate"`
	Count        uint64  `json:"count"`
	Seconds      float64 `json:"seconds"`
	Chunk        int     `json:"chunk"`
	Seed         int64   `json:"seed"`
	Mode         string  `json:"mode"`
	Every        uint64  `json:"every"`
	HugeLength   uint32  `json:"huge_length"`
	HighPriority uint64  `json:"high_priority_every"`
	Stderr       string  `json:"stderr"`
	ExitCode     int     `json:"exit_code"`
	ExitDelayMS  int     `json:"exit_delay_ms"`
	Burn         int     `json:"burn"`
	FileRate     int     `json:"file_rate"`
}

var modes = []string{
	"normal", "odd", "malformed", "huge-length", "half-frame", "crash", "echo-tasks", "ignore-term", "ignore-eof",
	"grandchild",
}

func (o *options) has(mode string) bool {
	for _, part := range strings.Split(o.Mode, ",") {
		if part == mode {
			return true
		}
	}
	return false
}

// summary is writer-summary.json. It is written when the count is done and again at the end.
type summary struct {
	Lane      string `json:"lane"`
	PID       int    `json:"pid"`
	Records   uint64 `json:"records"`
	Untracked uint64 `json:"untracked"`
	Bytes     uint64 `json:"bytes"`
	Malformed uint64 `json:"malformed"`
	// Lanes has the records by lane, for modes that use more than one.
	Lanes   map[string]uint64 `json:"lanes"`
	Tasks   uint64            `json:"tasks"`
	Seconds float64           `json:"seconds"`
	Error   string            `json:"error,omitempty"`
	Done    bool              `json:"done"`
	Ended   bool              `json:"ended"`
}

// launch is writer-launch.json: what the process found when it started.
type launch struct {
	Arguments    []string          `json:"argv"`
	Directory    string            `json:"cwd"`
	Environment  []string          `json:"env"`
	Descriptors  map[string]string `json:"descriptors"`
	Nonblocking  []string          `json:"nonblocking"`
	PID          int               `json:"pid"`
	ParentPID    int               `json:"ppid"`
	ProcessGroup int               `json:"pgid"`
	Umask        string            `json:"umask"`
	SignalMask   string            `json:"signals_blocked"`
	OpenFiles    [2]uint64         `json:"rlimit_nofile"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "plugin-writer:", err)
		os.Exit(1)
	}
}

func run() error {
	if err := writeJSON("writer-launch.json", observeLaunch()); err != nil {
		return err
	}
	o, err := readOptions()
	if err != nil {
		return err
	}
	if o.Stderr != "" {
		fmt.Fprint(os.Stderr, o.Stderr)
	}
	if o.has("ignore-term") {
		signal.Ignore(syscall.SIGTERM)
	}
	if o.has("grandchild") {
		// It holds the record pipe open after this process has ended.
		child := exec.Command("/bin/sleep", "30")
		// A copy, since the garbage collector closes what an os.File owns.
		copied, err := syscall.Dup(recordDescriptor)
		if err != nil {
			return err
		}
		records := os.NewFile(uintptr(copied), "records")
		child.ExtraFiles = []*os.File{nil, records}
		if err := child.Start(); err != nil {
			return err
		}
		records.Close()
	}
	var stopping flag
	w := newWriter(o)
	ended := make(chan error, 1)
	go func() {
		err := readTasks(func(t task) error {
			atomic.AddUint64(&w.tasks, 1)
			if o.has("echo-tasks") {
				return w.echo(t)
			}
			return nil
		})
		if !o.has("ignore-eof") {
			stopping.set()
		}
		ended <- err
	}()

	burn(o.Burn, &stopping)
	if o.FileRate > 0 {
		if err := fillFile(o.FileRate, &stopping); err != nil {
			return err
		}
	}
	result := w.generate(&stopping)
	w.finish(result, false)
	if result == nil && o.has("crash") {
		os.Exit(o.ExitCode)
	}
	err = <-ended
	if o.has("ignore-eof") {
		for {
			time.Sleep(time.Hour)
		}
	}
	time.Sleep(time.Duration(o.ExitDelayMS) * time.Millisecond)
	if result == nil {
		result = err
	}
	w.finish(result, true)
	os.Exit(o.ExitCode)
	return nil
}

func readOptions() (*options, error) {
	text, err := os.ReadFile("writer.json")
	if err != nil {
		return nil, err
	}
	o := &options{DataType: 59, RecordSize: 600, Mode: "normal", Every: 10, HugeLength: 0xfffffff0, Lane: "a"}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(o); err != nil {
		return nil, fmt.Errorf("writer.json: %w", err)
	}
	for _, part := range strings.Split(o.Mode, ",") {
		known := false
		for _, mode := range modes {
			known = known || part == mode
		}
		if !known {
			return nil, fmt.Errorf("writer.json: mode %q is none of %s", part, strings.Join(modes, ", "))
		}
	}
	if o.Every == 0 {
		return nil, fmt.Errorf("writer.json: every must not be 0")
	}
	o.Lane = strings.ReplaceAll(o.Lane, "%p", strconv.Itoa(os.Getpid()))
	return o, nil
}

func observeLaunch() launch {
	l := launch{
		Arguments: os.Args, Environment: os.Environ(), PID: os.Getpid(), ParentPID: os.Getppid(),
		ProcessGroup: syscall.Getpgrp(), Descriptors: make(map[string]string), Nonblocking: []string{},
	}
	l.Directory, _ = os.Getwd()
	// Each number is asked on its own: reading /proc/self/fd as a directory would open descriptors that then show up.
	for fd := 0; fd < 256; fd++ {
		name := strconv.Itoa(fd)
		target, err := os.Readlink("/proc/self/fd/" + name)
		if err != nil || strings.HasPrefix(target, "anon_inode:") {
			continue
		}
		l.Descriptors[name] = target
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
		if errno == 0 && flags&syscall.O_NONBLOCK != 0 {
			l.Nonblocking = append(l.Nonblocking, name)
		}
	}
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok {
			switch key {
			case "Umask":
				l.Umask = strings.TrimSpace(value)
			case "SigBlk":
				l.SignalMask = strings.TrimSpace(value)
			}
		}
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		l.OpenFiles = [2]uint64{limit.Cur, limit.Max}
	}
	return l
}

// writeJSON replaces a file in one step, so that a test never reads half of it.
func writeJSON(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
