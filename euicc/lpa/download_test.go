package lpa

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/es10"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// The whole story with each kind of card, server and profile.
func TestDownload(t *testing.T) {
	type row struct {
		name  string
		card  func(*euiccsim.Config)
		block int
		order smdpsim.Order
		upp   string // TS.48 file
		cc    euicc.ConfirmationCode
	}
	rows := []row{
		{name: "built-in profile"},
		{name: "session keys only", order: smdpsim.Order{SessionKeys: true}},
		{name: "confirmation code", order: smdpsim.Order{ConfirmationCode: "1234"}, cc: "1234"},
		{name: "OID in the code", order: smdpsim.Order{OIDInCode: true}},
		{name: "icon and policy rules", order: smdpsim.Order{Metadata: smdpsim.Metadata{Name: "X", IconType: smdpsim.IconPNG, Icon: make([]byte, 1024), Owner: []byte{0, 0xF1, 0x10}, Rules: smdpsim.PPR2}}},
		{name: "SGP.22 v2.2 card, T=0 GET RESPONSE", card: func(c *euiccsim.Config) { c.Version, c.GetResponse = "2.2", true }},
		{name: "block size 60 on a card that takes no more", card: func(c *euiccsim.Config) { c.MaxLc = 60 }, block: 60},
		{name: "TS48V1-A-UNIQUE", upp: "TS48V1-A-UNIQUE"},
		{name: "TS48V2-SAIP2-1-BERTLV-UNIQUE", upp: "TS48V2-SAIP2-1-BERTLV-UNIQUE"},
		{name: "TS48V5-SAIP2-3-BERTLV-SUCI-UNIQUE", upp: "TS48V5-SAIP2-3-BERTLV-SUCI-UNIQUE"},
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			if tt.upp != "" {
				tt.order.UPP = ts48(t, tt.upp)
			}
			change := func(*euiccsim.Config) {}
			if tt.card != nil {
				change = tt.card
			}
			l := newLab(t, change)
			l.cfg.BlockSize = tt.block
			code := l.order(tt.order)
			ctx := t.Context()
			c := l.open()
			if c.EID().String() != testEID {
				t.Errorf("EID %s", c.EID())
			}
			info, err := c.Info(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if info.Info2.FreeNVM <= 0 || info.RootSMDS == "" || len(info.Issuers) != 1 {
				t.Errorf("info %+v", info)
			}

			before := c.Stats()
			o, err := c.Authenticate(ctx, code)
			if err != nil {
				t.Fatal(err)
			}
			if o.ConfirmationRequired != (tt.cc != "") || o.Metadata.Name == "" || o.OID != smdpsim.DefaultOID || !bytes.Equal(o.CIKeyID, l.ci.Cert.SubjectKeyId) {
				t.Errorf("order %+v", o)
			}
			var last Progress
			calls := 0
			r, err := o.Download(ctx, tt.cc, func(p Progress) {
				if p.Stage == euicc.StageLoadBPP && p.Bytes < last.Bytes {
					t.Errorf("progress goes back from %+v to %+v", last, p)
				}
				last = p
				calls++
			})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Success || r.Notification.ICCID != o.Metadata.ICCID || !r.TransactionID.Equal(o.TransactionID) || o.Cancellation() != nil {
				t.Errorf("result %+v", r)
			}
			if last.Segments != last.TotalSegments || last.Bytes != last.TotalBytes || calls < last.TotalSegments {
				t.Errorf("last progress %+v after %d calls", last, calls)
			}
			s := c.Stats()
			if s.HTTP.Requests != 3 || s.HTTP.Handshakes != 1 {
				t.Errorf("%d requests on %d handshakes, want 3 on 1", s.HTTP.Requests, s.HTTP.Handshakes)
			}
			t.Logf("%d bytes of package in %d segments, %d APDUs, %d bytes to the card, %d back", last.TotalBytes, last.TotalSegments, s.APDUs-before.APDUs, s.APDUSent-before.APDUSent, s.APDUReceived-before.APDUReceived)
			if installed := l.card.Installed(); len(installed) != 1 || hex.EncodeToString(installed[0].SHA256[:]) != l.status().SHA256 {
				t.Errorf("card holds %+v", installed)
			}
			if again, err := o.Download(ctx, tt.cc, nil); again != nil || euicc.CodeOf(err) != "ended" {
				t.Errorf("downloading twice: %v", err)
			}
			if err := o.Cancel(ctx, euicc.CancelPostponed); err != nil || l.status().Canceled {
				t.Errorf("cancelling after the result: %v", err)
			}

			// The report: offered on the same connection, verified, removed.
			p, err := euicc.ParsePendingNotification(r.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Deliver(ctx, &p); err != nil {
				t.Fatal(err)
			}
			if st := l.status(); st.State != smdpsim.StateInstalled || !st.Notifications[0].Verified {
				t.Errorf("order is %s, report %+v", st.State, st.Notifications)
			}
			if n, err := c.Notifications(ctx); err != nil || len(n) != 1 || n[0].Seq != p.Seq || n[0].Event != euicc.EventInstall {
				t.Fatalf("notifications %+v, %v", n, err)
			}
			for range 2 {
				if err := c.RemoveNotification(ctx, p.Seq); err != nil {
					t.Fatal(err)
				}
			}
			if s := c.Stats(); s.HTTP.Requests != 4 || s.HTTP.Handshakes != 1 {
				t.Errorf("with the report: %+v", s.HTTP)
			}

			manage(t, l, c, o.Metadata.ICCID, tt.order.Metadata.Rules != 0)
		})
	}
}

