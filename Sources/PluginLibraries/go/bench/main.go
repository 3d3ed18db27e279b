// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// Program bench measures what sending a record costs, and what the protobuf libraries take for the same.
// usage: bench RECORDS
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	gogo "elkeid/bench/gogo"
	google "elkeid/bench/google"
	"elkeid/plugin"

	"google.golang.org/protobuf/proto"
)

const (
	dataType   = 7001
	timestamp  = 1700000000
	fieldCount = 30
	bufferSize = 512 << 10
	// readerArgument makes this program the reader of the pipe.
	readerArgument = "--read-to-nowhere"
)

// field is one of the table that the benchmarks of all languages use.
type field struct {
	key, text string
	number    int64
	isNumber  bool
}

func table() []field {
	fields := make([]field, fieldCount)
	for i := range fields {
		f := field{key: fmt.Sprintf("field_%d", i), text: strings.Repeat("v", 1+i*7%14)}
		if i%6 == 0 {
			f.isNumber, f.number = true, int64(i)*1234567
			f.text = strconv.FormatInt(f.number, 10)
		}
		fields[i] = f
	}
	return fields
}

type result struct {
	Library  string  `json:"library"`
	Records  int     `json:"records"`
	Seconds  float64 `json:"seconds"`
	Elapsed  float64 `json:"ns_per_record"`
	Size     float64 `json:"bytes_per_record"`
	CPU      float64 `json:"cpu_ns_per_record"`
	Mallocs  float64 `json:"allocations_per_record"`
	Comments string  `json:"what,omitempty"`
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == readerArgument {
		readToNowhere()
		return
	}
	records := 1000000
	if len(os.Args) > 1 {
		number, err := strconv.Atoi(os.Args[1])
		if err != nil || number < 1 {
			fail(fmt.Errorf("%q is not a number of records: usage: bench RECORDS", os.Args[1]))
		}
		records = number
	}
	fields := table()
	measure("go", "", records, func(pipe *os.File) error { return sendPlugin(pipe, records, fields) })
	measure("gogo/protobuf", "encodes one ready message", records, func(pipe *os.File) error {
		message := gogoRecord(fields)
		return sendMessages(pipe, records, func(b []byte) ([]byte, error) { return appendGogo(b, message) })
	})
	measure("gogo/protobuf", "makes and encodes a message", records, func(pipe *os.File) error {
		return sendMessages(pipe, records, func(b []byte) ([]byte, error) { return appendGogo(b, gogoRecord(fields)) })
	})
	measure("google.golang.org/protobuf", "encodes one ready message", records, func(pipe *os.File) error {
		message := googleRecord(fields)
		return sendMessages(pipe, records, func(b []byte) ([]byte, error) {
			return proto.MarshalOptions{}.MarshalAppend(b, message)
		})
	})
	measure("google.golang.org/protobuf", "makes and encodes a message", records, func(pipe *os.File) error {
		return sendMessages(pipe, records, func(b []byte) ([]byte, error) {
			return proto.MarshalOptions{}.MarshalAppend(b, googleRecord(fields))
		})
	})
}

func sendPlugin(pipe *os.File, records int, fields []field) error {
	tasks, agent, err := os.Pipe()
	if err != nil {
		return err
	}
	defer agent.Close()
	// The client closes what it is given.
	taskCopy, err := syscall.Dup(int(tasks.Fd()))
	if err != nil {
		return err
	}
	tasks.Close()
	recordCopy, err := syscall.Dup(int(pipe.Fd()))
	if err != nil {
		return err
	}
	client, err := plugin.Open(plugin.WithSignals(false),
		plugin.WithDescriptors(plugin.Descriptors{Tasks: taskCopy, Records: recordCopy}))
	if err != nil {
		return err
	}
	// As with the others the time is fixed.
	record := plugin.Record{DataType: dataType, Time: time.Unix(timestamp, 0), Build: func(f *plugin.Fields) {
		for i := range fields {
			if fields[i].isNumber {
				f.AddInt(fields[i].key, fields[i].number)
			} else {
				f.Add(fields[i].key, fields[i].text)
			}
		}
	}}
	for i := 0; i < records; i++ {
		if _, err := client.SendRecord(record); err != nil {
			return err
		}
	}
	return client.Close()
}

