// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"math"
	"math/bits"
	"strconv"
	"time"
)

// Priority says which pipe a record takes.
type Priority int

const (
	// Normal is the pipe that every agent has.
	Normal Priority = iota
	// High is the high-priority pipe if the agent offers one, otherwise as Normal. There is no order between the two.
	High
)

// Field is one field of a record. The value is any bytes: it need not be UTF-8.
type Field struct {
	Key, Value string
}

// Record is a record with everything that can be said about it. Its fields are those of List, then those of Map in any
// order, then those that Build adds; any of them may be nil.
type Record struct {
	// DataType is the kind of record, as agreed with the server.
	DataType int32
	// Time is sent in whole seconds since 1970. The zero Time stands for now.
	Time     time.Time
	Priority Priority
	List     []Field
	Map      map[string]string
	// Build adds fields as the function given to Client.Send does, with the same duties.
	Build func(*Fields)
}

// timestamp returns seconds since 1970.
func (r *Record) timestamp() int64 {
	if r.Time.IsZero() {
		return time.Now().Unix()
	}
	return r.Time.Unix()
}

func (r *Record) addTo(f *Fields) {
	for i := range r.List {
		f.Add(r.List[i].Key, r.List[i].Value)
	}
	for key, value := range r.Map {
		f.Add(key, value)
	}
	if r.Build != nil {
		r.Build(f)
	}
}

// Fields encodes the fields of one record straight into the write buffer. It is valid only until the function that it
// was given to returns.
//
// A key that is added twice is legal on the wire; readers keep the last value.
type Fields struct {
	// buf holds finished frames, and while isOpen a record under construction from start on:
	//
	//	frame · frame · … | length, 4 bytes little-endian · Record
	buf    []byte
	isOpen bool
	// start and payload are where the record and the content of its field 3 begin.
	start, payload int
	// limit is the most bytes of an encoded record. excess counts bytes far beyond it that were not even buffered.
	limit, excess int
	// initialCapacity is what buf shrinks to after an unusually large record.
	initialCapacity int
}

const (
	lengthSize = 4
	// reservedSize is kept free for the length of a payload: right for 128 to 16,383 bytes, others are moved.
	reservedSize = 2
	// bufferSlack is room beyond the buffer size for the record that crosses it.
	bufferSlack   = 64 << 10
	maxVarintSize = 10
)

// Add adds a text field.
func (f *Fields) Add(key, value string) {
	copy(f.entry(key, len(value)), value)
}

// AddBytes adds a field whose value is these bytes. They are copied.
func (f *Fields) AddBytes(key string, value []byte) {
	copy(f.entry(key, len(value)), value)
}

// AddInt adds a number in decimal digits, which is how the server expects all numbers.
func (f *Fields) AddInt(key string, value int64) {
	var digits [20]byte
	f.AddBytes(key, strconv.AppendInt(digits[:0], value, 10))
}

// AddUint adds a number in decimal digits.
func (f *Fields) AddUint(key string, value uint64) {
	var digits [20]byte
	f.AddBytes(key, strconv.AppendUint(digits[:0], value, 10))
}

// AddFloat adds a number in as many decimal digits as it takes to tell it from others, without an exponent.
func (f *Fields) AddFloat(key string, value float64) {
	var digits [32]byte
	f.AddBytes(key, strconv.AppendFloat(digits[:0], value, 'f', -1, 64))
}

// AddBool adds "true" or "false".
func (f *Fields) AddBool(key string, value bool) {
	f.Add(key, strconv.FormatBool(value))
}

// entry adds a field and returns where its value is to be copied, or nil if the record is far too large anyway.
// Payload.fields is map<string, string>: field 1, repeated, each an entry of key (1) and value (2).
func (f *Fields) entry(key string, valueSize int) []byte {
	// An overflow is impossible: both are in memory.
	size := len(key) + valueSize + 4
	if size < 0x80 {
		b := f.extend(size + 2)
		if b == nil {
			return nil
		}
		b[0] = 0x0A
		b[1] = byte(size)
		b[2] = 0x0A
		b[3] = byte(len(key))
		b = b[4:]
		n := copy(b, key)
		b = b[n:]
		b[0] = 0x12
		b[1] = byte(valueSize)
		return b[2:]
	}
	size = 2 + varintSize(len(key)) + len(key) + varintSize(valueSize) + valueSize
	b := f.extend(1 + varintSize(size) + size)
	if b == nil {
		return nil
	}
	b[0] = 0x0A
	b = putVarint(b[1:], uint64(size))
	b[0] = 0x0A
	b = putVarint(b[1:], uint64(len(key)))
	b = b[copy(b, key):]
	b[0] = 0x12
	return putVarint(b[1:], uint64(valueSize))
}

