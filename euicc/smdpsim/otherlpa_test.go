package smdpsim

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	euiccgo "github.com/damonto/euicc-go/lpa"
	"github.com/damonto/euicc-go/v2"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

// isdr gives the test card the APDU side that somebody else's LPA needs: STORE
// DATA in blocks, GET RESPONSE, and the ES10 functions of a download.
type isdr struct {
	*card
	command, bpp, answer []byte
	pb                   []byte // DPpb certificate of this session
	pending              map[int64][]byte
	got                  *installed
	iccid                string
}

func newISDR(c *card) *isdr { return &isdr{card: c, pending: map[int64][]byte{}} }

// Of euicc-go's apdu.SmartCardChannel.
func (i *isdr) Connect() error                          { return nil }
func (i *isdr) Disconnect() error                       { return nil }
func (i *isdr) OpenLogicalChannel([]byte) (byte, error) { return 1, nil }
func (i *isdr) CloseLogicalChannel(byte) error          { return nil }

func (i *isdr) Transmit(apdu []byte) ([]byte, error) {
	if len(apdu) < 5 {
		return []byte{0x67, 0x00}, nil
	}
	switch apdu[1] {
	case 0xE2:
		data := apdu[5 : 5+int(apdu[4])]
		if apdu[3] == 0 {
			i.command = nil
		}
		i.command = append(i.command, data...)
		if apdu[2]&0x80 == 0 {
			return []byte{0x90, 0x00}, nil
		}
		answer, err := i.es10(i.command)
		if err != nil {
			i.t.Errorf("card: %v", err)
			return []byte{0x6A, 0x80}, nil
		}
		i.answer = answer
		return i.sw(), nil
	case 0xC0:
		n := int(apdu[4])
		if n == 0 {
			n = 256
		}
		n = min(n, len(i.answer))
		out := bytes.Clone(i.answer[:n])
		i.answer = i.answer[n:]
		return append(out, i.sw()...), nil
	}
	return []byte{0x6D, 0x00}, nil
}

func (i *isdr) sw() []byte {
	switch n := len(i.answer); {
	case n == 0:
		return []byte{0x90, 0x00}
	case n > 255:
		return []byte{0x61, 0x00}
	default:
		return []byte{0x61, byte(n)}
	}
}

