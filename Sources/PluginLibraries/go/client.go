// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Client is a plugin's connection with the agent that started it. See Open.
type Client struct {
	options options
	tasks   *receiver
	records *recordPipe
	// highPriority is records when the agent offers no pipe of its own.
	highPriority *recordPipe
	logger       Logger
	isDebug      bool

	closing     sync.Once
	isClosed    chan struct{}
	signalsDone chan struct{}
}

// Open takes over the pipes that the program has inherited from the agent (descriptors 3, 4, and 5 if
// ELKEID_PLUGIN_HIGH_PRIORITY_PIPE is set), and catches SIGTERM. They are closed by Close.
//
// The errors are ErrDescriptorNotOpen or ErrDescriptorUnusable when the program was not started by an agent,
// ErrInvalidOption, or a failure of the system.
func Open(changes ...Option) (*Client, error) {
	o := defaultOptions()
	for _, change := range changes {
		change(&o)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Client{options: o, isClosed: make(chan struct{}), signalsDone: make(chan struct{})}
	c.logger = Logger{client: c, level: o.logLevel, recordLevel: o.logRecordLevel}
	c.isDebug = wantsDebugMode(&o)
	if c.isDebug {
		c.openDebugMode()
	} else if err := c.openPipes(); err != nil {
		return nil, err
	}
	if o.signals {
		c.catchSignals()
	} else {
		close(c.signalsDone)
	}
	return c, nil
}

func (c *Client) openDebugMode() {
	c.tasks = newReceiver(newStandardInput(), &taskLines{limit: c.options.maxTaskSize})
	c.records = openLinePrinter(&c.options)
	c.highPriority = c.records
	if isTerminal(2) {
		_ = writeStandardStream(2, []byte(debugBanner))
	}
}

func (c *Client) openPipes() error {
	descriptors := inheritedDescriptors()
	if c.options.descriptors != nil {
		descriptors = *c.options.descriptors
	} else if startedWithoutPipes {
		return errorOf(ErrDescriptorNotOpen, "descriptor 3 is not open: %s", startHint)
	}
	if err := descriptors.check(); err != nil {
		return err
	}
	input, err := openPipeInput(descriptors.Tasks)
	if err != nil {
		return err
	}
	c.tasks = newReceiver(input, &taskFrames{limit: c.options.maxTaskSize})
	c.records, err = openRecordPipe(descriptors.Records, &c.options)
	if err != nil {
		_ = c.tasks.close()
		return err
	}
	c.highPriority = c.records
	if descriptors.HighPriority != 0 {
		c.highPriority, err = openRecordPipe(descriptors.HighPriority, &c.options)
		if err != nil {
			_ = c.tasks.close()
			_ = c.records.close(0)
			return err
		}
	}
	return nil
}

// catchSignals makes the first SIGTERM end receiving. After that the signal does again what it did before.
func (c *Client) catchSignals() {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGTERM)
	if c.isDebug {
		signal.Notify(caught, syscall.SIGINT)
	}
	go func() {
		defer close(c.signalsDone)
		select {
		case <-caught:
			signal.Stop(caught)
			c.tasks.end()
		case <-c.isClosed:
			signal.Stop(caught)
		}
		select {
		case second := <-caught:
			// It came before Stop, and would have had its effect after it.
			_ = syscall.Kill(os.Getpid(), second.(syscall.Signal))
		default:
		}
	}()
}

// Debug says whether the client is in debug mode: records are printed, and tasks typed.
func (c *Client) Debug() bool { return c.isDebug }

// Log returns the logger of this client.
func (c *Client) Log() *Logger { return &c.logger }

// Send sends a record with the time of now and normal priority, whose fields build adds: they are encoded straight into
// the write buffer.
//
// build runs while the buffer is locked: gather what takes time before, and do not use the client inside of it, which
// would wait for itself. If it panics nothing is sent.
//
// isSent is false if the record was dropped (DropNewest, the agent does not read) or if there is an error: ErrAgentGone
// once the agent does not read any more (also when an earlier write in the background found out), ErrRecordTooLarge,
// ErrClosed, or an *os.SyscallError.
func (c *Client) Send(dataType int32, build func(*Fields)) (isSent bool, err error) {
	return c.records.send(dataType, time.Now().Unix(), false, build)
}

