// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// For a proxy to reach what it is asked for.
const dialTimeout = 5 * time.Second

// proxy forwards requests in absolute form, and makes tunnels for CONNECT.
type proxy struct {
	options *options

	mutex     sync.Mutex
	mode      string
	addresses map[string]string
}

func newProxy(o *options) *proxy {
	return &proxy{options: o, mode: "normal", addresses: make(map[string]string)}
}

// setMode takes "normal", "never", "close", "slow" (CONNECT only), or a status to refuse everything with.
func (p *proxy) setMode(mode string) error {
	switch mode {
	case "normal", "never", "close", "slow":
	default:
		if status, err := strconv.Atoi(mode); err != nil || status < 300 || status > 599 {
			return fmt.Errorf("no such mode; known are normal, never, close, slow and a status from 300 to 599")
		}
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.mode = mode
	return nil
}

// resolve makes the proxy know a name that nobody else does: host is name:port, address where it leads.
func (p *proxy) resolve(host, address string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.addresses[host] = address
}

func (p *proxy) target(host string) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if address := p.addresses[host]; address != "" {
		return address
	}
	return host
}

// credentials are those of Proxy-Authorization, "user:password"; empty if there are none.
func credentials(r *http.Request) string {
	fields := strings.Fields(r.Header.Get("Proxy-Authorization"))
	if len(fields) != 2 || !strings.EqualFold(fields[0], "Basic") {
		return ""
	}
	text, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return ""
	}
	return string(text)
}

// refusal answers those who may not use the proxy, or nobody may; 0 if the request may go on.
func (p *proxy) refusal(w http.ResponseWriter, r *http.Request) int {
	p.mutex.Lock()
	mode := p.mode
	p.mutex.Unlock()
	status := 0
	switch {
	case mode == "never":
		<-r.Context().Done()
		emit("abandoned", map[string]any{"peer": r.RemoteAddr})
		panic(http.ErrAbortHandler)
	case mode == "close":
		panic(http.ErrAbortHandler)
	case p.options.proxyAuth != "" && credentials(r) != p.options.proxyAuth:
		w.Header().Set("Proxy-Authenticate", `Basic realm="interop"`)
		status = http.StatusProxyAuthRequired
	case mode != "normal" && mode != "slow":
		status, _ = strconv.Atoi(mode)
	default:
		return 0
	}
	http.Error(w, http.StatusText(status), status)
	return status
}

// forward passes a request on to the host that it names.
func (p *proxy) forward(w http.ResponseWriter, r *http.Request) {
	if p.refusal(w, r) != 0 {
		return
	}
	onward := r.Clone(r.Context())
	onward.RequestURI = ""
	onward.Header.Del("Proxy-Authorization")
	onward.Header.Del("Proxy-Connection")
	host := r.URL.Host
	if r.URL.Port() == "" {
		host = net.JoinHostPort(r.URL.Hostname(), "80")
	}
	onward.URL.Host = p.target(host)
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(onward)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	io.Copy(w, response.Body)
}

// connect makes a tunnel to the host that is named, and reports each attempt once its fate is known.
func (p *proxy) connect(w http.ResponseWriter, r *http.Request) {
	details := map[string]any{
		"target": r.RequestURI, "host": r.Host, "user_agent": r.UserAgent(), "protocol": r.Proto,
		"credentials": credentials(r), "peer": r.RemoteAddr,
	}
	status := http.StatusMethodNotAllowed
	if p.options.connectProxy {
		status = p.refusal(w, r)
	} else {
		http.Error(w, "no tunnels here", status)
	}
	if status != 0 {
		details["status"] = status
		emit("connect", details)
		return
	}
	server, err := net.DialTimeout("tcp", p.target(r.RequestURI), dialTimeout)
	if err != nil {
		details["status"], details["error"] = http.StatusBadGateway, err.Error()
		emit("connect", details)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	client, buffered, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	details["status"] = http.StatusOK
	emit("connect", details)
	p.mutex.Lock()
	slow := p.mode == "slow"
	p.mutex.Unlock()
	if err := establish(client, slow); err != nil {
		return
	}
	var up, down int64
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		// What came with the request is in the buffer.
		up, _ = io.Copy(server, buffered)
		halfClose(server)
	}()
	go func() {
		defer both.Done()
		down, _ = io.Copy(client, server)
		halfClose(client)
	}()
	both.Wait()
	emit("tunnel_ended", map[string]any{"target": r.RequestURI, "peer": r.RemoteAddr, "up": up, "down": down})
}

// establish says that the tunnel stands; slowly means byte by byte.
func establish(client net.Conn, slowly bool) error {
	head := []byte("HTTP/1.1 200 Connection established\r\nProxy-Agent: interop\r\n\r\n")
	if !slowly {
		_, err := client.Write(head)
		return err
	}
	for _, b := range head {
		if _, err := client.Write([]byte{b}); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

func halfClose(connection net.Conn) {
	if tcp, ok := connection.(*net.TCPConn); ok {
		tcp.CloseWrite()
	}
}
