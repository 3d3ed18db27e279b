// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"
)

// recordEncoder makes ordinary records, as a plugin library would.
type recordEncoder struct {
	size    int
	padding []byte
	scratch []byte
}

func newRecordEncoder(size int) *recordEncoder {
	padding := make([]byte, size)
	for i := range padding {
		padding[i] = byte('a' + i%26)
	}
	return &recordEncoder{size: size, padding: padding}
}

// append encodes a record whose payload has the entries lane, seq and, to reach the size, pad. The size is that of
// the record without its frame's length; where varints change their length a record may fall short by a byte or
// two, and it is larger where lane and seq alone need more.
func (e *recordEncoder) append(out []byte, lane string, dataType int32, timestamp int64, seq uint64) []byte {
	var digits [20]byte
	payload := appendEntry(e.scratch[:0], "lane", lane)
	payload = appendEntry(payload, "seq", strconv.AppendUint(digits[:0], seq, 10))
	e.scratch = payload

	start := len(out)
	out = appendHead(out, dataType, timestamp)
	if pad := e.pad(len(out)-start, len(payload)); pad >= 0 {
		payload = appendEntry(payload, "pad", e.padding[:pad])
		e.scratch = payload
	}
	return appendBytes(out, 3, payload)
}

// pad returns the largest pad with which a record stays within the size, or -1 if there is no room for any.
func (e *recordEncoder) pad(head, payload int) int {
	const empty = 1 + 1 + len("\x0a\x03pad\x12\x00")
	for pad := e.size - head - 2 - payload - empty; pad >= 0; pad-- {
		entry := len("\x0a\x03pad\x12") + varintSize(pad) + pad
		total := payload + 1 + varintSize(entry) + entry
		if head+1+varintSize(total)+total <= e.size {
			return pad
		}
	}
	return -1
}

func appendHead(out []byte, dataType int32, timestamp int64) []byte {
	if dataType != 0 {
		out = appendVarint(append(out, 1<<3), uint64(int64(dataType)))
	}
	if timestamp != 0 {
		out = appendVarint(append(out, 2<<3), uint64(timestamp))
	}
	return out
}

// appendEntry encodes one entry of the payload's map.
func appendEntry[V string | []byte](out []byte, key string, value V) []byte {
	size := 1 + varintSize(len(key)) + len(key) + 1 + varintSize(len(value)) + len(value)
	out = appendVarint(append(out, 1<<3|2), uint64(size))
	out = appendBytes(out, 1, key)
	return appendBytes(out, 2, value)
}

func appendBytes[V string | []byte](out []byte, number int, value V) []byte {
	out = appendVarint(out, uint64(number<<3|2))
	out = appendVarint(out, uint64(len(value)))
	return append(out, value...)
}

func varintSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// paddedVarint encodes a number in more bytes than it needs.
func paddedVarint(value uint64, size int) []byte {
	out := make([]byte, size)
	for i := range out {
		out[i] = byte(value&0x7f) | 0x80
		value >>= 7
	}
	out[size-1] &= 0x7f
	return out
}

// appendVarint is binary.AppendUvarint, which Go 1.18 has not.
func appendVarint(bytes []byte, value uint64) []byte {
	for ; value >= 0x80; value >>= 7 {
		bytes = append(bytes, byte(value)|0x80)
	}
	return append(bytes, byte(value))
}
