// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package selftest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const lookup = "/registry/detail?name=hids_svr_grpc&count=10"

// get asks once, over a connection of its own.
func get(t *testing.T, address, path string, through *url.URL) (status int, header http.Header, body string, err error) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	if through != nil {
		transport.Proxy = http.ProxyURL(through)
	}
	client := http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Get("http://" + address + path)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(text), err
}

func registry(s *server, entries ...string) {
	s.tell(`{"cmd":"registry","entries":[`+strings.Join(entries, ",")+`]}`, "done")
}

func TestRegistryDetail(t *testing.T) {
	s := run(t, "interop-discovery")
	status, header, body, err := get(t, s.address, lookup, nil)
	if err != nil || status != 200 || body != `{"data":[],"msg":"ok"}` ||
		header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Error(status, header, body, err)
	}
	if e := s.expect("request"); e["path"] != "/registry/detail" || e["query"] != "name=hids_svr_grpc&count=10" ||
		e["host"] != s.address || e["proxy"] != false || e["user_agent"] != "Go-http-client/1.1" {
		t.Error(e)
	}
	registry(s, `{"ip":"10.0.0.1","port":6751,"weight":7}`, `{"ip":"10.0.0.2","port":6751,"status":4}`,
		`{"ip":"10.0.0.3","port":6751,"weight":1}`)
	orders := make(map[string]bool)
	for len(orders) < 2 {
		_, _, body, err := get(t, s.address, lookup, nil)
		var reply struct {
			Message string `json:"msg"`
			Code    *int   `json:"code"`
			Data    []map[string]any
		}
		if err != nil || json.Unmarshal([]byte(body), &reply) != nil || reply.Message != "ok" || reply.Code != nil ||
			len(reply.Data) != 3 {
			t.Fatal(body, err)
		}
		order := ""
		for _, entry := range reply.Data {
			order += entry["ip"].(string)
			for _, key := range []string{"name", "ip", "port", "status", "create_at", "update_at", "weight", "extra"} {
				if _, ok := entry[key]; !ok {
					t.Errorf("no %s in %v", key, entry)
				}
			}
		}
		orders[order] = true
	}
	// As many as there are, whatever the count.
	if _, _, body, _ := get(t, s.address, "/registry/detail?name=hids_svr_grpc&count=1", nil); strings.Count(body, `"ip"`) != 3 {
		t.Error(body)
	}
	if status, _, body, _ := get(t, s.address, "/registry/detail", nil); status != 400 || body != `{"msg":"no server name"}` {
		t.Error(status, body)
	}
	if status, _, body, _ := get(t, s.address, "/", nil); status != 404 || body != "404 page not found" {
		t.Error(status, body)
	}
}

func TestAnswerModes(t *testing.T) {
	s := run(t, "interop-discovery")
	registry(s, `{"ip":"10.0.0.1","port":6751}`)
	_, _, normal, _ := get(t, s.address, lookup, nil)
	cases := []struct {
		mode   string
		status int
		check  func(body string) bool
		failed bool
	}{
		{mode: "normal", status: 200, check: func(b string) bool { return b == normal }},
		{mode: "chunked", status: 200, check: func(b string) bool { return b == normal }},
		{mode: "slow", status: 200, check: func(b string) bool { return b == normal }},
		{mode: "500", status: 500, check: func(b string) bool { return b == `{"msg":"Internal Server Error"}` }},
		{mode: "html", status: 200, check: func(b string) bool { return strings.Contains(b, "<html>") }},
		{mode: "huge", status: 200, check: func(b string) bool { return len(b) > 11<<20 && json.Valid([]byte(b)) }},
		{mode: "garbage", status: 200, check: func(b string) bool { return !json.Valid([]byte(b)) }},
		{mode: "no-data", status: 200, check: func(b string) bool { return !strings.Contains(b, "data") }},
		{mode: "redirect", status: 302, check: func(string) bool { return true }},
		{mode: "close", failed: true},
		{mode: "close-mid-body", failed: true},
	}
	for _, c := range cases {
		s.tell(`{"cmd":"mode","mode":"`+c.mode+`","delay_ms":1}`, "done")
		status, header, body, err := get(t, s.address, lookup, nil)
		if (err != nil) != c.failed || err == nil && (status != c.status || !c.check(body)) {
			t.Errorf("%s: %d %.200s %v", c.mode, status, body, err)
		}
		if c.mode == "chunked" && header.Get("Content-Length") != "" {
			t.Error(header)
		}
	}
	s.tell(`{"cmd":"mode","mode":"sideways"}`, "command_failed")

	s.tell(`{"cmd":"mode","mode":"never"}`, "done")
	ctx, cancel := context.WithCancel(context.Background())
	request, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.address+lookup, nil)
	failed := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(request)
		failed <- err
	}()
	s.expect("request")
	cancel()
	if err := <-failed; err == nil {
		t.Error("an answer")
	}
	s.expect("abandoned")
}