// manage switches the profile on and off and deletes it unless a policy rule
// forbids that.
func manage(t *testing.T, l *lab, c *Card, iccid euicc.ICCID, ppr2 bool) {
	ctx := t.Context()
	if err := c.SetNickname(ctx, iccid, "mast 7"); err != nil {
		t.Fatal(err)
	}
	if err := c.Enable(ctx, iccid, false); err != nil {
		t.Fatal(err)
	}
	ps, err := c.Profiles(ctx)
	if err != nil || len(ps) != 1 || ps[0].State != euicc.Enabled || ps[0].ICCID != iccid || ps[0].Nickname != "mast 7" {
		t.Fatalf("profiles %+v, %v", ps, err)
	}
	if err := c.Enable(ctx, iccid, false); !errors.Is(err, es10.ErrWrongState) {
		t.Errorf("enabling twice: %v", err)
	}
	if err := c.Delete(ctx, iccid); !errors.Is(err, es10.ErrWrongState) && !errors.Is(err, es10.ErrPolicy) {
		t.Errorf("deleting the enabled profile: %v", err)
	}
	if err := c.Disable(ctx, iccid, false); err != nil {
		t.Fatal(err)
	}
	switch err := c.Delete(ctx, iccid); {
	case ppr2:
		if !errors.Is(err, es10.ErrPolicy) {
			t.Errorf("deleting against PPR2: %v", err)
		}
		return
	case err != nil:
		t.Fatal(err)
	}
	if err := c.Delete(ctx, iccid); !errors.Is(err, es10.ErrNotFound) || euicc.RetryOf(err) != euicc.RetryNever {
		t.Errorf("deleting twice: %v", err)
	}
	all, err := c.RetrieveAll(ctx)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d reports of enable, disable and delete, %v", len(all), err)
	}
	for i := range all {
		one, err := c.Retrieve(ctx, all[i].Seq)
		if err != nil || !bytes.Equal(one.Raw, all[i].Raw) {
			t.Errorf("report %d alone: %v", all[i].Seq, err)
		}
		if err := c.Deliver(ctx, one); err != nil {
			t.Error(err)
		}
	}
	if ns := l.server.Notifications(); len(ns) != 4 || !ns[3].Verified {
		t.Errorf("server got %+v", ns)
	}
	if _, err := c.Retrieve(ctx, 99); !errors.Is(err, es10.ErrNotFound) {
		t.Errorf("unknown report: %v", err)
	}
}

