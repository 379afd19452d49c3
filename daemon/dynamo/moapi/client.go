package moapi

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/dynamo/call"
)

// Client asks one operator's API. It is safe for concurrent use, and its errors
// are *call.Error.
type Client struct {
	api cosa.MOAPI
	*call.Caller
}

// New returns a client that makes its calls by rt, each with an ID of newID's.
func New(api cosa.MOAPI, rt http.RoundTripper, newID func() string, now func() time.Time) *Client {
	return &Client{api, call.New("the operator's API", rt, func(r *http.Request) {
		if api.Username != "" {
			r.SetBasicAuth(api.Username, api.Password.Reveal())
		}
	}, newID, now)}
}

// Transport returns a transport with the record's certificate and key. The files
// are read here, once.
func Transport(api cosa.MOAPI) (*http.Transport, error) {
	t := &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: call.Timeout, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4, MaxResponseHeaderBytes: 32 << 10,
		Proxy: http.ProxyFromEnvironment,
	}
	if api.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(api.CertFile, api.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("certificate of the operator's API: %w", err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// base is where something is asked for: its own place, or the API's.
func (c *Client) base(op, own string) (string, error) {
	if own == "" {
		own = c.api.BaseURL
	}
	if own == "" {
		return "", &call.Error{Op: op, Code: call.CodeNoAPI, Text: "the operator's record has no address for it"}
	}
	return own, nil
}
