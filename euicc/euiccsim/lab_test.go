package euiccsim

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"testing"
	"time"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/bsp"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
)

const testEID = "89049032000001000000000000000017"

var testNow = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// lab is a CI, a card and a server that the test plays itself.
type lab struct {
	testing.TB
	ci, eum, id *sgp26.Authority
	auth, pb    *sgp26.Authority
	card        *Card
}

func newLab(t testing.TB, change func(*Config)) *lab {
	t.Helper()
	l := &lab{TB: t}
	must := func(a *sgp26.Authority, err error) *sgp26.Authority {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	l.ci = must(sgp26.NewCI(testNow))
	l.eum = must(sgp26.NewEUM(l.ci, testNow))
	l.id = must(sgp26.NewEUICC(l.eum, testEID, testNow))
	l.auth = must(sgp26.NewDPauth(l.ci, "2.999.10", testNow))
	l.pb = must(sgp26.NewDPpb(l.ci, "2.999.10", testNow))
	cfg := l.config()
	if change != nil {
		change(&cfg)
	}
	var err error
	if l.card, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return l
}

// with is the same lab in another test.
func (l *lab) with(t testing.TB) *lab {
	n := *l
	n.TB = t
	return &n
}

func (l *lab) config() Config {
	return Config{EID: testEID, EUICC: l.id, EUM: l.eum.Cert, CI: []*x509.Certificate{l.ci.Cert}}
}

func (l *lab) open() *apdu.Channel {
	l.Helper()
	ch, err := apdu.Open(context.Background(), l.card, isdrAID, apdu.Options{BlockSize: 255})
	if err != nil {
		l.Fatal(err)
	}
	return ch
}

// call executes one function on a channel of its own.
func (l *lab) call(request []byte) bertlv.Element {
	l.Helper()
	ch := l.open()
	defer ch.Close()
	return l.on(ch, request)
}

func (l *lab) on(ch *apdu.Channel, request []byte) bertlv.Element {
	l.Helper()
	resp, err := ch.StoreData(context.Background(), request)
	if err != nil {
		l.Fatal(err)
	}
	e, err := bertlv.Parse(resp)
	if err != nil {
		l.Fatalf("answer %x: %v", resp, err)
	}
	return e
}

// code returns the INTEGER at the path of a response.
func code(t testing.TB, e bertlv.Element, path ...bertlv.Tag) int64 {
	t.Helper()
	c, ok := e.Find(path...)
	if !ok {
		t.Fatalf("no %v in %x", path, e.Raw)
	}
	v, err := bertlv.Int(c.Value)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func testUPP(t testing.TB, iccid string, filler int) []byte {
	t.Helper()
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: iccid, IMSI: "001010000000001", SPN: "Lab", GID1: []byte{0x12}, Filler: filler})
	if err != nil {
		t.Fatal(err)
	}
	return upp
}