// Each way in which the server or the line can fail, at each step: what the
// caller is told, what becomes of the order and of the card's session.
func TestServerFaults(t *testing.T) {
	const none = -1
	P := func(k smdpsim.FaultKind) smdpsim.Fault { return smdpsim.Fault{Kind: k} }
	T := func(k smdpsim.FaultKind, fn smdpsim.Function) smdpsim.Fault {
		return smdpsim.Fault{Kind: k, Function: fn, Times: 1}
	}
	status := func(fn smdpsim.Function, subject, reason string) smdpsim.Fault {
		return smdpsim.Fault{Kind: smdpsim.FaultStatus, Function: fn, Subject: subject, Reason: reason}
	}
	ia, ac, bpp := smdpsim.InitiateAuthentication, smdpsim.AuthenticateClient, smdpsim.GetBoundProfilePackage
	cut := func(fn smdpsim.Function, after int) smdpsim.Fault {
		return smdpsim.Fault{Kind: smdpsim.FaultDropAnswer, Function: fn, Times: 1, After: after}
	}
	tests := []struct {
		name   string
		fault  smdpsim.Fault
		stage  euicc.Stage
		code   string
		retry  euicc.Retry
		reason int // that the server was told, none if it was not
	}{
		{"TLS of another CI", P(smdpsim.FaultTLSOtherCI), euicc.StageInitiateAuthentication, "tls-unknown-ca", euicc.RetryNever, none},
		{"TLS expired", P(smdpsim.FaultTLSExpired), euicc.StageInitiateAuthentication, "tls-expired", euicc.RetryAsk, none},
		{"TLS of another host", P(smdpsim.FaultTLSWrongHost), euicc.StageInitiateAuthentication, "tls-wrong-host", euicc.RetryNever, none},
		{"challenge of somebody else", P(smdpsim.FaultEUICCChallenge), euicc.StageInitiateAuthentication, "server-challenge", euicc.RetryNever, none},
		{"address of somebody else", P(smdpsim.FaultServerAddress), euicc.StageInitiateAuthentication, "server-address", euicc.RetryNever, none},
		{"server's signature", P(smdpsim.FaultServerSignature), euicc.StageAuthenticateServer, "es10-authenticateServer-invalidSignature", euicc.RetryNow, none},
		{"DPauth of another CI", P(smdpsim.FaultDPauthOtherCI), euicc.StageAuthenticateServer, "es10-authenticateServer-invalidCertificate", euicc.RetryNever, none},
		{"HTML 500 first", smdpsim.Fault{Kind: smdpsim.FaultHTTPStatus, Function: ia, HTTP: 503}, euicc.StageInitiateAuthentication, "http-503", euicc.RetryLater, none},
		{"page about maintenance", T(smdpsim.FaultHTML, ia), euicc.StageInitiateAuthentication, "http-200", euicc.RetryLater, none},
		{"redirect", smdpsim.Fault{Kind: smdpsim.FaultRedirect, Location: "https://other.example.com/"}, euicc.StageInitiateAuthentication, "http-redirect", euicc.RetryLater, none},
		{"no such CI", status(ia, "8.8.2", "3.1"), euicc.StageInitiateAuthentication, "es9p-8.8.2-3.1", euicc.RetryNever, none},
		// The server learns of the cancellation but had not looked for the order yet.
		{"line drops before authenticateClient", T(smdpsim.FaultDropRequest, ac), euicc.StageAuthenticateClient, "net-unreachable", euicc.RetryLater, none},
		{"answer of authenticateClient lost", cut(ac, 100), euicc.StageAuthenticateClient, "body-truncated", euicc.RetryNow, 1},
		{"answer of authenticateClient cut", smdpsim.Fault{Kind: smdpsim.FaultTruncate, Function: ac, Times: 1, After: 100}, euicc.StageAuthenticateClient, "body-truncated", euicc.RetryNow, 1},
		{"not released", P(smdpsim.FaultNotReleased), euicc.StageAuthenticateClient, "es9p-8.2-1.2", euicc.RetryLater, none},
		{"order expired", status(ac, "8.8.5", "4.10"), euicc.StageAuthenticateClient, "es9p-8.8.5-4.10", euicc.RetryNewCode, none},
		{"server's second signature", P(smdpsim.FaultSMDPSignature2), euicc.StagePrepareDownload, "es10-prepareDownload-invalidSignature", euicc.RetryNow, 127},
		{"DPpb of another CI", P(smdpsim.FaultDPpbOtherCI), euicc.StagePrepareDownload, "es10-prepareDownload-invalidCertificate", euicc.RetryNow, 127},
		{"HTML instead of the package", T(smdpsim.FaultHTML, bpp), euicc.StageGetBPP, "http-200", euicc.RetryLater, 1},
		{"line drops before the package", T(smdpsim.FaultDropRequest, bpp), euicc.StageGetBPP, "net-unreachable", euicc.RetryLater, 1},
		{"package breaks off", cut(bpp, 3000), euicc.StageGetBPP, "body-truncated", euicc.RetryNow, 1},
		{"JSON of the package ends", smdpsim.Fault{Kind: smdpsim.FaultTruncate, Function: bpp, Times: 1, After: 3000}, euicc.StageGetBPP, "body-truncated", euicc.RetryNow, 1},
		{"no memory, says the server", status(bpp, "8.1", "4.8"), euicc.StageGetBPP, "es9p-8.1-4.8", euicc.RetryAsk, none},
		{"another profile than offered", P(smdpsim.FaultMetadataMismatch), euicc.StageGetBPP, "metadata-mismatch", euicc.RetryNever, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			code := l.order(smdpsim.Order{})
			c := l.open()
			if err := l.server.SetFault(tt.fault); err != nil {
				t.Fatal(err)
			}
			o, err := c.Authenticate(t.Context(), code)
			if err == nil {
				var r *euicc.InstallResult
				if r, err = o.Download(t.Context(), "", nil); r != nil {
					t.Errorf("there is a result: %+v", r)
				}
			}
			e, ok := errors.AsType[*euicc.Error](err)
			if !ok || e.Stage != tt.stage || e.Code != tt.code || e.Retry != tt.retry || e.Unknown || e.Advice == "" {
				t.Fatalf("got %+v: %v", e, err)
			}
			if strings.Contains(err.Error(), code.MatchingID.Reveal()) {
				t.Errorf("matching ID in %v", err)
			}
			st := l.status()
			if told := st.Canceled; told != (tt.reason != none) || told && st.CancelReason != tt.reason {
				t.Errorf("server was told: %v, reason %d; want %d", told, st.CancelReason, tt.reason)
			}
			// The card is free again and holds nothing.
			if n := l.card.Installed(); len(n) != 0 {
				t.Errorf("card holds %+v", n)
			}
			l.server.ClearFaults()
			if st.State != smdpsim.StateReleased {
				return
			}
			if o, err = c.Authenticate(t.Context(), code); err != nil {
				t.Fatalf("second try: %v", err)
			}
			if r, err := o.Download(t.Context(), "", nil); err != nil || !r.Success {
				t.Errorf("second try: %v", err)
			}
		})
	}
}

