// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

const jsonType = "application/json; charset=utf-8"

// More than any list of servers, and than any agent should take.
const hugeBody = 11 << 20

// Between two parts of a body when the command does not say.
const defaultPause = 5 * time.Millisecond

// answer is one reply in the making.
type answer struct {
	w       http.ResponseWriter
	request *http.Request
	body    []byte
	pause   time.Duration
	changed chan struct{}
}

// answerMode sends a reply in one particular way.
type answerMode func(*answer)

var answerModes = map[string]answerMode{
	"normal":         normalAnswer,
	"html":           htmlAnswer,
	"never":          neverAnswer,
	"close":          closeAnswer,
	"close-mid-body": closeMidBodyAnswer,
	"chunked":        chunkedAnswer,
	"slow":           slowAnswer,
	"huge":           hugeAnswer,
	"garbage":        garbageAnswer,
	"no-data":        noDataAnswer,
	"redirect":       redirectAnswer,
}

func answerModeNamed(name string) (answerMode, error) {
	if mode := answerModes[name]; mode != nil {
		return mode, nil
	}
	if status, err := strconv.Atoi(name); err == nil && status >= 300 && status <= 599 {
		return func(a *answer) { reply(a.w, status, map[string]any{"msg": http.StatusText(status)}) }, nil
	}
	names := []string{"a status from 300 to 599"}
	for known := range answerModes {
		names = append(names, known)
	}
	sort.Strings(names)
	return nil, fmt.Errorf("no such mode; known are %s", strings.Join(names, ", "))
}

// normalAnswer has a Content-Length, but is chunked when it is longer than net/http's buffer, as the real one's.
func normalAnswer(a *answer) {
	a.w.Header().Set("Content-Type", jsonType)
	a.w.Write(a.body)
}

// htmlAnswer is what captive portals and misdirected ports say, with status 200.
func htmlAnswer(a *answer) {
	a.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(a.w, "<!DOCTYPE html><html><head><title>Welcome</title></head><body>Please log in.</body></html>\n")
}

// neverAnswer holds the request until the client gives up or the mode changes.
func neverAnswer(a *answer) {
	select {
	case <-a.request.Context().Done():
		emit("abandoned", map[string]any{"peer": a.request.RemoteAddr})
	case <-a.changed:
	}
	panic(http.ErrAbortHandler)
}

func closeAnswer(*answer) { panic(http.ErrAbortHandler) }

// closeMidBodyAnswer announces more than it sends.
func closeMidBodyAnswer(a *answer) {
	a.w.Header().Set("Content-Type", jsonType)
	a.w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	a.w.Write(a.body[:len(a.body)/2])
	a.flush()
	panic(http.ErrAbortHandler)
}

// chunkedAnswer sends the body in chunks of seven bytes.
func chunkedAnswer(a *answer) {
	a.w.Header().Set("Content-Type", jsonType)
	for rest := a.body; len(rest) > 0; {
		size := min(7, len(rest))
		a.w.Write(rest[:size])
		a.flush()
		rest = rest[size:]
	}
}

// slowAnswer sends everything, the head too, byte by byte.
func slowAnswer(a *answer) {
	hijacker, ok := a.w.(http.Hijacker)
	if !ok {
		return
	}
	connection, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
		jsonType, len(a.body))
	pause := a.pause
	if pause == 0 {
		pause = defaultPause
	}
	for _, b := range append([]byte(head), a.body...) {
		if _, err := connection.Write([]byte{b}); err != nil {
			emit("abandoned", map[string]any{"peer": a.request.RemoteAddr})
			return
		}
		time.Sleep(pause)
	}
}

// hugeAnswer is well-formed and far too long.
func hugeAnswer(a *answer) {
	a.w.Header().Set("Content-Type", jsonType)
	a.w.Write([]byte(`{"data":[],"msg":"`))
	filler := bytes.Repeat([]byte{'x'}, 1<<16)
	for sent := 0; sent < hugeBody; sent += len(filler) {
		if _, err := a.w.Write(filler); err != nil {
			emit("abandoned", map[string]any{"peer": a.request.RemoteAddr})
			return
		}
	}
	a.w.Write([]byte(`"}`))
}

// garbageAnswer claims to be JSON.
func garbageAnswer(a *answer) {
	a.w.Header().Set("Content-Type", jsonType)
	a.w.Write([]byte("{\"data\":[{\"ip\":\"127.0.0.1\",\"port\":\x00\xff"))
}

// noDataAnswer is JSON of another service.
func noDataAnswer(a *answer) {
	reply(a.w, http.StatusOK, map[string]any{"code": 0, "message": "hello"})
}

func redirectAnswer(a *answer) {
	http.Redirect(a.w, a.request, "http://127.0.0.1:1/elsewhere", http.StatusFound)
}

func (a *answer) flush() {
	if flusher, ok := a.w.(http.Flusher); ok {
		flusher.Flush()
	}
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