func testMetadata(t testing.TB, m Metadata) []byte {
	t.Helper()
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// download is one session of the test's own SM-DP+. The zero value of each knob
// does what the specification says.
type download struct {
	*lab
	ch  *apdu.Channel
	upp []byte
	md  []byte

	ownKeys    bool // ReplaceSessionKeys
	hashCC     []byte
	reuse      []byte // bppEuiccOtpk
	tid        []byte
	authCert   *sgp26.Authority
	pbCert     *sgp26.Authority
	challenge  func([]byte) []byte
	signature1 func([]byte) []byte
	signature2 func([]byte) []byte
	pkid       []byte

	capabilities []byte // of the device

	// Of the bound package:
	remoteOp, keyType, keyLen byte
	iscTID                    []byte
	iscSign                   func([]byte) []byte
	hostID                    []byte
	configure, keys           []byte
	metaSession, profSession  func(*bsp.Session)
	tamper                    func(bpp []byte) []byte

	signed1, sig1 []byte // of the card
	otpk          []byte
}

func (l *lab) download(iccid string) *download {
	return &download{
		lab: l, ch: l.open(), tid: []byte{1, 2, 3, 4, 5, 6, 7, 8}, authCert: l.auth, pbCert: l.pb, pkid: l.ci.PKID(),
		upp: testUPP(l, iccid, 3000), md: testMetadata(l, Metadata{ICCID: iccid, Provider: "Lab", Name: "Test", Class: ClassOperational, Notify: "notify.lab.test"}),
		remoteOp: 1, keyType: 0x88, keyLen: 16, hostID: []byte("HOST"), configure: []byte{0xBF, 0x24, 0x00},
	}
}

func apply(f func([]byte) []byte, b []byte) []byte {
	if f == nil {
		return b
	}
	return f(b)
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

// authenticateRequest asks for a challenge and builds AuthenticateServerRequest.
func (d *download) authenticateRequest() []byte {
	d.Helper()
	challenge, _ := d.on(d.ch, []byte{0xBF, 0x2E, 0x00}).Find(0x80)
	var b bertlv.Builder
	b.Open(0x30).Put(0x80, d.tid).Put(0x81, apply(d.challenge, challenge.Value)).String(0x83, "smdpp.lab.test").Put(0x84, bytes.Repeat([]byte{7}, 16))
	signed := b.Close().Bytes()
	sig, err := d.authCert.Sign(signed)
	if err != nil {
		d.Fatal(err)
	}
	b = bertlv.Builder{}
	b.Open(0xBF38).Raw(signed).Put(0x5F37, apply(d.signature1, sig)).Put(0x04, d.pkid).Raw(d.authCert.DER)
	b.Open(0xA0).String(0x80, "MATCHING-ID").Open(0xA1).Put(0x80, []byte{0x35, 0x29, 0x06, 0x11}).Open(0xA1).Raw(d.capabilities).Close().Close().Close()
	return b.Close().Bytes()
}

func (d *download) authenticate() bertlv.Element {
	d.Helper()
	resp := d.on(d.ch, d.authenticateRequest())
	if ok, found := resp.Find(0xA0); found {
		s1, _ := ok.Find(0x30)
		sig, _ := ok.Find(0x5F37)
		d.signed1, d.sig1 = s1.Raw, sig.Value
	}
	return resp
}

func (d *download) prepare() bertlv.Element {
	d.Helper()
	var b bertlv.Builder
	b.Open(0x30).Put(0x80, d.tid).Put(0x01, []byte{0})
	if d.reuse != nil {
		b.Put(0x5F49, d.reuse)
	}
	signed := b.Close().Bytes()
	sig, err := d.pbCert.Sign(append(bytes.Clone(signed), bertlv.Encode(0x5F37, d.sig1)...))
	if err != nil {
		d.Fatal(err)
	}
	b = bertlv.Builder{}
	b.Open(0xBF21).Raw(signed).Put(0x5F37, apply(d.signature2, sig))
	if d.hashCC != nil {
		b.Put(0x04, d.hashCC)
	}
	resp := d.on(d.ch, b.Raw(d.pbCert.DER).Close().Bytes())
	if key, ok := resp.Find(0xA0, 0x30, 0x5F49); ok {
		d.otpk = key.Value
	}
	return resp
}

// bind makes the Bound Profile Package.
func (d *download) bind() []byte {
	d.Helper()
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		d.Fatal(err)
	}
	peer, err := ecdh.P256().NewPublicKey(d.otpk)
	if err != nil {
		d.Fatal(err)
	}
	shared, err := own.ECDH(peer)
	if err != nil {
		d.Fatal(err)
	}
	eid, err := hex.DecodeString(testEID)
	if err != nil {
		d.Fatal(err)
	}
	keys, err := bsp.DeriveKeys(shared, 0x88, 16, d.hostID, eid)
	if err != nil {
		d.Fatal(err)
	}
	tid := d.tid
	if d.iscTID != nil {
		tid = d.iscTID
	}
	var b bertlv.Builder
	b.Int(0x82, int64(d.remoteOp)).Put(0x80, tid)
	b.Open(0xA6).Put(0x80, []byte{d.keyType}).Put(0x81, []byte{d.keyLen}).Put(0x84, d.hostID).Close()
	b.Put(0x5F49, own.PublicKey().Bytes())
	body := bytes.Clone(b.Bytes())
	sig, err := d.pbCert.Sign(append(bytes.Clone(body), bertlv.Encode(0x5F49, d.otpk)...))
	if err != nil {
		d.Fatal(err)
	}
	s := bsp.New(keys)
	b = bertlv.Builder{}
	b.Open(0xBF36)
	b.Open(0xBF23).Raw(body).Put(0x5F37, apply(d.iscSign, sig)).Close()
	b.Put(0xA0, s.SealAll(0x87, d.configure))
	if d.metaSession != nil {
		d.metaSession(s)
	}
	b.Put(0xA1, s.SealAllMAC(0x88, d.md))
	if d.ownKeys || d.keys != nil {
		k := bsp.Keys{MCV: [16]byte{1}, Enc: [16]byte{2}, MAC: [16]byte{3}}
		request := bertlv.Encode(0xBF26, bertlv.Encode(0x80, k.MCV[:]), bertlv.Encode(0x81, k.Enc[:]), bertlv.Encode(0x82, k.MAC[:]))
		if d.keys != nil {
			request = d.keys
		}
		b.Put(0xA2, s.SealAll(0x87, request))
		s.Replace(k)
	}
	if d.profSession != nil {
		d.profSession(s)
	}
	b.Put(0xA3, s.SealAll(0x86, d.upp))
	return apply(d.tamper, b.Close().Bytes())
}

// segments cuts a BPP as SGP.22, 2.5.5 says.
func segments(t testing.TB, bpp []byte) [][]byte {
	t.Helper()
	var out [][]byte
	_, at, _, err := bertlv.Header(bpp)
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range bertlv.List(bpp[at:]) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Tag == 0xBF23 {
			out = append(out, bpp[:at+len(e.Raw)])
			continue
		}
		header := e.Raw[:len(e.Raw)-len(e.Value)]
		first := true
		if e.Tag == 0xA1 || e.Tag == 0xA3 {
			out = append(out, header)
			first = false
		}
		for c, err := range e.Children() {
			if err != nil {
				t.Fatal(err)
			}
			if first {
				out = append(out, e.Raw[:len(header)+len(c.Raw)])
				first = false
				continue
			}
			out = append(out, c.Raw)
		}
	}
	return out
}

// load sends the segments until the card answers with a result.
func (d *download) load(bpp []byte) bertlv.Element {
	d.Helper()
	for i, s := range segments(d, bpp) {
		resp, err := d.ch.StoreData(context.Background(), s)
		if err != nil {
			d.Fatalf("segment %d: %v", i, err)
		}
		if len(resp) > 0 {
			e, err := bertlv.Expect(resp, 0xBF37)
			if err != nil {
				d.Fatal(err)
			}
			return e
		}
	}
	d.Fatal("no ProfileInstallationResult")
	return bertlv.Element{}
}

// run is the whole session.
func (d *download) run() bertlv.Element {
	d.Helper()
	defer d.ch.Close()
	if e := d.authenticate(); d.sig1 == nil {
		d.Fatalf("AuthenticateServer: %x", e.Raw)
	}
	if e := d.prepare(); d.otpk == nil {
		d.Fatalf("PrepareDownload: %x", e.Raw)
	}
	return d.load(d.bind())
}
