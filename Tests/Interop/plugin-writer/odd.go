// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strconv"
)

// oddShape encodes a record in a way that protobuf allows and no generated code produces.
type oddShape struct {
	name string
	// suffix keeps records apart whose data type differs from the configured one: each lane counts on its own.
	suffix string
	encode func(lane string, dataType int32, timestamp int64, seq string) []byte
}

func lanePayload(lane, seq string) []byte {
	return appendEntry(appendEntry(nil, "lane", lane), "seq", seq)
}

// unknownFields has one unknown field of each kind, with a group in a group.
var unknownFields = bytes.Join([][]byte{
	{15<<3 | 0, 0x96, 0x01},
	appendVarint(nil, 536870911<<3|0), {0x01},
	{14<<3 | 1, 1, 2, 3, 4, 5, 6, 7, 8},
	{13<<3 | 2, 3, 'x', 'y', 'z'},
	{12<<3 | 5, 1, 2, 3, 4},
	{11<<3 | 3, 10<<3 | 3, 1<<3 | 2, 1, 0xff, 10<<3 | 4, 3<<3 | 0, 7, 11<<3 | 4},
}, nil)

var oddShapes = []oddShape{
	{"fields in reverse", "", func(lane string, dataType int32, timestamp int64, seq string) []byte {
		out := appendBytes(nil, 3, lanePayload(lane, seq))
		out = appendVarint(append(out, 2<<3), uint64(timestamp))
		return appendVarint(append(out, 1<<3), uint64(int64(dataType)))
	}},
	{"unknown fields everywhere", "", func(lane string, dataType int32, timestamp int64, seq string) []byte {
		payload := append(append([]byte{}, unknownFields...), lanePayload(lane, seq)...)
		out := append(append([]byte{}, unknownFields...), appendHead(nil, dataType, timestamp)...)
		out = append(appendBytes(append(out, unknownFields...), 3, payload), unknownFields...)
		return out
	}},
	{"padded varints", "", func(lane string, dataType int32, timestamp int64, seq string) []byte {
		payload := lanePayload(lane, seq)
		out := append(paddedVarint(1<<3, 3), paddedVarint(uint64(int64(dataType)), 10)...)
		out = append(append(out, paddedVarint(2<<3, 5)...), paddedVarint(uint64(timestamp), 9)...)
		out = append(append(out, paddedVarint(3<<3|2, 10)...), paddedVarint(uint64(len(payload)), 8)...)
		return append(out, payload...)
	}},
	{"payload in two parts", "", func(lane string, dataType int32, timestamp int64, seq string) []byte {
		out := appendBytes(nil, 3, appendEntry(nil, "lane", lane))
		out = append(out, appendHead(nil, dataType, timestamp)...)
		return appendBytes(out, 3, appendEntry(nil, "seq", seq))
	}},
	{"payload in three parts, one empty", "", func(lane string, dataType int32, timestamp int64, seq string) []byte {
		out := append(appendHead(nil, dataType, timestamp), 3<<3|2, 0)
		out = appendBytes(out, 3, appendEntry(nil, "seq", seq))
		return appendBytes(out, 3, appendEntry(nil, "lane", lane))
	}},
	{"scalars twice, the last counts", "", func(lane string, dataType int32, timestamp int64, seq string) []byte {
		out := appendHead(nil, dataType+1, timestamp+1)
		out = appendBytes(out, 3, lanePayload(lane, seq))
		return append(out, appendHead(nil, dataType, timestamp)...)
	}},
	{"no data type", "-untyped", func(lane string, _ int32, timestamp int64, seq string) []byte {
		return appendBytes(appendHead(nil, 0, timestamp), 3, lanePayload(lane, seq))
	}},
	{"no timestamp", "", func(lane string, dataType int32, _ int64, seq string) []byte {
		return appendBytes(appendHead(nil, dataType, 0), 3, lanePayload(lane, seq))
	}},
	{"negative data type and timestamp", "-negative", func(lane string, _ int32, _ int64, seq string) []byte {
		return appendBytes(appendHead(nil, -7, -1), 3, lanePayload(lane, seq))
	}},
	{"entries with value first and unknown fields", "", func(lane string, dataType int32, timestamp int64, seq string) []byte {
		entry := func(key, value string) []byte {
			inner := appendBytes(append([]byte{}, unknownFields...), 2, value)
			return append(appendBytes(inner, 1, key), unknownFields...)
		}
		payload := appendBytes(appendBytes(nil, 1, entry("lane", lane)), 1, entry("seq", seq))
		return appendBytes(appendHead(nil, dataType, timestamp), 3, payload)
	}},
	{"values that are not UTF-8, empty keys", "", func(lane string, dataType int32, timestamp int64, seq string) []byte {
		payload := appendEntry(lanePayload(lane, seq), "raw", "\xff\xfe\x00\x80")
		payload = append(appendEntry(payload, "", ""), 1<<3|2, 0)
		return appendBytes(appendHead(nil, dataType, timestamp), 3, payload)
	}},
	{"no payload", "untracked", func(_ string, dataType int32, timestamp int64, _ string) []byte {
		return appendHead(nil, dataType, timestamp)
	}},
	{"empty record", "untracked", func(string, int32, int64, string) []byte { return nil }},
}

// odd appends the next of the odd shapes.
func (w *writer) odd(n uint64) {
	shape := &oddShapes[int(n)%len(oddShapes)]
	timestamp := w.started.Unix()
	if shape.suffix == "untracked" {
		w.append(&w.pending, shape.encode("", w.options.DataType, timestamp, ""), "", untrackedFrame)
		return
	}
	lane := w.options.Lane + shape.suffix
	seq := w.sequences[lane]
	w.sequences[lane] = seq + 1
	record := shape.encode(lane, w.options.DataType, timestamp, strconv.FormatUint(seq, 10))
	w.append(&w.pending, record, lane, trackedFrame)
}

// malformedRecords are records that no protobuf decoder accepts at the top level.
var malformedRecords = [][]byte{
	{0<<3 | 0, 1},                     // field number 0
	{0x80, 0x80, 0x80, 0x80, 0x10, 1}, // field number 2^29
	{1<<3 | 6, 1},                     // wire type 6
	{9<<3 | 7, 1},                     // wire type 7
	{1<<3 | 0, 59, 5<<3 | 4},          // end of a group that was not begun
	{5<<3 | 3, 1<<3 | 0, 1},           // a group without end
	{5<<3 | 3, 6<<3 | 4},              // the end of another group
	append([]byte{1 << 3}, paddedVarint(59, 11)...),      // a varint of 11 bytes
	{2<<3 | 0, 0x80, 0x80},                               // a varint cut short
	{0x88},                                               // a tag cut short
	{1<<3 | 2, 1, 59},                                    // the data type as bytes
	{2<<3 | 1, 1, 2, 3, 4, 5, 6, 7, 8},                   // the timestamp as fixed64
	{3<<3 | 0, 1},                                        // the payload as a varint
	{1<<3 | 0, 59, 3<<3 | 2, 5, 'a', 'b'},                // a payload beyond the end
	append([]byte{3<<3 | 2}, paddedVarint(1<<63, 10)...), // a payload of 2^63 bytes
	{7<<3 | 1, 1, 2, 3},                                  // a fixed64 cut short
	{7<<3 | 5, 1},                                        // a fixed32 cut short
}