// A card that says that it has no room is not sent a segment, also when nobody
// asked it before; and it is asked again when room was made.
func TestNoRoom(t *testing.T) {
	l := newLab(t)
	code := l.order(smdpsim.Order{})
	c := l.open()
	l.card.SetBehaviour(euiccsim.Behaviour{NoMemory: true})
	for _, room := range []bool{false, false, true} {
		if room {
			l.card.SetBehaviour(euiccsim.Behaviour{})
		}
		o, err := c.Authenticate(t.Context(), code)
		if err != nil {
			t.Fatal(err)
		}
		segments := 0
		r, err := o.Download(t.Context(), "", func(p Progress) { segments = max(segments, p.Segments) })
		switch {
		case room && (err != nil || !r.Success):
			t.Errorf("with room: %v", err)
		case !room && (euicc.CodeOf(err) != "memory" || segments != 0 || o.Cancellation() == nil || o.Cancellation().Reason != euicc.CancelPostponed):
			t.Errorf("%v after %d segments, cancelled %+v", err, segments, o.Cancellation())
		}
	}
}

// The package reaches the card and the card fails it.
func TestInstallErrors(t *testing.T) {
	tests := []struct {
		name    string
		fault   smdpsim.FaultKind
		memory  bool
		command euicc.BPPCommand
		reason  euicc.BPPReason
		code    string
	}{
		{"server's signature in the package", smdpsim.FaultBPPSignature, false, euicc.InitialiseSecureChannel, euicc.ReasonInvalidSignature, "install-signature"},
		{"checksum of the last segment", smdpsim.FaultBPPMAC, false, euicc.LoadProfileElements, euicc.ReasonSCP03tSecurity, "install-scp03t-security"},
		{"no memory", "", true, euicc.LoadProfileElements, euicc.ReasonMemory, "install-memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			code := l.order(smdpsim.Order{})
			if tt.fault != "" {
				if err := l.server.SetFault(smdpsim.Fault{Kind: tt.fault}); err != nil {
					t.Fatal(err)
				}
			}
			c := l.open()
			if _, err := c.Info(t.Context()); err != nil { // a card that promises too much
				t.Fatal(err)
			}
			l.card.SetBehaviour(euiccsim.Behaviour{NoMemory: tt.memory})
			o, err := c.Authenticate(t.Context(), code)
			if err != nil {
				t.Fatal(err)
			}
			r, err := o.Download(t.Context(), "", nil)
			e, ok := errors.AsType[*euicc.Error](err)
			if r == nil || r.Success || !ok || !e.Install || e.Code != tt.code || e.Command != tt.command || e.BPPReason != tt.reason || e.Unknown {
				t.Fatalf("result %+v, error %+v", r, err)
			}
			if l.status().Canceled || o.Cancellation() != nil {
				t.Error("a session with a result is cancelled")
			}
			p, err := euicc.ParsePendingNotification(r.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Deliver(t.Context(), &p); err != nil {
				t.Fatal(err)
			}
			if st := l.status(); st.Result == nil || st.Result.Success || st.Result.Reason != int(tt.reason) {
				t.Errorf("the server learned %+v", st.Result)
			}
		})
	}
}

