// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"sort"
	"strconv"
	"sync"
)

const (
	agentHeartbeat  = 1000
	pluginHeartbeat = 1001
)

// sequenceSet remembers which numbers of a dense sequence have been seen: a bit for each, in blocks that are
// released once they are complete, so what is remembered grows with the gaps.
type sequenceSet struct {
	blocks    map[uint64]*sequenceBlock
	lastIndex uint64
	last      *sequenceBlock
	unique    uint64
	highest   uint64
}

const sequenceBlockBits = 1 << 16

type sequenceBlock struct {
	words [sequenceBlockBits / 64]uint64
	seen  int
}

// completeBlock stands for every block without gaps.
var completeBlock = &sequenceBlock{seen: sequenceBlockBits}

type sequenceVerdict int

const (
	sequenceInOrder sequenceVerdict = iota
	sequenceLate
	sequenceDuplicate
)

func (s *sequenceSet) insert(n uint64) sequenceVerdict {
	index := n / sequenceBlockBits
	block := s.last
	if block == nil || index != s.lastIndex {
		if s.blocks == nil {
			s.blocks = make(map[uint64]*sequenceBlock)
		}
		block = s.blocks[index]
		if block == nil {
			block = new(sequenceBlock)
			s.blocks[index] = block
		}
		s.last, s.lastIndex = block, index
	}
	if block == completeBlock {
		return sequenceDuplicate
	}
	word, bit := (n%sequenceBlockBits)/64, uint64(1)<<(n%64)
	if block.words[word]&bit != 0 {
		return sequenceDuplicate
	}
	block.words[word] |= bit
	block.seen++
	if block.seen == sequenceBlockBits {
		s.blocks[index], s.last = completeBlock, completeBlock
	}
	s.unique++
	if s.unique > 1 && n < s.highest {
		return sequenceLate
	}
	s.highest = n
	return sequenceInOrder
}

// missing counts the numbers from 0 to the highest seen that have not been seen.
func (s *sequenceSet) missing() uint64 {
	if s.unique == 0 {
		return 0
	}
	return s.highest + 1 - s.unique
}

// gaps lists the missing numbers as first and last of each run, at most limit runs.
func (s *sequenceSet) gaps(limit int) [][2]uint64 {
	var runs [][2]uint64
	if s.missing() == 0 {
		return runs
	}
	add := func(first, last uint64) bool {
		if n := len(runs); n > 0 && runs[n-1][1]+1 == first {
			runs[n-1][1] = last
			return true
		}
		if len(runs) == limit {
			return false
		}
		runs = append(runs, [2]uint64{first, last})
		return true
	}
	indices := make([]uint64, 0, len(s.blocks))
	for index := range s.blocks {
		indices = append(indices, index)
	}
	sort.Slice(indices, func(a, b int) bool { return indices[a] < indices[b] })
	expected := uint64(0)
	for _, index := range indices {
		if index > expected && !add(expected*sequenceBlockBits, index*sequenceBlockBits-1) {
			return runs
		}
		expected = index + 1
		block := s.blocks[index]
		if block.seen == sequenceBlockBits {
			continue
		}
		for w, word := range block.words {
			for absent := ^word; absent != 0; absent &= absent - 1 {
				n := index*sequenceBlockBits + uint64(w*64+bits.TrailingZeros64(absent))
				if n > s.highest || !add(n, n) {
					return runs
				}
			}
		}
	}
	return runs
}

// lane is what arrived with one value of "lane" in records of one data type.
type lane struct {
	sequence   sequenceSet
	count      uint64
	bytes      uint64
	first      uint64
	last       uint64
	duplicates uint64
	reordered  uint64
	invalid    uint64
}

func (l *lane) add(seq uint64, bytes int) {
	if l.count == 0 {
		l.first = seq
	}
	l.count++
	l.bytes += uint64(bytes)
	l.last = seq
	switch l.sequence.insert(seq) {
	case sequenceDuplicate:
		l.duplicates++
	case sequenceLate:
		l.reordered++
	}
}

type laneReport struct {
	DataType   int32       `json:"data_type"`
	Count      uint64      `json:"count"`
	Unique     uint64      `json:"unique"`
	Bytes      uint64      `json:"bytes"`
	First      uint64      `json:"first"`
	Last       uint64      `json:"last"`
	Highest    uint64      `json:"highest"`
	Missing    uint64      `json:"missing"`
	Gaps       [][2]uint64 `json:"gaps,omitempty"`
	Duplicates uint64      `json:"duplicates"`
	Reordered  uint64      `json:"reordered"`
	Invalid    uint64      `json:"invalid"`
}

// ledger counts what all streams delivered. Its lock is taken once for each message.
type ledger struct {
	mutex             sync.Mutex
	records           uint64
	bytes             uint64
	messages          uint64
	messageBytes      uint64
	malformed         uint64
	malformedPayloads uint64
	largestMessage    int
	heartbeats        uint64
	pluginHeartbeats  uint64
	encoding          string
	types             map[int32]*typeEntry
	lastType          *typeEntry
	dump              *bufio.Writer
	reported          map[int32]bool

	// The payload being walked; members so that the visitor below captures nothing that must be allocated.
	laneName []byte
	seqText  []byte
	visit    func(key, value []byte)
}