// extend makes the buffer n bytes longer and returns them; nil if the record is far over the limit.
func (f *Fields) extend(n int) []byte {
	if !f.isOpen {
		panic("elkeid plugin: a *plugin.Fields was used after the function that it was given to had returned")
	}
	start := len(f.buf)
	if n > cap(f.buf)-start && !f.grow(n) {
		return nil
	}
	f.buf = f.buf[:start+n]
	return f.buf[start : start+n]
}

// grow makes room for n more bytes, unless the record is over the limit with them.
func (f *Fields) grow(n int) bool {
	if len(f.buf)-f.start-lengthSize+n > f.limit+maxVarintSize {
		f.excess += n
		return false
	}
	capacity := cap(f.buf) + cap(f.buf)/2
	if capacity < len(f.buf)+n {
		capacity = len(f.buf) + n
	}
	grown := make([]byte, len(f.buf), capacity)
	copy(grown, f.buf)
	f.buf = grown
	return true
}

// begin starts a record behind the finished frames.
func (f *Fields) begin(dataType int32, timestamp int64) {
	f.isOpen = true
	f.excess = 0
	f.start = len(f.buf)
	var head [lengthSize + 2*(1+maxVarintSize) + 1 + reservedSize]byte
	b := head[:lengthSize]
	// Zero is the default of proto3 and not written.
	if dataType != 0 {
		b = appendVarint(append(b, 0x08), uint64(int64(dataType)))
	}
	if timestamp != 0 {
		b = appendVarint(append(b, 0x10), uint64(timestamp))
	}
	b = append(b, 0x1A)
	b = b[:len(b)+reservedSize]
	f.buf = append(f.buf, b...)
	f.payload = len(f.buf)
}

// finish fills in the lengths and returns the size of the encoded record. If that is over the limit the record is
// not kept.
func (f *Fields) finish() int {
	payloadSize := len(f.buf) - f.payload + f.excess
	shift := varintSize(payloadSize) - reservedSize
	size := f.payload + shift + payloadSize - f.start - lengthSize
	if !f.fits(size) {
		f.abort()
		return size
	}
	if shift > 0 {
		f.buf = append(f.buf, make([]byte, shift)...)
		copy(f.buf[f.payload+shift:], f.buf[f.payload:f.payload+payloadSize])
	} else if shift < 0 {
		copy(f.buf[f.payload+shift:], f.buf[f.payload:])
		f.buf = f.buf[:len(f.buf)+shift]
	}
	putVarint(f.buf[f.payload-reservedSize:], uint64(payloadSize))
	putLength(f.buf[f.start:], size)
	f.isOpen = false
	return size
}

// fits says whether a record of this size may be sent.
func (f *Fields) fits(size int) bool {
	return size <= f.limit && uint64(size) <= math.MaxUint32
}

// abort forgets the record under construction, or the one just finished.
func (f *Fields) abort() {
	f.isOpen = false
	f.buf = f.buf[:f.start]
	if f.start == 0 {
		f.reset()
	}
}

// reset forgets all frames, and gives back what an unusually large record made the buffer grow.
func (f *Fields) reset() {
	if cap(f.buf) > f.initialCapacity {
		f.buf = make([]byte, 0, f.initialCapacity)
	}
	f.buf = f.buf[:0]
}

// varintSize returns the bytes that a length takes as a varint.
func varintSize(length int) int {
	return (bits.Len64(uint64(length)|1) + 6) / 7
}

// putVarint returns what follows the varint in b, which must have room for it.
func putVarint(b []byte, value uint64) []byte {
	i := 0
	for value >= 0x80 {
		b[i] = byte(value) | 0x80
		value >>= 7
		i++
	}
	b[i] = byte(value)
	return b[i+1:]
}

func appendVarint(b []byte, value uint64) []byte {
	for value >= 0x80 {
		b = append(b, byte(value)|0x80)
		value >>= 7
	}
	return append(b, byte(value))
}

// putLength writes the length of a frame in front of it.
func putLength(b []byte, length int) {
	_ = b[3]
	b[0], b[1], b[2], b[3] = byte(length), byte(length>>8), byte(length>>16), byte(length>>24)
}
