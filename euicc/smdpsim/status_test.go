package smdpsim

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

// Each row is one status code of SGP.22 5.6, reached by what a card or an LPA does.
func TestStatusCodes(t *testing.T) {
	download := func(w *world, c *card, id string) error { _, err := w.download(c, id, ""); return err }
	for _, tt := range []struct {
		name   string
		config func(*Config)
		order  Order
		run    func(w *world, c *card, id string) error
		want   string
	}{
		{"5.6.1 SM-DP+ address refused", nil, Order{}, func(w *world, c *card, id string) error {
			_, err := w.post(InitiateAuthentication, map[string]string{"euiccChallenge": b64(random(16)), "euiccInfo1": b64(c.info1()), "smdpAddress": "elsewhere.test"})
			return err
		}, "8.8.1/3.8"},
		{"5.6.1 SVN unsupported", nil, Order{}, func(w *world, c *card, id string) error { c.svn = []byte{1, 1, 0}; return download(w, c, id) }, "8.8.3/3.1"},
		{"5.6.1 card with another CI", nil, Order{}, func(w *world, c *card, id string) error {
			c.ci = newWorld(w.T, nil).ci
			return download(w, c, id)
		}, "8.8.4/3.7"},
		{"5.6.1 no CI for signing", nil, Order{}, func(w *world, c *card, id string) error {
			info := bertlv.Encode(0xBF20, bertlv.Encode(0x82, c.svn), bertlv.Encode(0xA9, bertlv.Encode(0x04, c.ci.PKID())), bertlv.Encode(0xAA))
			_, err := w.post(InitiateAuthentication, map[string]string{"euiccChallenge": b64(random(16)), "euiccInfo1": b64(info), "smdpAddress": "smdpp.lab.test"})
			return err
		}, "8.8.2/3.1"},
		{"5.6.1 challenge of 15 bytes", nil, Order{}, func(w *world, c *card, id string) error {
			_, err := w.post(InitiateAuthentication, map[string]string{"euiccChallenge": b64(random(15)), "euiccInfo1": b64(c.info1()), "smdpAddress": "smdpp.lab.test"})
			return err
		}, "1.3.1/2.1"},
		{"5.6.1 no challenge", nil, Order{}, func(w *world, c *card, id string) error {
			_, err := w.post(InitiateAuthentication, map[string]string{"euiccInfo1": b64(c.info1()), "smdpAddress": "smdpp.lab.test"})
			return err
		}, "1.3.1/2.2"},
		{"5.6.3 unknown transaction", nil, Order{}, func(w *world, c *card, id string) error {
			out, err := w.initiate(c)
			if err != nil {
				return err
			}
			_, err = w.post(AuthenticateClient, map[string]string{"transactionId": "00", "authenticateServerResponse": b64(c.authenticateServer(out["serverSigned1"], id))})
			return err
		}, "8.10.1/3.9"},
		{"5.6.3 session expired", nil, Order{}, func(w *world, c *card, id string) error {
			out, err := w.initiate(c)
			if err != nil {
				return err
			}
			w.clock = w.clock.Add(16 * time.Minute)
			_, err = w.post(AuthenticateClient, map[string]string{"transactionId": string(out["transactionId"]), "authenticateServerResponse": b64(c.authenticateServer(out["serverSigned1"], id))})
			return err
		}, "8.10.1/3.9"},
		{"5.6.3 EUM of another CI", nil, Order{}, func(w *world, c *card, id string) error {
			other := newWorld(w.T, nil).card(testEID)
			c.eum, c.id = other.eum, other.id
			return download(w, c, id)
		}, "8.11.1/3.9"},
		{"5.6.3 EUM certificate expired", nil, Order{}, func(w *world, c *card, id string) error {
			var err error
			if c.eum, err = sgp26.NewEUM(w.ci, testNow.AddDate(-40, 0, 0)); err != nil {
				return err
			}
			if c.id, err = sgp26.NewEUICC(c.eum, testEID, testNow); err != nil {
				return err
			}
			return download(w, c, id)
		}, "8.1.2/6.3"},
		{"5.6.3 card of another EUM", nil, Order{}, func(w *world, c *card, id string) error {
			var err error
			if c.eum, err = sgp26.NewEUM(w.ci, testNow); err != nil {
				return err
			}
			return download(w, c, id)
		}, "8.1.3/6.1"},
		{"5.6.3 card certificate not yet valid", nil, Order{}, func(w *world, c *card, id string) error {
			var err error
			if c.id, err = sgp26.NewEUICC(c.eum, testEID, testNow.AddDate(1, 0, 0)); err != nil {
				return err
			}
			return download(w, c, id)
		}, "8.1.3/6.3"},
		{"5.6.3 a server's certificate as EUM", nil, Order{}, func(w *world, c *card, id string) error {
			c.eum, _, _ = w.server.Identities()
			return download(w, c, id)
		}, "8.1.2/6.1"},
		{"5.6.3 eUICC signature", nil, Order{}, func(w *world, c *card, id string) error {
			other := w.card(testEID)
			c.id.Key = other.id.Key
			return download(w, c, id)
		}, "8.1/6.1"},
		{"5.6.3 challenge of another session", nil, Order{}, func(w *world, c *card, id string) error {
			one, err := w.initiate(c)
			if err != nil {
				return err
			}
			_, err = w.post(AuthenticateClient, map[string]string{"transactionId": string(one["transactionId"]), "authenticateServerResponse": b64(c.authenticateServer(
				bytes.Replace(one["serverSigned1"], one["serverSigned1"][len(one["serverSigned1"])-16:], random(16), 1), id))})
			return err
		}, "8.1/6.1"},
		{"5.6.3 the card refused the server", nil, Order{}, func(w *world, c *card, id string) error {
			out, err := w.initiate(c)
			if err != nil {
				return err
			}
			_, err = w.post(AuthenticateClient, map[string]string{"transactionId": string(out["transactionId"]), "authenticateServerResponse": b64(
				bertlv.Encode(0xBF38, bertlv.Encode(0xA1, bertlv.Encode(0x80, c.transactionID), bertlv.Encode(0x02, []byte{2}))))})
			return err
		}, "8.1/6.1"},
		{"5.6.3 unknown matching ID", nil, Order{}, func(w *world, c *card, id string) error { return download(w, c, "NO-SUCH-ORDER") }, "8.2.6/3.8"},
		{"5.6.3 order of another EID", nil, Order{EID: otherEID}, download, "8.1.1/3.8"},
		{"5.6.3 no matching ID and no order for the EID", nil, Order{}, func(w *world, c *card, id string) error { return download(w, c, "") }, "8.1.1/3.8"},
		{"5.6.3 no matching ID, order for the EID", nil, Order{EID: testEID}, func(w *world, c *card, id string) error { return download(w, c, "") }, ""},
		{"5.6.3 not released", nil, Order{State: StateConfirmed}, download, "8.2/1.2"},
		{"5.6.3 released later", nil, Order{State: StateConfirmed}, func(w *world, c *card, id string) error {
			if err := w.server.Release(id); err != nil {
				return err
			}
			return download(w, c, id)
		}, ""},
		{"5.6.3 order expired", nil, Order{Expires: testNow.Add(-time.Second)}, download, "8.8.5/4.10"},
		{"5.6.3 too many attempts", nil, Order{Attempts: 2}, func(w *world, c *card, id string) error {
			for range 2 {
				if _, err := w.authenticate(c, id); err != nil {
					return err
				}
			}
			return download(w, c, id)
		}, "8.8.5/6.4"},
		{"5.6.3 card without room", func(c *Config) { c.CheckMemory = true }, Order{}, func(w *world, c *card, id string) error { c.memory = 2000; return download(w, c, id) }, "8.1/4.8"},
		{"5.6.3 card without room, not asked", nil, Order{}, func(w *world, c *card, id string) error { c.memory = 2000; return download(w, c, id) }, ""},
		{"5.6.3 matching ID taken by another card", nil, Order{}, func(w *world, c *card, id string) error {
			if err := download(w, w.card(otherEID), id); err != nil {
				return err
			}
			return download(w, c, id)
		}, "8.1.1/3.8"},
		{"5.6.2 confirmation code right", nil, Order{ConfirmationCode: "1234"}, func(w *world, c *card, id string) error { _, err := w.download(c, id, "1234"); return err }, ""},
		{"5.6.2 confirmation code missing", nil, Order{ConfirmationCode: "1234"}, download, "8.2.7/2.2"},
		{"5.6.2 confirmation code wrong", nil, Order{ConfirmationCode: "1234"}, func(w *world, c *card, id string) error { _, err := w.download(c, id, "4321"); return err }, "8.2.7/3.8"},
		{"5.6.2 confirmation code wrong too often", nil, Order{ConfirmationCode: "1234"}, func(w *world, c *card, id string) error {
			for range 2 {
				w.download(c, id, "4321")
			}
			_, err := w.download(c, id, "4321")
			return err
		}, "8.2.7/6.4"},
		{"5.6.2 eUICC signature", nil, Order{}, func(w *world, c *card, id string) error {
			out, err := w.authenticate(c, id)
			if err != nil {
				return err
			}
			c.id.Key = w.card(testEID).id.Key
			p, err := c.prepareDownload(out, "")
			if err != nil {
				return err
			}
			_, err = w.post(GetBoundProfilePackage, map[string]string{"transactionId": string(out["transactionId"]), "prepareDownloadResponse": b64(p)})
			return err
		}, "8.1/6.1"},
		{"5.6.2 before authentication", nil, Order{}, func(w *world, c *card, id string) error {
			out, err := w.initiate(c)
			if err != nil {
				return err
			}
			signed := bertlv.Encode(0x30, bertlv.Encode(0x80, c.transactionID), bertlv.Encode(tagOtpk, random(65)))
			_, err = w.post(GetBoundProfilePackage, map[string]string{"transactionId": string(out["transactionId"]), "prepareDownloadResponse": b64(bertlv.Encode(0xBF21, bertlv.Encode(0xA0, signed, c.sign(signed))))})
			return err
		}, "8.10.1/3.9"},
		{"5.6.2 one-time key that is no point", nil, Order{}, func(w *world, c *card, id string) error {
			out, err := w.authenticate(c, id)
			if err != nil {
				return err
			}
			signed := bertlv.Encode(0x30, bertlv.Encode(0x80, c.transactionID), bertlv.Encode(tagOtpk, random(65)))
			_, err = w.post(GetBoundProfilePackage, map[string]string{"transactionId": string(out["transactionId"]), "prepareDownloadResponse": b64(bertlv.Encode(0xBF21, bertlv.Encode(0xA0, signed, c.sign(signed, out["smdpSignature2"]))))})
			return err
		}, "1.3.1/2.1"},
		{"5.6.2 bound once, another key of the card", nil, Order{Rebind: RebindSameKey}, func(w *world, c *card, id string) error {
			if err := download(w, c, id); err != nil {
				return err
			}
			return download(w, c, id)
		}, "8.2/3.7"},
		{"5.6.2 bound once, the same key of the card", nil, Order{Rebind: RebindSameKey}, func(w *world, c *card, id string) error {
			c.reuse = true
			if err := download(w, c, id); err != nil {
				return err
			}
			return download(w, c, id)
		}, ""},
		{"5.6.2 bound again", nil, Order{}, func(w *world, c *card, id string) error {
			if err := download(w, c, id); err != nil {
				return err
			}
			return download(w, c, id)
		}, ""},
		{"5.6.5 unknown transaction", nil, Order{}, func(w *world, c *card, id string) error {
			if err := download(w, c, id); err != nil {
				return err
			}
			_, err := w.post(CancelSession, map[string]string{"transactionId": "AA", "cancelSessionResponse": b64(c.cancel(1))})
			return err
		}, "8.10.1/3.9"},
		{"5.6.5 another OID", nil, Order{}, func(w *world, c *card, id string) error {
			if err := download(w, c, id); err != nil {
				return err
			}
			c.oid = bertlv.Encode(0x81, []byte{0x88, 0x37, 0x0B})
			_, err := w.post(CancelSession, map[string]string{"transactionId": hex.EncodeToString(c.transactionID), "cancelSessionResponse": b64(c.cancel(1))})
			return err
		}, "8.8/3.10"},
		{"5.6.5 eUICC signature", nil, Order{}, func(w *world, c *card, id string) error {
			if err := download(w, c, id); err != nil {
				return err
			}
			c.id.Key = w.card(testEID).id.Key
			_, err := w.post(CancelSession, map[string]string{"transactionId": hex.EncodeToString(c.transactionID), "cancelSessionResponse": b64(c.cancel(1))})
			return err
		}, "8.1/6.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.config)
			err := tt.run(w, w.card(testEID), w.order(tt.order))
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, refusal{tt.want}) {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			if w.server.Stats().Refusals[tt.want] == 0 {
				t.Error("the refusal was not counted")
			}
		})
	}
}
