// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/hex"
	"os"
	"strconv"
	"unicode/utf8"
)

const debugBanner = "elkeid plugin: debug mode: records are printed as JSON lines; type DATA_TYPE DATA for a task, " +
	"Ctrl-D to end\n"

// wantsDebugMode says whether records go to the standard output and tasks come from the standard input.
func wantsDebugMode(o *options) bool {
	if os.Getenv("ELKEID_PLUGIN_DEBUG") != "" {
		return true
	}
	return o.descriptors == nil && startedWithoutPipes && isTerminal(1)
}

// decodedRecord is a record as debug mode prints it.
type decodedRecord struct {
	dataType  int32
	timestamp int64
	// payloads are encoded Payload messages: together they are one.
	payloads [][]byte
}

// appendRecordLine appends an encoded record as a line of JSON.
func appendRecordLine(line, record []byte, isHigh bool) []byte {
	start := len(line)
	line, ok := appendRecord(line, record, isHigh)
	if !ok {
		line = append(line[:start], `{"malformed":"`...)
		line = append(line, hex.EncodeToString(record)...)
		line = append(line, `"}`...)
	}
	return append(line, '\n')
}

func appendRecord(line, record []byte, isHigh bool) ([]byte, bool) {
	var decoded decodedRecord
	r := messageReader{rest: record}
	for len(r.rest) > 0 {
		switch field, wireType := r.tag(); field {
		case 1:
			decoded.dataType = int32(uint32(r.varintField(field, wireType)))
		case 2:
			decoded.timestamp = int64(r.varintField(field, wireType))
		case 3:
			decoded.payloads = append(decoded.payloads, r.bytes(field, wireType))
		default:
			r.skip(wireType)
		}
	}
	if r.err != nil {
		return line, false
	}
	line = append(line, `{"data_type":`...)
	line = strconv.AppendInt(line, int64(decoded.dataType), 10)
	line = append(line, `,"timestamp":`...)
	line = strconv.AppendInt(line, decoded.timestamp, 10)
	if isHigh {
		line = append(line, `,"priority":"high"`...)
	}
	line = append(line, `,"fields":{`...)
	isFirst := true
	for _, payload := range decoded.payloads {
		r := messageReader{rest: payload}
		for len(r.rest) > 0 {
			field, wireType := r.tag()
			if field != 1 {
				r.skip(wireType)
				continue
			}
			key, value, err := decodeEntry(r.bytes(field, wireType))
			if r.err != nil || err != nil {
				return line, false
			}
			if !isFirst {
				line = append(line, ',')
			}
			isFirst = false
			line = appendString(line, key)
			line = append(line, ':')
			line = appendString(line, value)
		}
		if r.err != nil {
			return line, false
		}
	}
	return append(line, "}}"...), true
}

func decodeEntry(entry []byte) (key, value []byte, err error) {
	r := messageReader{rest: entry}
	for len(r.rest) > 0 {
		switch field, wireType := r.tag(); field {
		case 1:
			key = r.bytes(field, wireType)
		case 2:
			value = r.bytes(field, wireType)
		default:
			r.skip(wireType)
		}
	}
	return key, value, r.err
}

// appendString appends a string of JSON. Each maximal part of it that is not valid UTF-8 becomes U+FFFD.
func appendString(line, text []byte) []byte {
	const hexDigits = "0123456789abcdef"
	line = append(line, '"')
	for i := 0; i < len(text); {
		b := text[i]
		if b < utf8.RuneSelf {
			i++
			switch {
			case b == '"' || b == '\\':
				line = append(line, '\\', b)
			case b >= 0x20:
				line = append(line, b)
			case b == '\n':
				line = append(line, '\\', 'n')
			case b == '\r':
				line = append(line, '\\', 'r')
			case b == '\t':
				line = append(line, '\\', 't')
			case b == '\b':
				line = append(line, '\\', 'b')
			case b == '\f':
				line = append(line, '\\', 'f')
			default:
				line = append(line, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
			}
			continue
		}
		size, isValid := sequence(text[i:])
		if isValid {
			line = append(line, text[i:i+size]...)
		} else {
			line = append(line, "\uFFFD"...)
		}
		i += size
	}
	return append(line, '"')
}

// sequence returns the size of the multi-byte character that text starts with, or that of the maximal subpart of one
// (Unicode Standard, chapter 3, "U+FFFD Substitution of Maximal Subparts", and table 3-7).
func sequence(text []byte) (size int, isValid bool) {
	lead := text[0]
	low, high := byte(0x80), byte(0xBF)
	switch {
	case lead >= 0xC2 && lead <= 0xDF:
		size = 2
	case lead >= 0xE0 && lead <= 0xEF:
		size = 3
		if lead == 0xE0 {
			low = 0xA0
		} else if lead == 0xED {
			high = 0x9F
		}
	case lead >= 0xF0 && lead <= 0xF4:
		size = 4
		if lead == 0xF0 {
			low = 0x90
		} else if lead == 0xF4 {
			high = 0x8F
		}
	default:
		return 1, false
	}
	for i := 1; i < size; i++ {
		if i == len(text) || text[i] < low || text[i] > high {
			return i, false
		}
		low, high = 0x80, 0xBF
	}
	return size, true
}
