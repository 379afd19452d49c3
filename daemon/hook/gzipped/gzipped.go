// Package gzipped answers with what is embedded compressed, so that it costs the
// binary as little as it costs the line.
package gzipped

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Write answers with body, a gzip file, as it is or uncompressed: what the request
// takes. The other headers are the caller's. The error is that body is no gzip file;
// nothing was answered then.
func Write(w http.ResponseWriter, r *http.Request, body []byte) error {
	coded := accepted(r.Header.Values("Accept-Encoding"))
	if !coded {
		var err error
		if body, err = Plain(body); err != nil {
			return err
		}
	}
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	if coded {
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body) // an error here is the client's going away
	}
	return nil
}

// Plain is what is in a gzip file.
func Plain(body []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// accepted reads Accept-Encoding (RFC 9110, 12.5.3).
func accepted(values []string) bool {
	for one := range strings.SplitSeq(strings.Join(values, ","), ",") {
		coding, weight, _ := strings.Cut(strings.ReplaceAll(one, " ", ""), ";")
		if strings.EqualFold(coding, "gzip") || coding == "*" {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ToLower(weight), "q="), 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}
