// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc/credentials"
)

const handshakeTimeout = 30 * time.Second

// makeTLSConfig returns the TLS side of an Agent Center: a client certificate is required and verified, and the
// cipher suites of TLS 1.2 are those with forward secrecy (what Go offers since 1.22).
func makeTLSConfig(o *options) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(o.certificate, o.key)
	if err != nil {
		return nil, fmt.Errorf("-cert %s -key %s: %w", o.certificate, o.key, err)
	}
	pem, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, fmt.Errorf("-ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("-ca %s: no certificate in it", o.ca)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    roots,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		},
		NextProtos: []string{"h2"},
	}
	if o.noH2 {
		config.NextProtos = nil
	}
	versions := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	if config.MinVersion = versions[o.minTLS]; config.MinVersion == 0 {
		return nil, fmt.Errorf("-min-tls %s: 1.2 or 1.3", o.minTLS)
	}
	if config.MaxVersion = versions[o.maxTLS]; config.MaxVersion == 0 {
		return nil, fmt.Errorf("-max-tls %s: 1.2 or 1.3", o.maxTLS)
	}
	return config, nil
}

var errNoALPN = errors.New("the client did not negotiate h2")

// serverTLS does what grpc-go's own TLS credentials do since 1.67: a connection without ALPN "h2" is closed right
// after the handshake. It also reports failed handshakes.
type serverTLS struct {
	config *tls.Config
	noH2   bool
}

func (s *serverTLS) handshake(raw net.Conn) (*tls.Conn, error) {
	connection := tls.Server(raw, s.config)
	connection.SetDeadline(time.Now().Add(handshakeTimeout))
	err := connection.Handshake()
	if err == nil && !s.noH2 && connection.ConnectionState().NegotiatedProtocol != "h2" {
		err = errNoALPN
	}
	if err != nil {
		emit("handshake_failed", map[string]any{"peer": raw.RemoteAddr().String(), "error": err.Error()})
		connection.Close()
		return nil, err
	}
	connection.SetDeadline(time.Time{})
	state := connection.ConnectionState()
	emit("connection", map[string]any{
		"peer": raw.RemoteAddr().String(), "tls": map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[state.Version],
		"cipher": tls.CipherSuiteName(state.CipherSuite), "alpn": state.NegotiatedProtocol, "sni": state.ServerName,
		"client_serial": state.PeerCertificates[0].SerialNumber.Text(16), "resumed": state.DidResume,
	})
	return connection, nil
}

func (s *serverTLS) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	connection, err := s.handshake(raw)
	if err != nil {
		return nil, nil, err
	}
	return connection, credentials.TLSInfo{State: connection.ConnectionState()}, nil
}

func (s *serverTLS) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are for servers")
}

func (s *serverTLS) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls", SecurityVersion: "1.2"}
}

func (s *serverTLS) Clone() credentials.TransportCredentials { return &serverTLS{s.config, s.noH2} }

func (s *serverTLS) OverrideServerName(string) error { return nil }
