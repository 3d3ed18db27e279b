// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Level is how much a log line matters.
type Level int

// The levels, from the least.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarning
	LevelError
)

// String returns DEBUG, INFO, WARN or ERROR.
func (l Level) String() string {
	switch {
	case l <= LevelDebug:
		return "DEBUG"
	case l == LevelInfo:
		return "INFO"
	case l == LevelWarning:
		return "WARN"
	default:
		return "ERROR"
	}
}

// logDataType is the record of a log line of a Go plugin, as servers know it.
const logDataType = 1011

// Logger writes log lines to the standard error, which the agent keeps in a file, and sends those that matter to the
// server. Do not log inside of a function that builds a record: it would wait for itself.
type Logger struct {
	client             *Client
	level, recordLevel Level
	cannotSend         sync.Once
}

// Debugf logs at LevelDebug; the arguments are those of fmt.Printf.
func (l *Logger) Debugf(format string, arguments ...any) { l.output(LevelDebug, format, arguments...) }

// Infof logs at LevelInfo.
func (l *Logger) Infof(format string, arguments ...any) { l.output(LevelInfo, format, arguments...) }

// Warningf logs at LevelWarning.
func (l *Logger) Warningf(format string, arguments ...any) {
	l.output(LevelWarning, format, arguments...)
}

// Errorf logs at LevelError.
func (l *Logger) Errorf(format string, arguments ...any) { l.output(LevelError, format, arguments...) }

// Logf logs at this level.
func (l *Logger) Logf(level Level, format string, arguments ...any) {
	l.output(level, format, arguments...)
}

func (l *Logger) output(level Level, format string, arguments ...any) {
	if level < l.level && level < l.recordLevel {
		return
	}
	source := "unknown:0"
	// 0 is this function, 1 the method that was called, 2 the plugin.
	if _, file, line, ok := runtime.Caller(2); ok {
		source = filepath.Base(file) + ":" + strconv.Itoa(line)
	}
	message := fmt.Sprintf(format, arguments...)
	if level >= l.level {
		writeLogLine(level, source, message)
	}
	if level < l.recordLevel {
		return
	}
	isSent, err := l.client.Send(logDataType, func(f *Fields) {
		f.Add("level", strings.ToLower(level.String()))
		f.Add("source", source)
		f.Add("msg", message)
	})
	if err == nil && isSent {
		return
	}
	l.cannotSend.Do(func() {
		reason := "it was dropped, as the agent does not read"
		if err != nil {
			reason = err.Error()
		}
		writeLogLine(LevelWarning, source,
			"this log line, and maybe later ones, could not be sent to the server: "+reason)
	})
}

// writeLogLine ignores errors: there is no other place to report them to.
func writeLogLine(level Level, source, message string) {
	line := time.Now().UTC().Format("2006-01-02T15:04:05Z") + " " + level.String() + " " + source + " " +
		strings.TrimSuffix(message, "\n") + "\n"
	_ = writeStandardStream(2, []byte(line))
}
