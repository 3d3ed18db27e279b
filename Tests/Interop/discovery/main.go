// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// interop-discovery stands in for Elkeid's Service Discovery, and for the HTTP proxies on the way to it and to the
// servers, with a line-based interface for tests. See README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
)

type options struct {
	listen       string
	connectProxy bool
	proxyAuth    string
}

func main() {
	o := &options{}
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address and port; port 0 takes a free one")
	flag.BoolVar(&o.connectProxy, "connect-proxy", false, "answer CONNECT with a tunnel")
	flag.StringVar(&o.proxyAuth, "proxy-auth", "", "user:password that is asked of whoever uses the proxy")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "interop-discovery:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	registry := newRegistry()
	proxy := newProxy(o)
	server := &http.Server{Handler: &front{options: o, registry: registry, proxy: proxy}}
	emit("listening", map[string]any{"address": listener.Addr().String()})

	failed := make(chan error, 2)
	go func() { failed <- server.Serve(listener) }()
	go func() { failed <- obey(os.Stdin, registry, proxy) }()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// front takes every request: those for a proxy, and those for Service Discovery itself.
type front struct {
	options  *options
	registry *registry
	proxy    *proxy
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		f.proxy.connect(w, r)
	case r.URL.IsAbs():
		emitRequest(r, true)
		f.proxy.forward(w, r)
	default:
		emitRequest(r, false)
		f.registry.answer(w, r)
	}
}

func emitRequest(r *http.Request, proxied bool) {
	emit("request", map[string]any{
		"method": r.Method, "path": r.URL.Path, "query": r.URL.RawQuery, "host": r.Host, "proxy": proxied,
		"user_agent": r.UserAgent(), "protocol": r.Proto, "peer": r.RemoteAddr, "credentials": credentials(r),
	})
}
