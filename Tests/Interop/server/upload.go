// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	"elkeid-interop/agentcenter"

	"google.golang.org/grpc"
)

var fileExtService = grpc.ServiceDesc{
	ServiceName: "grpc.FileExt",
	HandlerType: (*any)(nil),
	Streams: []grpc.StreamDesc{{
		StreamName:    "Upload",
		Handler:       func(c any, stream grpc.ServerStream) error { return c.(*center).upload(stream) },
		ClientStreams: true,
	}},
	Metadata: "grpc.proto",
}

var errNoChunk = errors.New("an upload without any chunk")

// upload reads a file to its end and reports its token, size and hash. Later tokens are ignored.
func (c *center) upload(stream grpc.ServerStream) error {
	hash := sha256.New()
	var token string
	var bytes, chunks, largest int
	for {
		var request agentcenter.FileUploadRequest
		err := stream.RecvMsg(&request)
		if err == io.EOF {
			break
		}
		if err != nil {
			emit("upload_failed", map[string]any{"token": token, "bytes": bytes, "chunks": chunks, "reason": err.Error()})
			return err
		}
		if chunks == 0 {
			token = request.Token
			emit("upload_begun", map[string]any{"token": token})
		}
		chunks++
		bytes += len(request.Data)
		if len(request.Data) > largest {
			largest = len(request.Data)
		}
		hash.Write(request.Data)
		c.delay(len(request.Data))
	}
	if chunks == 0 {
		emit("upload_failed", map[string]any{"reason": errNoChunk.Error()})
		return errNoChunk
	}
	response := &agentcenter.FileUploadResponse{Status: agentcenter.FileUploadResponse_SUCCESS}
	if c.options.uploadFails {
		response.Status = agentcenter.FileUploadResponse_FAILED
	}
	emit("upload", map[string]any{
		"token": token, "bytes": bytes, "chunks": chunks, "largest_chunk": largest,
		"sha256": hex.EncodeToString(hash.Sum(nil)), "encoding": receivedEncoding(stream.Context()),
		"status": response.Status.String(),
	})
	return stream.SendMsg(response)
}
