package euiccsim

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/damonto/euicc-go/lpa"

	"dynamod/euicc/smdpsim"
)

// cardChannel is the card as euicc-go's apdu.SmartCardChannel: what its drivers
// make of a card reader.
type cardChannel struct{ card *Card }

func (c cardChannel) Connect() error                          { return nil }
func (c cardChannel) Disconnect() error                       { return nil }
func (c cardChannel) Transmit(command []byte) ([]byte, error) { return c.card.APDU(command), nil }

func (c cardChannel) OpenLogicalChannel(aid []byte) (byte, error) {
	s, err := c.card.Open(context.Background(), aid)
	if err != nil {
		return 0, err
	}
	return s[0] - '0', nil
}

func (c cardChannel) CloseLogicalChannel(n byte) error {
	return c.card.Close(context.Background(), string('0'+rune(n)))
}

// direct sends every request to a handler.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// server is this project's SM-DP+, which shares no code with the card
// but the cryptography of packages and the certificates.
func (l *lab) server() *smdpsim.Server {
	l.Helper()
	s, err := smdpsim.New(smdpsim.Config{Address: "smdpp.lab.test", CI: l.ci, Now: func() time.Time { return testNow }})
	if err != nil {
		l.Fatal(err)
	}
	return s
}

// TestEuiccGo lets somebody else's LPA, github.com/damonto/euicc-go v1.1.2, do
// everything that it can with the card.
func TestEuiccGo(t *testing.T) {
	for _, t0 := range []bool{false, true} {
		t.Run(map[bool]string{false: "data at once", true: "GET RESPONSE"}[t0], func(t *testing.T) { testEuiccGo(t, t0) })
	}
}

func testEuiccGo(t *testing.T, t0 bool) {
	l := newLab(t, func(c *Config) { c.GetResponse, c.DefaultDP = t0, "dp.lab.test" })
	server := l.server()
	upp := testUPP(t, testICCID, 5000)
	if _, err := server.AddOrder(smdpsim.Order{MatchingID: "LAB-1", UPP: upp, ConfirmationCode: "2468", Metadata: smdpsim.Metadata{Provider: "Lab", Name: "Mast"}}); err != nil {
		t.Fatal(err)
	}
	client, err := lpa.New(&lpa.Options{Channel: cardChannel{l.card}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	client.HTTP.Client = &http.Client{Transport: direct{server.Handler()}}
	defer client.Close()

	if eid, err := client.EID(); err != nil || hex.EncodeToString(eid) != testEID {
		t.Errorf("EID %x, %v", eid, err)
	}
	if _, err := client.EUICCInfo2(); err != nil {
		t.Error(err)
	}
	if a, err := client.EUICCConfiguredAddresses(); err != nil || a.DefaultSMDPAddress != "dp.lab.test" {
		t.Errorf("addresses %+v, %v", a, err)
	}
	if list, err := client.ListProfile(nil, nil); err != nil || len(list) != 0 {
		t.Errorf("profiles %v, %v", list, err)
	}

	var code lpa.ActivationCode
	if err := code.UnmarshalText([]byte("LPA:1$smdpp.lab.test$LAB-1")); err != nil {
		t.Fatal(err)
	}
	code.IMEI, code.ConfirmationCode = "356938035643809", "2468"
	if _, err := client.DownloadProfile(t.Context(), &code, &lpa.DownloadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := l.card.Installed(); len(got) != 1 || !bytes.Equal(got[0].Package, upp) {
		t.Fatal("the card does not hold the package that the server was given")
	}
	list, err := client.ListProfile(nil, nil)
	if err != nil || len(list) != 1 || list[0].ICCID.String() != testICCID || list[0].ProfileName != "Mast" {
		t.Fatalf("profiles %+v, %v", list, err)
	}
	if err := client.EnableProfile(list[0].ICCID, false); err != nil {
		t.Fatal(err)
	}
	if err := client.SetNickname(list[0].ICCID, "mast 7"); err != nil {
		t.Error(err)
	}
	if err := client.DisableProfile(list[0].ISDPAID, false); err != nil {
		t.Error(err)
	}
	if err := client.DeleteProfile(list[0].ICCID); err != nil {
		t.Error(err)
	}

	notes, err := client.ListNotification()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notes {
		pending, err := client.RetrieveNotificationList(n.SequenceNumber)
		if err != nil || len(pending) != 1 {
			t.Fatalf("notification %d: %d, %v", n.SequenceNumber, len(pending), err)
		}
		if err := client.HandleNotification(pending[0]); err != nil {
			t.Error(err)
		}
		if err := client.RemoveNotificationFromList(n.SequenceNumber); err != nil {
			t.Error(err)
		}
	}
	var ops []string
	for _, n := range server.Notifications() {
		ops = append(ops, n.Operation.String())
		if !n.Verified || n.EID != testEID || n.ICCID != testICCID {
			t.Errorf("the server does not believe %+v", n)
		}
	}
	if !slices.Equal(ops, []string{"install", "enable", "disable", "delete"}) || len(l.card.Pending()) != 0 {
		t.Errorf("notifications %v, %d left on the card", ops, len(l.card.Pending()))
	}
}