func proxyURL(s *server, credentials string) *url.URL {
	address, _ := url.Parse("http://" + credentials + s.address)
	return address
}

func TestClock(t *testing.T) {
	s := run(t, "interop-discovery")
	for _, skew := range []time.Duration{0, -48 * time.Hour, 2 * time.Hour, 0} {
		s.tell(fmt.Sprintf(`{"cmd":"clock","seconds":%d}`, int(skew.Seconds())), "done")
		_, header, _, err := get(t, s.address, lookup, nil)
		date, problem := http.ParseTime(header.Get("Date"))
		if err != nil || problem != nil || time.Until(date.Add(-skew)).Abs() > time.Minute {
			t.Error(skew, header, err, problem)
		}
	}
}

func TestForwardProxy(t *testing.T) {
	target, proxy := run(t, "interop-discovery"), run(t, "interop-discovery", "-proxy-auth", "me:p:w")
	proxy.tell(`{"cmd":"resolve","host":"sd.invalid:8088","address":"`+target.address+`"}`, "done")
	if status, _, _, err := get(t, "sd.invalid:8088", lookup, proxyURL(proxy, "")); status != 407 {
		t.Error(status, err)
	}
	proxy.expect("request")
	status, _, body, err := get(t, "sd.invalid:8088", lookup, proxyURL(proxy, "me:p%3Aw@"))
	if status != 200 || body != `{"data":[],"msg":"ok"}` {
		t.Error(status, body, err)
	}
	if e := proxy.expect("request"); e["proxy"] != true || e["host"] != "sd.invalid:8088" || e["credentials"] != "me:p:w" {
		t.Error(e)
	}
	if e := target.expect("request"); e["proxy"] != false || e["credentials"] != "" || e["host"] != "sd.invalid:8088" {
		t.Error(e)
	}
	proxy.tell(`{"cmd":"proxy_mode","mode":"502"}`, "done")
	if status, _, _, err := get(t, "sd.invalid:8088", lookup, proxyURL(proxy, "me:p%3Aw@")); status != 502 {
		t.Error(status, err)
	}
}

func TestConnectProxy(t *testing.T) {
	s := start(t, "elkeid")
	proxy := run(t, "interop-discovery", "-connect-proxy", "-proxy-auth", "me:pw")
	proxy.tell(`{"cmd":"resolve","host":"ac.invalid:6751","address":"`+s.address+`"}`, "done")
	for _, c := range []struct {
		authorization, mode string
		status              float64
	}{
		{"", "normal", 407}, {"Basic bWU6cHc=", "normal", 200}, {"Basic bWU6cHc=", "slow", 200}, {"Basic bWU6cHc=", "403", 403},
	} {
		proxy.tell(`{"cmd":"proxy_mode","mode":"`+c.mode+`"}`, "done")
		connection, err := net.Dial("tcp", proxy.address)
		if err != nil {
			t.Fatal(err)
		}
		connection.SetDeadline(time.Now().Add(patience))
		request := "CONNECT ac.invalid:6751 HTTP/1.1\r\nHost: ac.invalid:6751\r\n"
		if c.authorization != "" {
			request += "Proxy-Authorization: " + c.authorization + "\r\n"
		}
		io.WriteString(connection, request+"\r\n")
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			b := make([]byte, 1)
			if _, err := io.ReadFull(connection, b); err != nil {
				t.Fatal(head, err)
			}
			head += string(b)
		}
		if !strings.HasPrefix(head, fmt.Sprintf("HTTP/1.1 %v ", c.status)) {
			t.Error(head)
		}
		if e := proxy.expect("connect"); e["status"] != c.status || e["target"] != "ac.invalid:6751" {
			t.Error(e)
		}
		if c.status == 200 {
			config := clientTLS(t, "elkeid")
			config.NextProtos = []string{"h2"}
			if err := tls.Client(connection, config).Handshake(); err != nil {
				t.Error(err)
			}
			s.expect("connection")
		}
		connection.Close()
		if c.status == 200 {
			if e := proxy.expect("tunnel_ended"); e["up"].(float64) == 0 || e["down"].(float64) == 0 {
				t.Error(e)
			}
		}
	}
}
