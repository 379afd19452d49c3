package lpa

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// A card that refuses the package while it arrives: the rest is not waited for,
// and the server hears of the cancellation after the line is free of it.
func TestCardRefusesWhileThePackageArrives(t *testing.T) {
	l := newLab(t)
	inner, gone := l.server.Handler(), make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/getBoundProfilePackage"):
			whole := httptest.NewRecorder()
			inner.ServeHTTP(whole, r)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			close(gone)
			return
		case strings.HasSuffix(r.URL.Path, "/cancelSession"):
			select {
			case <-gone:
			case <-r.Context().Done(): // nobody has hung up, and we did not answer
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	s.TLS = l.server.TLSConfig()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	l.cfg.HTTP.Resolve[testHost] = s.Listener.Addr().String()

	code := l.order(smdpsim.Order{})
	o, err := l.open().Authenticate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	l.card.SetFault(euiccsim.Fault{Kind: euiccsim.FaultStatus, SW: 0x6A80, Tag: 0xBF36})
	r, err := o.Download(t.Context(), "", nil)
	if e, ok := errors.AsType[*euicc.Error](err); !ok || r != nil || e.Code != "sw-6A80" {
		t.Fatalf("%+v, %v", r, err)
	}
	if x := o.Cancellation(); x == nil || !x.Delivered || x.Reason != euicc.CancelLoadBPPError {
		t.Errorf("%+v", x)
	}
}