type typeEntry struct {
	dataType int32
	count    uint64
	lanes    map[string]*lane
}

// reportedRecord is a record that deserves an event of its own.
type reportedRecord struct {
	dataType  int32
	timestamp int64
	fields    map[string]string
}

func newLedger(dump io.Writer, reported map[int32]bool) *ledger {
	l := &ledger{types: make(map[int32]*typeEntry), encoding: "", reported: reported}
	if dump != nil {
		l.dump = bufio.NewWriterSize(dump, 1<<20)
	}
	l.visit = func(key, value []byte) {
		switch string(key) {
		case "lane":
			l.laneName = value
		case "seq":
			l.seqText = value
		}
	}
	return l
}

// addMalformed counts a message that cannot be decoded.
func (l *ledger) addMalformed(size int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.addMessage(size)
	l.malformed++
}

func (l *ledger) addMessage(size int) {
	l.messages++
	l.messageBytes += uint64(size)
	if size > l.largestMessage {
		l.largestMessage = size
	}
}

// add counts a message that has been parsed, and returns the records in it that need an event.
func (l *ledger) add(message *packagedData, size int) ([]reportedRecord, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.addMessage(size)
	var reports []reportedRecord
	for i := range message.records {
		record := &message.records[i]
		entry := l.lastType
		if entry == nil || entry.dataType != record.dataType {
			entry = l.types[record.dataType]
			if entry == nil {
				entry = &typeEntry{dataType: record.dataType, lanes: make(map[string]*lane)}
				l.types[record.dataType] = entry
			}
			l.lastType = entry
		}
		entry.count++
		heartbeat := record.dataType == agentHeartbeat || record.dataType == pluginHeartbeat
		switch {
		case record.dataType == agentHeartbeat:
			l.heartbeats++
		case record.dataType == pluginHeartbeat:
			l.pluginHeartbeats++
		default:
			l.records++
			l.bytes += uint64(len(record.data))
			if l.dump != nil {
				l.writeDump(record)
			}
		}
		l.laneName, l.seqText = nil, nil
		if err := walkPayload(record.data, l.visit); err != nil {
			l.malformedPayloads++
			continue
		}
		if l.laneName != nil {
			l.addToLane(entry, len(record.data))
		}
		if heartbeat || l.reported[record.dataType] {
			fields, _ := payloadFields(record.data)
			reports = append(reports, reportedRecord{record.dataType, record.timestamp, fields})
		}
	}
	if l.dump != nil {
		if err := l.dump.Flush(); err != nil {
			return reports, fmt.Errorf("cannot write the dump: %w", err)
		}
	}
	return reports, nil
}

func (l *ledger) addToLane(entry *typeEntry, bytes int) {
	found := entry.lanes[string(l.laneName)]
	if found == nil {
		found = new(lane)
		entry.lanes[string(l.laneName)] = found
	}
	seq, ok := parseDecimal(l.seqText)
	if !ok {
		found.invalid++
		return
	}
	found.add(seq, bytes)
}

func parseDecimal(text []byte) (uint64, bool) {
	if len(text) == 0 || len(text) > 18 {
		return 0, false
	}
	var value uint64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		value = value*10 + uint64(c-'0')
	}
	return value, true
}

// writeDump appends u32 type, u64 timestamp, u32 length and the data, all little-endian. A failure shows in Flush.
func (l *ledger) writeDump(record *encodedRecord) {
	var header [16]byte
	binary.LittleEndian.PutUint32(header[0:], uint32(record.dataType))
	binary.LittleEndian.PutUint64(header[4:], uint64(record.timestamp))
	binary.LittleEndian.PutUint32(header[12:], uint32(len(record.data)))
	l.dump.Write(header[:])
	l.dump.Write(record.data)
}

func (l *ledger) setEncoding(name string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.encoding = name
}

// report returns the totals for the "stats" event.
func (l *ledger) report() map[string]any {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	types := make(map[string]uint64)
	usedBy := make(map[string]int)
	for dataType, entry := range l.types {
		types[strconv.Itoa(int(dataType))] = entry.count
		for name := range entry.lanes {
			usedBy[name]++
		}
	}
	lanes := make(map[string]laneReport)
	for dataType, entry := range l.types {
		for name, lane := range entry.lanes {
			key := name
			if usedBy[name] > 1 {
				key = fmt.Sprintf("%s/%d", name, dataType)
			}
			lanes[key] = laneReport{
				DataType: dataType, Count: lane.count, Unique: lane.sequence.unique, Bytes: lane.bytes,
				First: lane.first, Last: lane.last, Highest: lane.sequence.highest,
				Missing: lane.sequence.missing(), Gaps: lane.sequence.gaps(20),
				Duplicates: lane.duplicates, Reordered: lane.reordered, Invalid: lane.invalid,
			}
		}
	}
	return map[string]any{
		"records": l.records, "bytes": l.bytes, "messages": l.messages, "message_bytes": l.messageBytes,
		"malformed": l.malformed, "malformed_payloads": l.malformedPayloads, "largest_message": l.largestMessage,
		"heartbeats": l.heartbeats, "plugin_heartbeats": l.pluginHeartbeats, "encoding": l.encoding,
		"types": types, "lanes": lanes,
	}
}