// sendMessages frames what encode appends, as a library on top of protobuf would.
func sendMessages(pipe *os.File, records int, encode func([]byte) ([]byte, error)) error {
	writer := bufio.NewWriterSize(pipe, bufferSize)
	scratch := make([]byte, 0, 4096)
	for i := 0; i < records; i++ {
		frame, err := encode(scratch[:4])
		if err != nil {
			return err
		}
		binary.LittleEndian.PutUint32(frame, uint32(len(frame)-4))
		if _, err := writer.Write(frame); err != nil {
			return err
		}
	}
	return writer.Flush()
}

func gogoRecord(fields []field) *gogo.Record {
	values := make(map[string]string, len(fields))
	for i := range fields {
		values[fields[i].key] = fields[i].value()
	}
	return &gogo.Record{DataType: dataType, Timestamp: timestamp, Data: &gogo.Payload{Fields: values}}
}

func appendGogo(b []byte, message *gogo.Record) ([]byte, error) {
	size := message.Size()
	n, err := message.MarshalToSizedBuffer(b[len(b) : len(b)+size])
	return b[:len(b)+n], err
}

func googleRecord(fields []field) *google.Record {
	values := make(map[string]string, len(fields))
	for i := range fields {
		values[fields[i].key] = fields[i].value()
	}
	return &google.Record{DataType: dataType, Timestamp: timestamp, Data: &google.Payload{Fields: values}}
}

// value makes text of a number, as every record of a plugin has other ones.
func (f *field) value() string {
	if f.isNumber {
		return strconv.FormatInt(f.number, 10)
	}
	return f.text
}

// measure runs send with a pipe that a child reads, and prints a line of JSON.
func measure(library, what string, records int, send func(*os.File) error) {
	reading, writing, err := os.Pipe()
	if err != nil {
		fail(err)
	}
	child := exec.Command("/proc/self/exe", readerArgument)
	child.Stdin = reading
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err != nil {
		fail(err)
	}
	if err := child.Start(); err != nil {
		fail(err)
	}
	reading.Close()

	// The runtime's descriptor is in non-blocking mode; a plugin's is not.
	writing.Fd()
	mallocs := allocations()
	start, startCPU := time.Now(), processCPU()
	if err := send(writing); err != nil {
		fail(err)
	}
	elapsed, cpu := time.Since(start), processCPU()-startCPU
	mallocs = allocations() - mallocs
	writing.Close()
	var bytes int64
	if _, err := fmt.Fscan(output, &bytes); err != nil {
		fail(err)
	}
	if err := child.Wait(); err != nil {
		fail(err)
	}
	count := float64(records)
	line, err := json.Marshal(result{
		Library: library, Records: records, Seconds: elapsed.Seconds(), Elapsed: float64(elapsed) / count,
		Size: float64(bytes) / count, CPU: float64(cpu) / count, Mallocs: float64(mallocs) / count, Comments: what,
	})
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
}

// readToNowhere reads the standard input as fast as it can, and prints how many bytes came.
func readToNowhere() {
	buffer := make([]byte, 256<<10)
	var total int64
	for {
		n, err := syscall.Read(0, buffer)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			fail(err)
		}
		if n == 0 {
			fmt.Println(total)
			return
		}
		total += int64(n)
	}
}

// processCPU is the time that all threads of this process have used.
func processCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// allocations is how many objects this process has put on the heap.
func allocations() uint64 {
	var statistics runtime.MemStats
	runtime.ReadMemStats(&statistics)
	return statistics.Mallocs
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}