// The card, or the way to it, fails at each function.
func TestCardFaults(t *testing.T) {
	sw := func(f euiccsim.Fault, w apdu.Status) euiccsim.Fault {
		f.Kind, f.SW = euiccsim.FaultStatus, w
		return f
	}
	const none = -1
	tests := []struct {
		name    string
		fault   euiccsim.Fault
		code    string // "" for success
		unknown bool
		reason  int
	}{
		{"challenge refused", sw(euiccsim.Fault{Tag: 0xBF2E}, 0x6985), "sw-6985", false, none},
		{"authenticateServer refused", sw(euiccsim.Fault{Tag: 0xBF38}, 0x6A80), "sw-6A80", false, none},
		{"answer to prepareDownload lost", euiccsim.Fault{Tag: 0xBF21, Kind: euiccsim.FaultLost}, "card-transport", false, 1},
		{"prepareDownload refused", sw(euiccsim.Fault{Tag: 0xBF21}, 0x6F00), "sw-6F00", false, 1},
		{"first segment refused", sw(euiccsim.Fault{Tag: 0xBF36}, 0x6985), "sw-6985", false, 5},
		{"segment refused in the middle", sw(euiccsim.Fault{Tag: 0x86, At: 2}, 0x6F00), "sw-6F00", false, 5},
		{"answer to a segment lost", euiccsim.Fault{Tag: 0x86, At: 2, Kind: euiccsim.FaultLost}, "card-transport", false, 1},
		{"segment lost", euiccsim.Fault{Tag: 0x86, At: 2, Kind: euiccsim.FaultMute}, "card-transport", false, 1},
		{"power cut in the middle", euiccsim.Fault{Tag: 0x86, At: 2, Kind: euiccsim.FaultPowerCut}, "card-transport", true, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			code := l.order(smdpsim.Order{})
			c := l.open()
			l.card.SetFault(tt.fault)
			o, err := c.Authenticate(t.Context(), code)
			if err == nil {
				_, err = o.Download(t.Context(), "", nil)
			}
			e, ok := errors.AsType[*euicc.Error](err)
			if !ok || e.Code != tt.code || e.Unknown != tt.unknown || e.Advice == "" {
				t.Fatalf("got %+v: %v", e, err)
			}
			st := l.status()
			if st.Canceled != (tt.reason != none) || st.Canceled && st.CancelReason != tt.reason {
				t.Errorf("cancelled: %v for %d, want %d", st.Canceled, st.CancelReason, tt.reason)
			}
			if n := len(l.card.Installed()); n != 0 {
				t.Errorf("%d profiles on the card", n)
			}
		})
	}
}
