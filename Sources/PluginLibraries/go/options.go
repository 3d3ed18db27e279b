// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import "time"

// Policy says what sending does while the agent does not read and the buffer is full.
type Policy int

const (
	// Block waits until the agent reads: that is how it slows down a plugin that is too fast. Nothing is lost.
	Block Policy = iota
	// DropNewest drops the new record, counts it (Client.Dropped) and does not wait.
	DropNewest
)

// Descriptors are the pipes between the agent and a plugin.
type Descriptors struct {
	// Tasks is read; 3 in a plugin that an agent started.
	Tasks int
	// Records is written; 4 in a plugin that an agent started.
	Records int
	// HighPriority is written; 5 if the agent offers it. 0 stands for none: such records go to Records.
	HighPriority int
}

// Option changes a limit or a time of a client. The defaults are those of the agent's contract.
type Option func(*options)

type options struct {
	bufferSize     int
	flushInterval  time.Duration
	maxRecordSize  int
	maxTaskSize    int
	policy         Policy
	closeTimeout   time.Duration
	signals        bool
	logLevel       Level
	logRecordLevel Level
	descriptors    *Descriptors
}

func defaultOptions() options {
	return options{
		bufferSize:     512 << 10,
		flushInterval:  200 * time.Millisecond,
		maxRecordSize:  8 << 20,
		maxTaskSize:    1 << 20,
		closeTimeout:   2 * time.Second,
		signals:        true,
		logLevel:       LevelInfo,
		logRecordLevel: LevelError,
	}
}

func (o *options) check() error {
	for _, number := range []struct {
		option string
		value  int64
	}{
		{"WithBufferSize", int64(o.bufferSize)},
		{"WithFlushInterval", int64(o.flushInterval)},
		{"WithMaxRecordSize", int64(o.maxRecordSize)},
		{"WithMaxTaskSize", int64(o.maxTaskSize)},
		{"WithCloseTimeout", int64(o.closeTimeout)},
	} {
		if number.value < 0 {
			return errorOf(ErrInvalidOption, "%s is %d: give 0 or more", number.option, number.value)
		}
	}
	if o.policy != Block && o.policy != DropNewest {
		return errorOf(ErrInvalidOption, "WithPolicy is %d: give Block or DropNewest", o.policy)
	}
	return nil
}

// WithBufferSize sets how many bytes of records gather for a pipe before they are written (512 KiB). A record that is
// larger is accepted as well.
func WithBufferSize(bytes int) Option { return func(o *options) { o.bufferSize = bytes } }

// WithFlushInterval sets after what time at the latest a record is written (200 ms).
func WithFlushInterval(interval time.Duration) Option {
	return func(o *options) { o.flushInterval = interval }
}

// WithMaxRecordSize sets how many bytes an encoded record may have (8 MiB). The agent takes a longer one than that for
// a broken stream and stops the plugin.
func WithMaxRecordSize(bytes int) Option { return func(o *options) { o.maxRecordSize = bytes } }

// WithMaxTaskSize sets how many bytes an encoded task may have (1 MiB).
func WithMaxTaskSize(bytes int) Option { return func(o *options) { o.maxTaskSize = bytes } }

// WithPolicy sets what sending does while the agent does not read (Block). In debug mode it is always Block.
func WithPolicy(policy Policy) Option { return func(o *options) { o.policy = policy } }

// WithCloseTimeout sets how long Close waits for the agent to read under DropNewest (2 s). Under Block it waits as long
// as it takes.
func WithCloseTimeout(timeout time.Duration) Option {
	return func(o *options) { o.closeTimeout = timeout }
}

// WithSignals says whether the client catches SIGTERM (true). The first one makes receiving return io.EOF, so that the
// plugin can flush, close and exit; the second one kills the process. SIGINT does the same in debug mode.
func WithSignals(catch bool) Option { return func(o *options) { o.signals = catch } }

// WithLogLevel sets the lowest level of log lines on the standard error (LevelInfo).
func WithLogLevel(level Level) Option { return func(o *options) { o.logLevel = level } }

// WithLogRecordLevel sets the lowest level of log lines that are sent to the server too (LevelError).
func WithLogRecordLevel(level Level) Option { return func(o *options) { o.logRecordLevel = level } }

// WithDescriptors uses these pipes instead of the inherited ones. The client owns them if Open succeeds.
func WithDescriptors(descriptors Descriptors) Option {
	return func(o *options) { o.descriptors = &descriptors }
}
