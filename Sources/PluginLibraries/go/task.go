// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"unicode/utf8"
)

// Task is a command from the server for this plugin.
type Task struct {
	// DataType says what to do; which numbers a plugin answers to is its own matter.
	DataType int32
	// ObjectName is the name of the plugin that is meant.
	ObjectName string
	// Data is the parameters, usually JSON.
	Data string
	// Token identifies the task; a result record must repeat it in its field "token".
	Token string
}

// decodeTask decodes Task{1: int32 data_type, 2: string object_name, 3: string data, 4: string token}.
// Fields may come in any order; the last of a repeated one counts; unknown ones are ignored.
func decodeTask(message []byte) (Task, error) {
	var task Task
	r := messageReader{rest: message}
	for len(r.rest) > 0 {
		field, wireType := r.tag()
		switch field {
		case 1:
			task.DataType = int32(uint32(r.varintField(field, wireType)))
		case 2:
			task.ObjectName = r.text(field, wireType)
		case 3:
			task.Data = r.text(field, wireType)
		case 4:
			task.Token = r.text(field, wireType)
		default:
			r.skip(wireType)
		}
		if r.err != nil {
			return Task{}, r.err
		}
	}
	return task, nil
}

// messageReader reads the fields of a protobuf message, checking every bound. After a failure err is set and nothing
// more is read.
type messageReader struct {
	rest []byte
	err  error
}

const (
	varintType = 0
	bytesType  = 2
)

func (r *messageReader) fail(format string, arguments ...any) {
	if r.err == nil {
		r.err = errorOf(ErrMalformedTask, "a message of the agent was skipped because it is not a valid Task: "+format,
			arguments...)
	}
	r.rest = nil
}

// tag returns the next field's number and wire type, 0 and 0 on failure.
func (r *messageReader) tag() (field uint64, wireType int) {
	tag := r.varint()
	field = tag >> 3
	if r.err == nil && (field < 1 || field >= 1<<29) {
		r.fail("the field number %d is not possible", field)
	}
	if r.err != nil {
		return 0, 0
	}
	return field, int(tag & 7)
}

func (r *messageReader) varint() uint64 {
	var value uint64
	for i := 0; i < maxVarintSize; i++ {
		if i == len(r.rest) {
			r.fail("a field reaches past the end")
			return 0
		}
		b := r.rest[i]
		// The tenth byte has room for one bit; what is beyond it is dropped, as protobuf libraries do.
		value |= uint64(b&0x7F) << (7 * uint(i))
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return value
		}
	}
	r.fail("a varint has more than 10 bytes")
	return 0
}

func (r *messageReader) varintField(field uint64, wireType int) uint64 {
	if wireType != varintType {
		r.fail("field %d has the wrong wire type %d", field, wireType)
		return 0
	}
	return r.varint()
}

// bytes returns the content of a length-delimited field, a part of the message.
func (r *messageReader) bytes(field uint64, wireType int) []byte {
	if wireType != bytesType {
		r.fail("field %d has the wrong wire type %d", field, wireType)
		return nil
	}
	length := r.varint()
	if length > uint64(len(r.rest)) {
		r.fail("a field reaches past the end")
	}
	if r.err != nil {
		return nil
	}
	content := r.rest[:length]
	r.rest = r.rest[length:]
	return content
}

func (r *messageReader) text(field uint64, wireType int) string {
	content := r.bytes(field, wireType)
	if !utf8.Valid(content) {
		r.fail("field %d is not valid UTF-8", field)
		return ""
	}
	return string(content)
}

// skip passes over a field that this version does not know.
func (r *messageReader) skip(wireType int) {
	if r.err != nil {
		return
	}
	switch wireType {
	case varintType:
		r.varint()
	case 1:
		r.advance(8)
	case bytesType:
		r.bytes(0, wireType)
	case 5:
		r.advance(4)
	default:
		// Groups (3, 4) are not in proto3, 6 and 7 do not exist.
		r.fail("the wire type %d is not possible", wireType)
	}
}

func (r *messageReader) advance(count int) {
	if count > len(r.rest) {
		r.fail("a field reaches past the end")
		return
	}
	r.rest = r.rest[count:]
}
