// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"unicode/utf8"
)

// Wire types of protobuf's encoding.
const (
	wireVarint     = 0
	wireFixed64    = 1
	wireBytes      = 2
	wireStartGroup = 3
	wireEndGroup   = 4
	wireFixed32    = 5
)

const (
	maxFieldNumber = 1<<29 - 1
	maxGroupDepth  = 100
)

var (
	errTruncated   = errors.New("protobuf: the message ends inside a field")
	errVarint      = errors.New("protobuf: a varint has more than 10 bytes or 64 bits")
	errFieldNumber = errors.New("protobuf: a field number is outside 1...2^29-1")
	errWireType    = errors.New("protobuf: a wire type does not exist or does not suit its field")
	errGroup       = errors.New("protobuf: groups are not balanced")
	errUTF8        = errors.New("protobuf: a header string is not UTF-8")
)

// readVarint decodes the varint at b[i:] and returns it and the index after it.
func readVarint(b []byte, i int) (uint64, int, error) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1, nil
	}
	var value uint64
	for n := 0; n < 10; n++ {
		if i+n >= len(b) {
			return 0, 0, errTruncated
		}
		c := b[i+n]
		if n == 9 && c > 1 {
			return 0, 0, errVarint
		}
		value |= uint64(c&0x7f) << (7 * uint(n))
		if c < 0x80 {
			return value, i + n + 1, nil
		}
	}
	return 0, 0, errVarint
}

// readTag decodes a field's tag at b[i:].
func readTag(b []byte, i int) (number uint64, wireType int, next int, err error) {
	tag, next, err := readVarint(b, i)
	if err != nil {
		return 0, 0, 0, err
	}
	number = tag >> 3
	if number == 0 || number > maxFieldNumber {
		return 0, 0, 0, errFieldNumber
	}
	return number, int(tag & 7), next, nil
}

// readBytes decodes a length and that many bytes at b[i:], without copying.
func readBytes(b []byte, i int) ([]byte, int, error) {
	length, next, err := readVarint(b, i)
	if err != nil {
		return nil, 0, err
	}
	if length > uint64(len(b)-next) {
		return nil, 0, errTruncated
	}
	end := next + int(length)
	return b[next:end:end], end, nil
}

// skipField returns the index after the value of an unknown field whose tag has just been read.
func skipField(b []byte, i int, number uint64, wireType int, depth int) (int, error) {
	switch wireType {
	case wireVarint:
		_, next, err := readVarint(b, i)
		return next, err
	case wireFixed64:
		if len(b)-i < 8 {
			return 0, errTruncated
		}
		return i + 8, nil
	case wireBytes:
		_, next, err := readBytes(b, i)
		return next, err
	case wireFixed32:
		if len(b)-i < 4 {
			return 0, errTruncated
		}
		return i + 4, nil
	case wireStartGroup:
		if depth >= maxGroupDepth {
			return 0, errGroup
		}
		for {
			inner, innerType, next, err := readTag(b, i)
			if err != nil {
				return 0, err
			}
			if innerType == wireEndGroup {
				if inner != number {
					return 0, errGroup
				}
				return next, nil
			}
			if i, err = skipField(b, next, inner, innerType, depth+1); err != nil {
				return 0, err
			}
		}
	case wireEndGroup:
		return 0, errGroup
	default:
		return 0, errWireType
	}
}

// encodedRecord is one element of PackagedData.records; data lies in the message.
type encodedRecord struct {
	dataType  int32
	timestamp int64
	data      []byte
}

// packagedData is a PackagedData message that has been checked but not copied.
type packagedData struct {
	records []encodedRecord
	agentID []byte
	// addresses are the four lists of fields 3 to 6, in that order.
	addresses [4][]string
	hostname  []byte
	version   []byte
	product   []byte
}

// parse walks a whole message and fails if any part of it above the payloads is not well-formed. It is as strict
// as both golang/protobuf (UTF-8 in header strings) and gogo/protobuf (the wire type of known fields).
// The slice of records is reused from call to call.
func (p *packagedData) parse(b []byte) error {
	*p = packagedData{records: p.records[:0]}
	for i := 0; i < len(b); {
		number, wireType, next, err := readTag(b, i)
		if err != nil {
			return err
		}
		if number > 9 {
			if i, err = skipField(b, next, number, wireType, 0); err != nil {
				return err
			}
			continue
		}
		if wireType != wireBytes {
			return errWireType
		}
		var value []byte
		if value, i, err = readBytes(b, next); err != nil {
			return err
		}
		if number == 1 {
			record, err := parseEncodedRecord(value)
			if err != nil {
				return err
			}
			p.records = append(p.records, record)
			continue
		}
		if !utf8.Valid(value) {
			return errUTF8
		}
		switch number {
		case 2:
			p.agentID = value
		case 3, 4, 5, 6:
			p.addresses[number-3] = append(p.addresses[number-3], string(value))
		case 7:
			p.hostname = value
		case 8:
			p.version = value
		case 9:
			p.product = value
		}
	}
	return nil
}

func parseEncodedRecord(b []byte) (encodedRecord, error) {
	var record encodedRecord
	for i := 0; i < len(b); {
		number, wireType, next, err := readTag(b, i)
		if err != nil {
			return record, err
		}
		switch number {
		case 1, 2:
			if wireType != wireVarint {
				return record, errWireType
			}
			var value uint64
			if value, i, err = readVarint(b, next); err != nil {
				return record, err
			}
			if number == 1 {
				record.dataType = int32(value)
			} else {
				record.timestamp = int64(value)
			}
		case 3:
			if wireType != wireBytes {
				return record, errWireType
			}
			if record.data, i, err = readBytes(b, next); err != nil {
				return record, err
			}
		default:
			if i, err = skipField(b, next, number, wireType, 0); err != nil {
				return record, err
			}
		}
	}
	return record, nil
}

// walkPayload calls visit for each entry of a Payload's map, in wire order. Keys and values may hold any bytes.
func walkPayload(b []byte, visit func(key, value []byte)) error {
	for i := 0; i < len(b); {
		number, wireType, next, err := readTag(b, i)
		if err != nil {
			return err
		}
		if number != 1 {
			if i, err = skipField(b, next, number, wireType, 0); err != nil {
				return err
			}
			continue
		}
		if wireType != wireBytes {
			return errWireType
		}
		var entry []byte
		if entry, i, err = readBytes(b, next); err != nil {
			return err
		}
		key, value, err := parseEntry(entry)
		if err != nil {
			return err
		}
		visit(key, value)
	}
	return nil
}

func parseEntry(b []byte) (key, value []byte, err error) {
	for i := 0; i < len(b); {
		number, wireType, next, err := readTag(b, i)
		if err != nil {
			return nil, nil, err
		}
		switch number {
		case 1, 2:
			if wireType != wireBytes {
				return nil, nil, errWireType
			}
			var field []byte
			if field, i, err = readBytes(b, next); err != nil {
				return nil, nil, err
			}
			if number == 1 {
				key = field
			} else {
				value = field
			}
		default:
			if i, err = skipField(b, next, number, wireType, 0); err != nil {
				return nil, nil, err
			}
		}
	}
	return key, value, nil
}

// payloadFields copies a payload's map.
func payloadFields(b []byte) (map[string]string, error) {
	fields := make(map[string]string)
	err := walkPayload(b, func(key, value []byte) { fields[string(key)] = string(value) })
	return fields, err
}