// SendHigh is Send with high priority.
func (c *Client) SendHigh(dataType int32, build func(*Fields)) (isSent bool, err error) {
	return c.highPriority.send(dataType, time.Now().Unix(), true, build)
}

// SendMap sends a record with the time of now, normal priority and these fields. See Send.
func (c *Client) SendMap(dataType int32, fields map[string]string) (isSent bool, err error) {
	return c.SendRecord(Record{DataType: dataType, Map: fields})
}

// SendRecord sends a record with a time and priority of its own. See Send.
func (c *Client) SendRecord(record Record) (isSent bool, err error) {
	records := [1]Record{record}
	sent, err := c.pipe(record.Priority).sendRecords(records[:])
	return sent == 1, err
}

// SendRecords sends records without any others between those of one priority. It stops at the first error; those
// before it stay sent. sent counts them without those that were dropped. See Send.
func (c *Client) SendRecords(records []Record) (sent int, err error) {
	for len(records) > 0 && err == nil {
		count := 1
		for count < len(records) && records[count].Priority == records[0].Priority {
			count++
		}
		var part int
		part, err = c.pipe(records[0].Priority).sendRecords(records[:count])
		sent += part
		records = records[count:]
	}
	return sent, err
}

// SendRaw sends a Record message that is already encoded; its length is added. It is not checked. See Send.
func (c *Client) SendRaw(record []byte, priority Priority) (isSent bool, err error) {
	return c.pipe(priority).sendRaw(record, priority == High)
}

func (c *Client) pipe(priority Priority) *recordPipe {
	if priority == High {
		return c.highPriority
	}
	return c.records
}

// Dropped returns how many records have been dropped so far, at all priorities.
func (c *Client) Dropped() uint64 {
	dropped := atomic.LoadUint64(&c.records.dropped)
	if c.highPriority != c.records {
		dropped += atomic.LoadUint64(&c.highPriority.dropped)
	}
	return dropped
}

// Flush writes all buffered records now. It returns when the pipes have taken them, under both policies.
func (c *Client) Flush() error {
	var err error
	if c.highPriority != c.records {
		err = c.highPriority.flush()
	}
	if other := c.records.flush(); err == nil {
		err = other
	}
	return err
}

// Close writes all buffered records and closes the pipes, which tells the agent that no more will come. It waits for
// the agent to read, under DropNewest for at most the close timeout: what is left then counts as dropped. The error is
// that due to which records were lost. Later calls do nothing; other methods return ErrClosed from now on, also a
// receive that is waiting.
func (c *Client) Close() error {
	var err error
	c.closing.Do(func() {
		timeout := c.options.closeTimeout
		highPriority := make(chan error, 1)
		if c.highPriority != c.records {
			go func() { highPriority <- c.highPriority.close(timeout) }()
		} else {
			highPriority <- nil
		}
		err = c.records.close(timeout)
		if other := <-highPriority; err == nil {
			err = other
		}
		if other := c.tasks.close(); err == nil {
			err = other
		}
		close(c.isClosed)
		<-c.signalsDone
	})
	return err
}

// Receive waits for the next task.
//
// It returns io.EOF when the agent has ended, or wants the plugin to end: flush, close and exit. Other errors are
// ErrMalformedTask (the next call goes on behind it), ErrTaskTooLarge (for ever), ErrIncompleteTask (the next call
// returns io.EOF), ErrClosed, or an *os.SyscallError. A goroutine that comes while another one waits here waits for
// that one first.
func (c *Client) Receive() (Task, error) {
	return c.tasks.receive(nil, time.Time{})
}

// ReceiveTimeout is Receive for at most this long; 0 or less takes only a task that is there. Then the error is
// ErrTimeout. A task that has arrived in part is kept for the next call.
func (c *Client) ReceiveTimeout(timeout time.Duration) (Task, error) {
	return c.tasks.receive(nil, time.Now().Add(timeout))
}

// ReceiveContext is Receive until the context is done; then the error is that of the context. A task that has arrived
// in part is kept for the next call.
func (c *Client) ReceiveContext(ctx context.Context) (Task, error) {
	return c.tasks.receive(ctx, time.Time{})
}