func (i *isdr) es10(command []byte) ([]byte, error) {
	if i.bpp != nil || bytes.HasPrefix(command, []byte{0xBF, 0x36}) {
		return i.segment(command)
	}
	e, err := bertlv.Parse(command)
	if err != nil {
		return nil, err
	}
	var parts []bertlv.Element
	for p, err := range e.Children() {
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	switch e.Tag {
	case 0xBF2E:
		i.challenge = random(16)
		return bertlv.Encode(0xBF2E, bertlv.Encode(0x80, i.challenge)), nil
	case 0xBF20:
		return i.info1(), nil
	case 0xBF22:
		return i.info2(), nil
	case 0xBF3C:
		return bertlv.Encode(0xBF3C, bertlv.Encode(0x81, []byte("ds.lab.test"))), nil
	case 0xBF3E:
		eid, err := eidBytes(i.eid)
		return bertlv.Encode(0xBF3E, bertlv.Encode(0x5A, eid)), err
	case 0xBF38:
		return i.authenticateServerCommand(parts)
	case 0xBF21:
		out := map[string][]byte{"smdpSigned2": parts[0].Raw, "smdpSignature2": parts[1].Raw, "smdpCertificate": parts[len(parts)-1].Raw}
		var hash []byte
		if parts[2].Tag == tagOctets {
			hash = parts[2].Value
		}
		i.pb = out["smdpCertificate"]
		return i.prepare(out, hash)
	case 0xBF41:
		reason, err := bertlv.Int(parts[1].Value)
		return i.cancel(reason), err
	case 0xBF28, 0xBF2B:
		return i.notifications(e.Tag)
	case 0xBF30:
		seq, err := bertlv.Int(parts[0].Value)
		delete(i.pending, seq)
		return bertlv.Encode(0xBF30, bertlv.Encode(0x80, []byte{0})), err
	}
	return nil, errors.New("no function has tag " + e.Tag.String())
}

func (i *isdr) authenticateServerCommand(parts []bertlv.Element) ([]byte, error) {
	if len(parts) != 5 {
		return nil, errors.New("AuthenticateServer has not five parts")
	}
	server := parts[0]
	id, _ := server.Find(0x80)
	err := i.checkServer(map[string][]byte{
		"serverSigned1": server.Raw, "serverSignature1": parts[1].Raw, "euiccCiPKIdToBeUsed": parts[2].Raw,
		"serverCertificate": parts[3].Raw, "transactionId": []byte(strings.ToUpper(hex.EncodeToString(id.Value))),
	})
	if err != nil {
		return nil, err
	}
	address, _ := server.Find(0x83)
	challenge, _ := server.Find(0x84)
	return i.authenticateResponse(id, address, challenge, parts[4].Raw), nil
}

// segment collects the package and answers its last segment.
func (i *isdr) segment(data []byte) ([]byte, error) {
	i.bpp = append(i.bpp, data...)
	if _, header, n, err := bertlv.Header(i.bpp); err != nil || len(i.bpp) < header+n {
		return nil, err
	}
	got, err := i.install(i.bpp, i.pb)
	i.bpp = nil
	if err != nil {
		return nil, err
	}
	i.got = got
	meta, err := bertlv.Parse(got.metadata)
	if err != nil {
		return nil, err
	}
	iccid, _ := meta.Find(0x5A)
	i.iccid = unpackSwapped(iccid.Value)
	result := i.result(i.iccid, 0)
	i.pending[i.seq] = result
	return result, nil
}

func (i *isdr) notifications(tag bertlv.Tag) ([]byte, error) {
	var all [][]byte
	for _, n := range i.pending {
		if tag == 0xBF2B {
			all = append(all, n)
			continue
		}
		e, err := bertlv.Parse(n)
		if err != nil {
			return nil, err
		}
		meta, _ := e.Find(0xBF27, 0xBF2F)
		all = append(all, meta.Raw)
	}
	return bertlv.Encode(tag, bertlv.Encode(0xA0, all...)), nil
}

// listen serves the world on the loopback, by a certificate for its address.
func (w *world) listen() (address string, roots *x509.CertPool) {
	w.Helper()
	return w.listenAs(&w.server.endpoint, w.handler)
}

func (w *world) listenAs(e *endpoint, h http.Handler) (address string, roots *x509.CertPool) {
	w.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	address = listener.Addr().String()
	if err := e.AddAddress(address); err != nil {
		w.Fatal(err)
	}
	srv := &http.Server{Handler: h, TLSConfig: e.TLSConfig(), ErrorLog: log.New(io.Discard, "", 0)}
	var done sync.WaitGroup
	done.Go(func() { srv.ServeTLS(listener, "", "") })
	w.Cleanup(func() { srv.Close(); done.Wait() })
	roots = x509.NewCertPool()
	roots.AddCert(w.ci.Cert)
	return address, roots
}

// newEUICCGo is an LPA that shares no code with this module.
func newEUICCGo(t *testing.T, card *isdr, roots *x509.CertPool) *euiccgo.Client {
	t.Helper()
	client, err := euiccgo.New(&euiccgo.Options{Channel: card, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Time: func() time.Time { return testNow }}}
	client.HTTP.Client = &http.Client{Transport: tr}
	t.Cleanup(func() {
		client.Close()
		tr.CloseIdleConnections()
	})
	return client
}

// The same LPA finds at the SM-DS what waits for its card, in each form of JSON
// that it can read.
func TestEUICCGoDiscovery(t *testing.T) {
	for _, form := range []Form{{}, {First: []string{"transactionId"}, Slash: SlashCode, Surplus: true, Spaces: true, Gzip: true, Chunked: 50}} {
		w := newWorld(t, nil)
		d, err := NewSMDS(SMDSConfig{Address: "smds.lab.test", CI: w.ci, Hosts: []string{"127.0.0.1"}, Now: func() time.Time { return w.clock }})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.SetForm(form); err != nil {
			t.Fatal(err)
		}
		address, roots := w.listenAs(&d.endpoint, d.Handler())
		c := w.card(testEID)
		c.address, c.role = address, sgp26.RoleDSAuth
		client := newEUICCGo(t, newISDR(c), roots)
		ask := func() []*sgp22.EventEntry {
			t.Helper()
			imei, err := sgp22.NewIMEI("356938035643809")
			if err != nil {
				t.Fatal(err)
			}
			got, err := client.Discovery(&url.URL{Scheme: "https", Host: address}, imei)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if got := ask(); len(got) != 0 {
			t.Errorf("%s: before anything is registered: %+v", form, got)
		}
		for _, e := range []Event{{EID: testEID, ID: "ONE", Address: "smdpp.lab.test"}, {EID: otherEID, ID: "TWO", Address: "smdpp.lab.test"}} {
			if err := d.Register(e); err != nil {
				t.Fatal(err)
			}
		}
		if got := ask(); len(got) != 1 || got[0].EventID != "ONE" || got[0].Address != "smdpp.lab.test" {
			t.Errorf("%s: got %+v", form, got)
		}
	}
}

// github.com/damonto/euicc-go's LPA, which shares no code with this module,
// downloads from the server: with and without confirmation code, cancels, and
// reports.
func TestEUICCGo(t *testing.T) {
	for _, tt := range []struct {
		name, confirmation string
		refuse             bool
		want               State
	}{
		{"download", "", false, StateInstalled},
		{"confirmation code", "0815", false, StateInstalled},
		{"user says later", "", true, StateReleased},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.Hosts = []string{"127.0.0.1"} })
			upp := testUPP(t, 5000)
			id := w.order(Order{UPP: upp, ConfirmationCode: tt.confirmation})
			address, roots := w.listen()
			c := w.card(testEID)
			c.address = address
			card := newISDR(c)
			client := newEUICCGo(t, card, roots)
			code, err := w.server.ActivationCode(id, address)
			if err != nil {
				t.Fatal(err)
			}
			ac := new(euiccgo.ActivationCode)
			if err := ac.UnmarshalText([]byte(code)); err != nil {
				t.Fatal(err)
			}
			ac.IMEI, ac.ConfirmationCode = "356938035643809", tt.confirmation
			result, err := client.DownloadProfile(context.Background(), ac, &euiccgo.DownloadOptions{
				OnConfirm: func(p *sgp22.ProfileInfo) bool { return !tt.refuse },
			})
			if err != nil {
				t.Fatal(err)
			}
			if tt.refuse {
				if st := w.status(id); st.State != tt.want || !st.Canceled || st.CancelReason != cancelPostponed {
					t.Errorf("order: %v", st)
				}
				return
			}
			if result == nil || card.got == nil || !bytes.Equal(card.got.upp, upp) {
				t.Fatal("the card holds something else")
			}
			list, err := client.RetrieveNotificationList(sgp22.NotificationEventInstall)
			if err != nil || len(list) != 1 {
				t.Fatalf("%d notifications, %v", len(list), err)
			}
			if err := client.HandleNotification(list[0]); err != nil {
				t.Fatal(err)
			}
			if st := w.status(id); st.State != tt.want || !st.Result.Success {
				t.Errorf("order: %v", st)
			}
		})
	}
}

