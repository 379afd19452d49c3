//go:build !nodemo

package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/dynamo/dynamosim"
	"dynamod/euicc/smdpsim"
)

// Where the lab's operator has its portal.
const (
	PortalHost = netlab.PortalName
	PortalURL  = "https://" + PortalHost + "/mp"
)

// Seller is the lab's operator as a shop: each profile that is bought is an order at
// the lab's SM-DP+, for the card that it was bought for.
func (l *Lab) Seller(now func() time.Time) *dynamosim.Operator {
	o := dynamosim.New(Operator, now)
	o.NewProfile = func(eid string) (code, iccid string, err error) {
		upp, err := l.newProfile("")
		if err != nil {
			return "", "", err
		}
		p, err := l.offer("", smdpsim.Order{UPP: upp, EID: eid, Metadata: smdpsim.Metadata{Provider: Operator, Name: "Plan of 1 GB", Owner: owner}})
		return p.Code, p.ICCID, err
	}
	return o
}

// labPortal is the record of the lab's portal.
func labPortal() cosa.OperatorProfile {
	return cosa.OperatorProfile{
		ID: "lab-portal", Name: Operator, Country: "de", Source: cosa.SourceLocal, Rank: cosa.DefaultRank,
		Portal: cosa.Portal{URL: PortalURL, CallbackHosts: []string{PortalHost}, MCCMNC: []string{PLMN},
			ICCIDRanges: []cosa.Range{{Lo: "8900101000000000000", Hi: "8900101000009999999"}}},
	}
}

// WritePortal puts the record of the lab's portal into operators.d below dir.
func WritePortal(dir string) error {
	var b bytes.Buffer
	if err := cosa.WriteJSON(&b, []cosa.OperatorProfile{labPortal()}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "operators.d", "portal.json"), b.Bytes(), 0o644)
}

// shopper is who opens a portal, and what runs in his browser, without one.
type shopper struct {
	browser http.RoundTripper
	n       int
}

// bought is what comes back from a portal.
type bought struct {
	envelope  string // the callback, as the operator's script sends it
	operation string
	page      string // that the portal was opened with
}

var (
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	pageCall    = regexp.MustCompile(`(?s)<script type="application/json" id="call">(.*?)</script>`)
)

// buy opens the portal at address and takes a ware of its page, by the ID of its
// button.
func (s *shopper) buy(address, ware string) (bought, error) {
	u, err := url.Parse(address)
	if err != nil {
		return bought{}, err
	}
	page, err := s.ask(http.MethodGet, u.RequestURI(), nil)
	if err != nil {
		return bought{}, err
	}
	form := url.Values{"ware": {ware}}
	for _, m := range hiddenInput.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	if !strings.Contains(page, `value="`+ware+`"`) {
		return bought{}, fmt.Errorf("the portal does not sell %s", ware)
	}
	answer, err := s.ask(http.MethodPost, "/mp/buy", form)
	if err != nil {
		return bought{}, err
	}
	m := pageCall.FindStringSubmatch(answer)
	if m == nil {
		return bought{}, errors.New("the portal's page calls nothing")
	}
	var call map[string]any
	if err := json.Unmarshal([]byte(m[1]), &call); err != nil {
		return bought{}, err
	}
	b, err := s.envelope(u, call)
	b.page = page
	return b, err
}

// envelope is what the operator's script makes of a call.
func (s *shopper) envelope(u *url.URL, call map[string]any) (bought, error) {
	s.n++
	operation := fmt.Sprintf("operation-%d", s.n)
	call["transactionId"], call["state"], call["operation"] = u.Query().Get("transactionId"), u.Query().Get("state"), operation
	text, err := json.Marshal(call)
	return bought{envelope: string(text), operation: operation}, err
}

func (s *shopper) ask(method, target string, form url.Values) (string, error) {
	r, err := http.NewRequest(method, "https://"+PortalHost+target, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.browser.RoundTrip(r)
	if err != nil {
		return "", fmt.Errorf("the portal: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the portal: %s %.200s", resp.Status, text)
	}
	return string(text), err
}

// inProcess asks a server that is in the same process.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}
