package es9p

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// SGP.22 2.6.7.1 lets servers have keys on NIST's or on Brainpool's curves, and
// crypto/tls has only the former. To such a server no connection is possible;
// what is possible is to say so.

// curveError is a handshake with a server that has only Brainpool curves.
type curveError struct{ err error }

func (e *curveError) Error() string { return e.err.Error() }
func (e *curveError) Unwrap() error { return e.err }

// explain turns the error of a failed handshake into a *curveError if that is
// why: a certificate of the server's has a key that crypto/x509 does not know, or
// the server refused all that was offered, but takes an offer of Brainpool curves.
func (d *dialer) explain(ctx context.Context, network, address string, err error) error {
	// Neither package has an error value for these two.
	if strings.Contains(err.Error(), "unsupported elliptic curve") {
		return &curveError{err}
	}
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" || !strings.Contains(remote.Err.Error(), "handshake failure") {
		return err
	}
	if d.takesBrainpool(ctx, network, address) {
		return &curveError{err}
	}
	return err
}

// takesBrainpool offers a server Brainpool curves and no other, and reports
// whether it goes on from there.
func (d *dialer) takesBrainpool(ctx context.Context, network, address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return false
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return false
	}
	if _, err := conn.Write(brainpoolHello(host)); err != nil {
		return false
	}
	var answer [6]byte // record header and type of the first message
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return false
	}
	const handshake, serverHello = 22, 2
	return answer[0] == handshake && answer[5] == serverHello
}

// brainpoolHello is a ClientHello of TLS 1.2 (RFC 5246, 7.4.1.2) with the curves
// brainpoolP256r1, P384r1 and P512r1 (RFC 7027) and ECDSA cipher suites.
func brainpoolHello(host string) []byte {
	u16 := func(b []byte, v ...int) []byte {
		for _, x := range v {
			b = append(b, byte(x>>8), byte(x))
		}
		return b
	}
	extension := func(b []byte, id int, value []byte) []byte { return append(u16(b, id, len(value)), value...) }
	var ext []byte
	if net.ParseIP(host) == nil {
		name := append(u16([]byte{0}, len(host)), host...)
		ext = extension(ext, 0, append(u16(nil, len(name)), name...)) // server_name
	}
	ext = extension(ext, 10, u16(nil, 6, 26, 27, 28))                                      // supported_groups
	ext = extension(ext, 11, []byte{1, 0})                                                 // ec_point_formats: uncompressed
	ext = extension(ext, 13, u16(nil, 12, 0x0403, 0x0503, 0x0603, 0x081A, 0x081B, 0x081C)) // signature_algorithms
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	body := u16(nil, 0x0303)
	body = append(body, random[:]...)
	body = append(body, 0)                                                          // session ID
	body = u16(body, 8, 0xC02B, 0xC02C, 0xC023, 0xC024)                             // ECDHE-ECDSA with AES
	body = append(body, 1, 0)                                                       // compression: none
	body = append(u16(body, len(ext)), ext...)                                      // extensions
	message := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...) // ClientHello
	return append(append(u16([]byte{22}, 0x0301), u16(nil, len(message))...), message...)
}
