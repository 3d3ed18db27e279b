// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/golang/protobuf/proto"
)

// rawMessage is a message that stays in its encoded form.
type rawMessage struct {
	bytes []byte
}

// passthroughCodec takes the place of gRPC's "proto" codec: the bytes of a rawMessage go through as they are,
// everything else is encoded as usual.
type passthroughCodec struct{}

func (passthroughCodec) Name() string { return "proto" }

func (passthroughCodec) Marshal(v any) ([]byte, error) {
	switch message := v.(type) {
	case *rawMessage:
		return message.bytes, nil
	case proto.Message:
		return proto.Marshal(message)
	default:
		return nil, fmt.Errorf("cannot marshal a %T", v)
	}
}

func (passthroughCodec) Unmarshal(data []byte, v any) error {
	switch message := v.(type) {
	case *rawMessage:
		message.bytes = data
		return nil
	case proto.Message:
		return proto.Unmarshal(data, message)
	default:
		return fmt.Errorf("cannot unmarshal into a %T", v)
	}
}
