// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
)

// registerCompressors makes gRPC know the three encodings an Agent Center knows, except those refused: a call in
// such an encoding then ends with UNIMPLEMENTED, as it does at any server without that encoding.
func registerCompressors(refused map[string]bool) error {
	all := map[string]*pooledCompressor{
		"gzip": {
			newWriter: func() resettableWriter { return gzip.NewWriter(io.Discard) },
			newReader: func() resettableReader { return new(gzip.Reader) },
		},
		"snappy": {
			newWriter: func() resettableWriter { return snappy.NewBufferedWriter(io.Discard) },
			newReader: func() resettableReader { return &snappyReader{snappy.NewReader(nil)} },
		},
		"zstd": {
			newWriter: func() resettableWriter {
				writer, _ := zstd.NewWriter(io.Discard, zstd.WithEncoderConcurrency(1))
				return writer
			},
			newReader: func() resettableReader {
				reader, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
				return reader
			},
		},
	}
	for name := range refused {
		if all[name] == nil {
			return fmt.Errorf("-refuse-encoding %s: known are gzip, snappy and zstd", name)
		}
		delete(all, name)
	}
	for name, compressor := range all {
		compressor.name = name
		encoding.RegisterCompressor(compressor)
	}
	return nil
}

type resettableWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

type resettableReader interface {
	io.Reader
	Reset(io.Reader) error
}

// snappyReader gives snappy's reader the Reset of the other two.
type snappyReader struct{ *snappy.Reader }

func (r *snappyReader) Reset(source io.Reader) error {
	r.Reader.Reset(source)
	return nil
}

// compressedMessages counts the messages that arrived compressed; atomic.
var compressedMessages uint64

// pooledCompressor is an encoding.Compressor that keeps its writers and readers for reuse.
type pooledCompressor struct {
	name      string
	newWriter func() resettableWriter
	newReader func() resettableReader
	writers   sync.Pool
	readers   sync.Pool
}

func (c *pooledCompressor) Name() string { return c.name }

func (c *pooledCompressor) Compress(sink io.Writer) (io.WriteCloser, error) {
	writer, ok := c.writers.Get().(resettableWriter)
	if !ok {
		writer = c.newWriter()
	}
	writer.Reset(sink)
	return &pooledWriter{writer, &c.writers}, nil
}

func (c *pooledCompressor) Decompress(source io.Reader) (io.Reader, error) {
	atomic.AddUint64(&compressedMessages, 1)
	reader, ok := c.readers.Get().(resettableReader)
	if !ok {
		reader = c.newReader()
	}
	if err := reader.Reset(source); err != nil {
		c.readers.Put(reader)
		return nil, err
	}
	return &pooledReader{reader, &c.readers}, nil
}

type pooledWriter struct {
	resettableWriter
	pool *sync.Pool
}

func (w *pooledWriter) Close() error {
	err := w.resettableWriter.Close()
	w.pool.Put(w.resettableWriter)
	return err
}

type pooledReader struct {
	resettableReader
	pool *sync.Pool
}

func (r *pooledReader) Read(p []byte) (int, error) {
	if r.resettableReader == nil {
		return 0, io.EOF
	}
	n, err := r.resettableReader.Read(p)
	if err == io.EOF {
		r.pool.Put(r.resettableReader)
		r.resettableReader = nil
	}
	return n, err
}
