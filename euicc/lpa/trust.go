package lpa

import (
	"errors"
	"fmt"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/es9p"
)

// The certificates with which servers sign to the card, CERT.XXauth and
// CERT.DPpb. The card verifies the signatures, but it has no clock (SGP.22
// 4.5.2): what expired is ours to notice. crypto/x509 cannot read those with
// Brainpool keys, so they are decoded here as far as needed.

// role is what a server's certificate is for (SGP.22 4.5.2.1.1).
type role string

const (
	roleDPAuth role = "2.23.146.1.2.1.4"
	roleDPPB   role = "2.23.146.1.2.1.5"
	roleDSAuth role = "2.23.146.1.2.1.7"
)

// certificate is what the LPA has to know of one.
type certificate struct {
	notBefore, notAfter time.Time
	oid                 string // registered ID of its owner, "" when it has none
	roles               []role // its certificate policies
}

func parseCertificate(der []byte) (certificate, error) {
	cert, err := bertlv.Expect(der, 0x30)
	if err != nil {
		return certificate{}, err
	}
	tbs, ok := cert.Find(0x30)
	if !ok {
		return certificate{}, errors.New("certificate without content")
	}
	var c certificate
	n := 0 // of the sequences: signature algorithm, issuer, validity, subject, key
	for e, err := range tbs.Children() {
		if err != nil {
			return certificate{}, err
		}
		switch e.Tag {
		case 0x30:
			if n++; n == 3 {
				if err := c.setValidity(e); err != nil {
					return certificate{}, err
				}
			}
		case 0xA3:
			if err := c.setExtensions(e); err != nil {
				return certificate{}, err
			}
		}
	}
	if c.notAfter.IsZero() {
		return certificate{}, errors.New("certificate without validity")
	}
	return c, nil
}

func (c *certificate) setValidity(e bertlv.Element) error {
	var times []time.Time
	for f, err := range e.Children() {
		if err != nil {
			return err
		}
		layout := "20060102150405Z0700" // GeneralizedTime, 18
		if f.Tag == 0x17 {              // UTCTime
			layout = "060102150405Z0700"
		}
		t, err := time.Parse(layout, string(f.Value))
		if err != nil {
			return errors.New("validity that is no time")
		}
		// RFC 5280, 4.1.2.5.1: 50 to 99 are of the last century.
		if f.Tag == 0x17 && t.Year() >= 2050 {
			t = t.AddDate(-100, 0, 0)
		}
		times = append(times, t)
	}
	if len(times) != 2 {
		return errors.New("validity without begin or end")
	}
	c.notBefore, c.notAfter = times[0], times[1]
	return nil
}

func (c *certificate) setExtensions(e bertlv.Element) error {
	list, ok := e.Find(0x30)
	if !ok {
		return errors.New("empty list of extensions")
	}
	for x, err := range list.Children() {
		if err != nil {
			return err
		}
		oid, _ := x.Find(0x06)
		octets, _ := x.Find(0x04)
		value, err := bertlv.Expect(octets.Value, 0x30)
		if err != nil {
			continue // of another kind than those below
		}
		switch bertlv.OID(oid.Value) {
		case "2.5.29.17": // subject alternative name, registeredID (RFC 5280, 4.2.1.6)
			id, _ := value.Find(0x88)
			c.oid = bertlv.OID(id.Value)
		case "2.5.29.32": // certificate policies
			for p, err := range value.Children() {
				if err != nil {
					return err
				}
				id, _ := p.Find(0x06)
				c.roles = append(c.roles, role(bertlv.OID(id.Value)))
			}
		}
	}
	return nil
}

// has reports whether the certificate names a role.
func (c certificate) has(r role) bool {
	for _, x := range c.roles {
		if x == r {
			return true
		}
	}
	return false
}

// checkValidity compares a certificate with our clock. The clock itself is the
// caller's to check first; Config.HTTP.Now is the one that TLS uses, too.
func (c *Card) checkValidity(stage euicc.Stage, name string, x certificate) error {
	now := time.Now
	if c.cfg.HTTP.Now != nil {
		now = c.cfg.HTTP.Now
	}
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	t := now()
	e := &euicc.Error{Stage: stage, Retry: euicc.RetryAsk,
		Advice: "look at this box's clock first; if it is right the server's operator has to renew the certificate"}
	switch {
	case t.After(x.notAfter):
		e.Code = "server-" + string(es9p.TLSExpired)
		e.Text = fmt.Sprintf("the server's certificate %s expired on %s, and our clock says %s", name, day(x.notAfter), day(t))
	case t.Before(x.notBefore):
		e.Code = "server-" + string(es9p.TLSNotYetValid)
		e.Text = fmt.Sprintf("the server's certificate %s is valid from %s, and our clock says %s", name, day(x.notBefore), day(t))
	default:
		return nil
	}
	return e
}
