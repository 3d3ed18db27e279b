// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"reflect"
	"testing"

	"elkeid-interop/agentcenter"

	"github.com/golang/protobuf/proto"
)

func TestParseReadsWhatProtobufWrites(t *testing.T) {
	message := &agentcenter.PackagedData{
		AgentId: "id", IntranetIpv4: []string{"10.0.0.1", "10.0.0.2"}, ExtranetIpv6: []string{"2001:db8::1"},
		Hostname: "höst", Version: "1", Product: "elkeid-agent",
		Records: []*agentcenter.EncodedRecord{
			{DataType: 59, Timestamp: 1600000000, Data: []byte("payload")}, {}, {DataType: -1, Timestamp: -1 << 63},
		},
	}
	encoded, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var parsed packagedData
	if err := parsed.parse(encoded); err != nil {
		t.Fatal(err)
	}
	for i, want := range message.Records {
		got := parsed.records[i]
		if got.dataType != want.DataType || got.timestamp != want.Timestamp || !bytes.Equal(got.data, want.Data) {
			t.Errorf("record %d: %+v, want %+v", i, got, want)
		}
	}
	if len(parsed.records) != 3 || string(parsed.agentID) != "id" || string(parsed.hostname) != "höst" ||
		!reflect.DeepEqual(parsed.addresses[0], message.IntranetIpv4) ||
		!reflect.DeepEqual(parsed.addresses[3], message.ExtranetIpv6) || parsed.addresses[1] != nil {
		t.Errorf("header: %+v", parsed)
	}
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]struct {
		bytes []byte
		err   error
	}{
		"field number 0":           {[]byte{0x00, 1}, errFieldNumber},
		"field number 2^29":        {[]byte{0x80, 0x80, 0x80, 0x80, 0x10, 1}, errFieldNumber},
		"wire type 6":              {[]byte{12<<3 | 6}, errWireType},
		"records as varint":        {[]byte{1 << 3, 1}, errWireType},
		"agent id as varint":       {[]byte{2 << 3, 1}, errWireType},
		"end of no group":          {[]byte{12<<3 | 4}, errGroup},
		"group without end":        {[]byte{12<<3 | 3}, errTruncated},
		"length beyond the end":    {[]byte{1<<3 | 2, 5, 1}, errTruncated},
		"varint of 11 bytes":       {append([]byte{12 << 3}, bytes.Repeat([]byte{0x80}, 11)...), errVarint},
		"not UTF-8":                {[]byte{2<<3 | 2, 1, 0xff}, errUTF8},
		"type as bytes":            {[]byte{1<<3 | 2, 2, 1<<3 | 2, 0}, errWireType},
		"data as varint":           {[]byte{1<<3 | 2, 2, 3 << 3, 0}, errWireType},
		"data beyond the record":   {[]byte{1<<3 | 2, 2, 3<<3 | 2, 1, 0, 0}, errTruncated},
		"groups nested too deeply": {bytes.Repeat([]byte{12<<3 | 3}, 200), errGroup},
	}
	for name, c := range cases {
		var parsed packagedData
		if err := parsed.parse(c.bytes); err != c.err {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

// Whatever the walk accepts, golang/protobuf accepts too and understands in the same way.
func TestParseIsAtLeastAsStrictAsProtobuf(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	seed, err := proto.Marshal(&agentcenter.PackagedData{
		AgentId: "agent", Hostname: "host",
		Records: []*agentcenter.EncodedRecord{{DataType: 300, Timestamp: 5, Data: []byte("abc")}, {DataType: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for round := 0; round < 200000; round++ {
		mutant := append([]byte{}, seed...)
		for n := 1 + random.Intn(3); n > 0; n-- {
			mutant[random.Intn(len(mutant))] = byte(random.Intn(256))
		}
		mutant = mutant[:len(mutant)-random.Intn(3)]
		var parsed packagedData
		if parsed.parse(mutant) != nil {
			continue
		}
		accepted++
		var decoded agentcenter.PackagedData
		if err := proto.Unmarshal(mutant, &decoded); err != nil {
			t.Fatalf("accepted %x, protobuf: %v", mutant, err)
		}
		if len(decoded.Records) != len(parsed.records) || decoded.AgentId != string(parsed.agentID) {
			t.Fatalf("%x: %+v, protobuf: %v", mutant, parsed, &decoded)
		}
		for i, record := range decoded.Records {
			got := parsed.records[i]
			if got.dataType != record.DataType || got.timestamp != record.Timestamp || !bytes.Equal(got.data, record.Data) {
				t.Fatalf("%x: record %d is %+v, protobuf: %v", mutant, i, got, record)
			}
		}
	}
	if accepted < 1000 {
		t.Fatalf("only %d mutants were accepted", accepted)
	}
}

func TestPayloadMayHoldAnyBytes(t *testing.T) {
	payload := []byte{1<<3 | 2, 8, 1<<3 | 2, 1, 'k', 2<<3 | 2, 3, 0xff, 0x00, 0xfe, 1<<3 | 2, 0}
	fields, err := payloadFields(payload)
	if err != nil || !reflect.DeepEqual(fields, map[string]string{"k": "\xff\x00\xfe", "": ""}) {
		t.Errorf("%q, %v", fields, err)
	}
	if _, err := payloadFields([]byte{1<<3 | 2, 2, 1 << 3, 1}); err != errWireType {
		t.Error(err)
	}
}

func TestSequenceSet(t *testing.T) {
	cases := []struct {
		name       string
		input      []uint64
		missing    uint64
		duplicates int
		late       int
		gaps       [][2]uint64
	}{
		{"nothing", nil, 0, 0, 0, nil},
		{"in order", []uint64{0, 1, 2, 3}, 0, 0, 0, nil},
		{"not from the start", []uint64{2, 3}, 2, 0, 0, [][2]uint64{{0, 1}}},
		{"gap", []uint64{0, 1, 5}, 3, 0, 0, [][2]uint64{{2, 4}}},
		{"gap filled late", []uint64{0, 2, 1}, 0, 0, 1, nil},
		{"duplicate", []uint64{0, 1, 1, 0, 2}, 0, 2, 0, nil},
		{"far apart", []uint64{0, 200000}, 199999, 0, 0, [][2]uint64{{1, 199999}}},
	}
	for _, c := range cases {
		var set sequenceSet
		duplicates, late := 0, 0
		for _, n := range c.input {
			switch set.insert(n) {
			case sequenceDuplicate:
				duplicates++
			case sequenceLate:
				late++
			}
		}
		if set.missing() != c.missing || duplicates != c.duplicates || late != c.late ||
			!reflect.DeepEqual(set.gaps(20), c.gaps) {
			t.Errorf("%s: missing %d, duplicates %d, late %d, gaps %v", c.name, set.missing(), duplicates, late, set.gaps(20))
		}
	}
}

func TestSequenceSetReleasesCompleteBlocks(t *testing.T) {
	var set sequenceSet
	for n := uint64(0); n < 10*sequenceBlockBits; n++ {
		if n != 600000 {
			set.insert(n)
		}
	}
	for index, block := range set.blocks {
		if (block == completeBlock) == (index == 600000/sequenceBlockBits) {
			t.Errorf("block %d: complete is %v", index, block == completeBlock)
		}
	}
	if set.insert(3) != sequenceDuplicate {
		t.Error("a number in a complete block is not a duplicate")
	}
	if !reflect.DeepEqual(set.gaps(20), [][2]uint64{{600000, 600000}}) {
		t.Error(set.gaps(20))
	}
}

func sampleMessage(records int) []byte {
	message := &agentcenter.PackagedData{AgentId: "agent"}
	for i := 0; i < records; i++ {
		payload, _ := proto.Marshal(&agentcenter.Payload{Fields: map[string]string{
			"lane": "a", "seq": fmt.Sprint(i), "pad": string(bytes.Repeat([]byte{'x'}, 570)),
		}})
		message.Records = append(message.Records, &agentcenter.EncodedRecord{DataType: 59, Timestamp: 1, Data: payload})
	}
	encoded, _ := proto.Marshal(message)
	return encoded
}

func TestCountingAllocatesNothingPerRecord(t *testing.T) {
	small, large := sampleMessage(10), sampleMessage(1000)
	l := newLedger(nil, nil)
	var parsed packagedData
	count := func(message []byte) float64 {
		return testing.AllocsPerRun(10, func() {
			if err := parsed.parse(message); err != nil {
				t.Fatal(err)
			}
			if _, err := l.add(&parsed, len(message)); err != nil {
				t.Fatal(err)
			}
		})
	}
	count(large)
	if a, b := count(small), count(large); a != b {
		t.Errorf("%v allocations for 10 records, %v for 1000", a, b)
	}
}

func BenchmarkWalk(b *testing.B) {
	message := sampleMessage(400)
	l := newLedger(nil, nil)
	var parsed packagedData
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		parsed.parse(message)
		l.add(&parsed, len(message))
	}
	b.SetBytes(int64(len(message)))
}
