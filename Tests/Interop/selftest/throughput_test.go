// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package selftest

import (
	"fmt"
	"testing"

	"elkeid-interop/agentcenter"

	"github.com/golang/protobuf/proto"
	"google.golang.org/grpc"
)

// encoded is a message that is sent as it is.
type encoded []byte

type encodedCodec struct{}

func (encodedCodec) Marshal(v any) ([]byte, error) { return v.(encoded), nil }
func (encodedCodec) Unmarshal([]byte, any) error   { return nil }
func (encodedCodec) Name() string                  { return "proto" }

// BenchmarkTransfer sends messages of 400 records of 600 bytes; one operation is one message.
func BenchmarkTransfer(b *testing.B) {
	for _, mode := range []string{"-fast", "-strict"} {
		b.Run(mode[1:], func(b *testing.B) {
			t := &testing.T{}
			s := start(t, "elkeid", mode)
			defer func() {
				s.stdin.Close()
				s.command.Wait()
			}()
			c := open(t, dial(t, s, clientTLS(t, "elkeid")), grpc.ForceCodec(encodedCodec{}))
			message := &agentcenter.PackagedData{AgentId: "agent"}
			for i := 0; i < 400; i++ {
				message.Records = append(message.Records, record(59, map[string]string{
					"lane": "a", "seq": fmt.Sprint(i), "pad": fmt.Sprintf("%0560d", i),
				}))
			}
			bytes, err := proto.Marshal(message)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(bytes)))
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				if err := c.stream.SendMsg(encoded(bytes)); err != nil {
					b.Fatal(err)
				}
			}
			s.until("messages", float64(b.N))
		})
	}
}