// lpac, when it is installed, downloads through its stdio APDU driver.
func TestLpac(t *testing.T) {
	lpac, err := exec.LookPath("lpac")
	if err != nil {
		t.Skip("lpac is not in the path")
	}
	w := newWorld(t, func(c *Config) { c.Hosts = []string{"127.0.0.1"} })
	upp := testUPP(t, 5000)
	id := w.order(Order{UPP: upp, ConfirmationCode: "0815"})
	address, _ := w.listen()
	c := w.card(testEID)
	c.address = address
	card := newISDR(c)
	run := func(args ...string) string {
		t.Helper()
		return runLpac(t, lpac, card, args...)
	}
	run("profile", "download", "-s", address, "-m", id, "-c", "0815", "-i", "356938035643809")
	if card.got == nil || !bytes.Equal(card.got.upp, upp) {
		t.Fatal("the card holds something else")
	}
	run("notification", "process", "-a", "-r")
	if st := w.status(id); st.State != StateInstalled || !st.Result.Success {
		t.Errorf("order: %v", st)
	}
	if len(card.pending) != 0 {
		t.Error("the notification is still on the card")
	}
}

// runLpac runs one lpac command and serves its APDUs (docs/backends/stdio.md).
func runLpac(t *testing.T, lpac string, card *isdr, args ...string) (last string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), lpac, args...)
	cmd.Env = append(cmd.Environ(), "LPAC_APDU=stdio", "LPAC_HTTP=curl")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var msg struct {
			Type    string `json:"type"`
			Payload struct {
				Func  string `json:"func"`
				Param string `json:"param"`
			} `json:"payload"`
		}
		last = lines.Text()
		if json.Unmarshal(lines.Bytes(), &msg) != nil || msg.Type != "apdu" {
			t.Log(last)
			continue
		}
		code, data := 0, ""
		switch msg.Payload.Func {
		case "logic_channel_open":
			code = 1
		case "transmit":
			apdu, err := hex.DecodeString(msg.Payload.Param)
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := card.Transmit(apdu)
			data = hex.EncodeToString(answer)
		}
		reply, err := json.Marshal(map[string]any{"type": "apdu", "payload": map[string]any{"ecode": code, "data": data}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(slices.Concat(reply, []byte("\n"))); err != nil {
			t.Fatal(err)
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("lpac %s: %v: %s", args[0], err, last)
	}
	return last
}
