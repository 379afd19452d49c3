package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// bundleEnd is the trailer that tells a whole archive from one that broke off.
const bundleEnd = "Bundle-Complete"

// bundle streams the archive for who helps.
func (s *Server) bundle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Trailer", bundleEnd)
	if err := s.daemon.Bundle(r.Context(), w); err != nil {
		s.log.Warn("the bundle broke off", "error", err)
		return
	}
	w.Header().Set(bundleEnd, "yes")
}

// Bundle writes the daemon's archive, tar.gz, to w.
func (c *Client) Bundle(ctx context.Context, w io.Writer) error {
	resp, err := c.send(ctx, http.MethodGet, "/v1/bundle", nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if resp.Trailer.Get(bundleEnd) != "yes" {
		return errors.New("the bundle broke off")
	}
	return nil
}
