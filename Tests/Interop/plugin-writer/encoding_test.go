// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"elkeid-interop/agentcenter"

	"github.com/golang/protobuf/proto"
)

func TestRecordsHaveTheirSizeAndContent(t *testing.T) {
	for _, size := range []int{1, 40, 120, 130, 150, 600, 16390, 16410, 70000, 2097160} {
		encoder := newRecordEncoder(size)
		for _, seq := range []uint64{0, 9, 10, 123456789} {
			encoded := encoder.append(nil, "lane-name", 59, 1700000000, seq)
			var record agentcenter.Record
			if err := proto.Unmarshal(encoded, &record); err != nil {
				t.Fatal(size, err)
			}
			fields := record.Data.Fields
			if record.DataType != 59 || record.Timestamp != 1700000000 || fields["lane"] != "lane-name" ||
				fields["seq"] != fmt.Sprint(seq) {
				t.Errorf("size %d: %v", size, fields)
			}
			if size >= 100 && (len(encoded) > size || len(encoded) < size-5) {
				t.Errorf("size %d: %d bytes", size, len(encoded))
			}
		}
	}
}

func TestOddShapesAreLegal(t *testing.T) {
	for _, shape := range oddShapes {
		encoded := shape.encode("lane", 59, 1700000000, "7")
		var record agentcenter.Record
		if err := proto.Unmarshal(encoded, &record); err != nil && !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("%s: %v", shape.name, err)
		}
		fields := record.GetData().GetFields()
		if tracked := shape.suffix != "untracked"; tracked != (fields["lane"] == "lane" && fields["seq"] == "7") {
			t.Errorf("%s: %q", shape.name, fields)
		}
		if shape.suffix == "" && record.DataType != 59 {
			t.Errorf("%s: data type %d", shape.name, record.DataType)
		}
	}
}

// golang/protobuf takes a known field of another wire type for an unknown one, does not bound field numbers and does
// not compare the numbers at the two ends of a group. The agent refuses all three.
func TestMalformedRecordsAreRefused(t *testing.T) {
	for i, encoded := range malformedRecords {
		var record agentcenter.Record
		err := proto.Unmarshal(encoded, &record)
		wrongType := encoded[0] == 1<<3|2 || encoded[0] == 2<<3|1 || encoded[0] == 3<<3|0
		hugeNumber := encoded[0] == 0x80
		otherGroup := bytes.Equal(encoded, []byte{5<<3 | 3, 6<<3 | 4})
		if accepted := wrongType || hugeNumber || otherGroup; (err == nil) != accepted {
			t.Errorf("number %d, %x: %v, %v", i, encoded, err, &record)
		}
	}
}
