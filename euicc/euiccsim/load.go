package euiccsim

import (
	"bytes"
	"crypto/ecdh"
	"errors"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/bsp"
)

// BppCommandId and ErrorReason of ProfileInstallationResult (SGP.22, 2.5.6).
const (
	cmdInitialiseSecureChannel = 0
	cmdConfigureISDP           = 1
	cmdStoreMetadata           = 2
	cmdReplaceSessionKeys      = 4
	cmdLoadProfileElements     = 5

	reasonIncorrectInput     = 1
	reasonSignature          = 2
	reasonTransactionID      = 3
	reasonCRT                = 4
	reasonRemoteOperation    = 5
	reasonProfileClass       = 6
	reasonSCP03tStructure    = 7
	reasonSCP03tSecurity     = 8
	reasonICCIDExists        = 9
	reasonInsufficientMemory = 10
	reasonPEProcessing       = 12
	reasonICCIDMismatch      = 13
	reasonPPRNotAllowed      = 15
)

// loadError ends an installation.
type loadError struct {
	command, reason int64
	msg             string
	sima            []byte // EUICCResponse, if a profile element was at fault
}

func (e *loadError) Error() string { return e.msg }

// maxPlain bounds the parts of a package other than the profile itself.
const maxPlain = 8 << 10

// loader is a Bound Profile Package on its way in. It takes segments that end
// where a data object or the header of a sequence ends (SGP.22, 2.5.5).
type loader struct {
	session  *bsp.Session
	left     int        // bytes of BF36's value still to come
	sequence bertlv.Tag // A0 to A3: the one that is open; before A0, BF23
	seqLeft  int        // bytes of it still to come
	plain    []byte     // of the open sequence
	metadata []byte     // StoreMetadataRequest
	iccid    []byte
	dpData   []byte // dpProprietaryData, tag B8
}

// stage returns the command that the open sequence belongs to, and the tag of
// its data objects.
func (l *loader) stage() (command int64, tag bertlv.Tag) {
	switch l.sequence {
	case 0xA0:
		return cmdConfigureISDP, 0x87
	case 0xA1:
		return cmdStoreMetadata, 0x88
	case 0xA2:
		return cmdReplaceSessionKeys, 0x87
	case 0xA3:
		return cmdLoadProfileElements, 0x86
	}
	return cmdInitialiseSecureChannel, 0
}

// follows reports whether sequence tag may come next.
func (l *loader) follows(tag bertlv.Tag) bool {
	switch tag {
	case 0xA0:
		return l.sequence == tagInitialiseSecureChannel
	case 0xA1:
		return l.sequence == 0xA0
	case 0xA2:
		return l.sequence == 0xA1
	case 0xA3:
		return l.sequence == 0xA1 || l.sequence == 0xA2
	}
	return false
}

// loadSegment is ES10b.LoadBoundProfilePackage (SGP.22, 5.7.6). It answers only
// the segment that ends the installation, well or not.
func (c *Card) loadSegment(ch *channel, number int, tag bertlv.Tag, data []byte) ([]byte, apdu.Status) {
	s := c.session
	if s == nil || s.dppb == nil || s.channel != number {
		if ch.loadDone {
			return nil, swReferencedData // the package has ended already
		}
		return nil, swConditions
	}
	var err error
	if tag == tagBoundProfilePackage {
		err = c.beginLoad(s, data)
	} else if s.load == nil {
		return nil, swConditions
	} else {
		err = c.continueLoad(s, data)
	}
	if err == nil && (s.load.sequence != 0xA3 || s.load.seqLeft > 0) {
		return nil, swOK
	}
	if err == nil {
		err = c.install(s)
		if err == nil {
			ch.loadDone = true
			c.session = nil
			c.stats.Installed++
			return c.nv.lastResult(), swOK
		}
	}
	var le *loadError
	if !errors.As(err, &le) {
		return nil, swMemory // the card's own memory failed; nothing has changed
	}
	c.log.Info("installation failed", "command", le.command, "reason", le.reason, "error", le)
	next := c.nv.clone()
	if err := c.addInstallationResult(next, s, nil, le); err != nil {
		return nil, swMemory
	}
	if c.commit(next) != nil {
		return nil, swMemory
	}
	c.session = nil
	ch.loadDone = true
	return next.lastResult(), swOK
}

// beginLoad takes the header of BF36 and InitialiseSecureChannel (SGP.22, 5.5.1).
func (c *Card) beginLoad(s *session, data []byte) error {
	s.load = &loader{sequence: tagInitialiseSecureChannel}
	fail := func(reason int64, msg string) error {
		return &loadError{command: cmdInitialiseSecureChannel, reason: reason, msg: msg}
	}
	_, header, length, err := bertlv.Header(data)
	if err != nil {
		return fail(reasonIncorrectInput, err.Error())
	}
	isc, rest, err := bertlv.Next(data[header:])
	if err != nil || isc.Tag != tagInitialiseSecureChannel || length < len(isc.Raw) {
		return fail(reasonIncorrectInput, "no InitialiseSecureChannel")
	}
	parts, err := children(isc)
	if err != nil || len(parts) != 5 || parts[0].Tag != 0x82 || parts[1].Tag != 0x80 || parts[2].Tag != 0xA6 ||
		parts[3].Tag != tagOTPK || parts[4].Tag != tagSignature {
		return fail(reasonIncorrectInput, "malformed InitialiseSecureChannel")
	}
	op, tid, crt, otpk, sig := parts[0], parts[1], parts[2], parts[3], parts[4]
	signed := data[header+len(isc.Raw)-len(isc.Value) : header+len(isc.Raw)-len(sig.Raw)]
	signed = append(bytes.Clone(signed), bertlv.Encode(tagOTPK, s.otpk.PublicKey().Bytes())...)
	if err := c.verify(s.dppb, signed, sig.Value); err != nil {
		return fail(reasonSignature, "smdpSign: "+err.Error())
	}
	if !bytes.Equal(tid.Value, s.transactionID) {
		return fail(reasonTransactionID, "transaction ID of another session")
	}
	if !bytes.Equal(op.Value, []byte{1}) { // installBoundProfilePackage
		return fail(reasonRemoteOperation, "remote operation is not installBoundProfilePackage")
	}
	keyType, keyLen, hostID := value(crt, 0x80), value(crt, 0x81), value(crt, 0x84)
	if len(keyType) != 1 || keyType[0] != bsp.KeyTypeAES || len(keyLen) != 1 || keyLen[0] != bsp.KeyLen || len(hostID) < 1 || len(hostID) > 16 {
		return fail(reasonCRT, "control reference template")
	}
	peer, err := ecdh.P256().NewPublicKey(otpk.Value)
	if err != nil {
		return fail(reasonIncorrectInput, "one-time key of the SM-DP+: "+err.Error())
	}
	shared, err := s.otpk.ECDH(peer)
	if err != nil {
		return fail(reasonIncorrectInput, err.Error())
	}
	keys, err := bsp.DeriveKeys(shared, keyType[0], keyLen[0], hostID, c.eid)
	if err != nil {
		return fail(reasonCRT, err.Error())
	}
	s.load.session = bsp.New(keys)
	s.load.left = length - len(isc.Raw)
	if len(rest) > 0 {
		return c.continueLoad(s, rest)
	}
	return nil
}

// continueLoad takes headers of sequences and protected data objects.
func (c *Card) continueLoad(s *session, data []byte) error {
	l := s.load
	for len(data) > 0 {
		command, inner := l.stage()
		structure := func(msg string) error {
			return &loadError{command: command, reason: reasonSCP03tStructure, msg: msg}
		}
		if l.seqLeft == 0 {
			tag, header, length, err := bertlv.Header(data)
			if err != nil || !l.follows(tag) {
				return structure("unexpected data object instead of the next sequence")
			}
			if header+length > l.left || length == 0 {
				return structure("sequence " + tag.String() + " does not fit the package")
			}
			if (tag == 0xA3) != (header+length == l.left) {
				return structure("sequence " + tag.String() + " does not end as the package does")
			}
			l.sequence, l.seqLeft, l.plain = tag, length, nil
			l.left -= header + length
			data = data[header:]
			continue
		}
		e, rest, err := bertlv.Next(data)
		if err != nil || e.Tag != inner || len(e.Raw) > l.seqLeft {
			return structure("data object does not fit its sequence")
		}
		if c.cfg.StrictSegments && len(e.Raw) > bsp.MaxTLV {
			return structure("data object is longer than 1020 bytes")
		}
		open := l.session.Open
		if inner == 0x88 {
			open = l.session.OpenMAC
		}
		plain, err := open(inner, e.Raw)
		if errors.Is(err, bsp.ErrStructure) {
			return structure(err.Error())
		} else if err != nil {
			return &loadError{command: command, reason: reasonSCP03tSecurity, msg: err.Error()}
		}
		l.plain = append(l.plain, plain...)
		l.seqLeft -= len(e.Raw)
		data = rest
		if l.sequence == 0xA3 {
			if len(l.plain)+len(l.metadata)+profileOverhead > c.freeNVM() {
				return &loadError{command: command, reason: reasonInsufficientMemory, msg: "no memory for the profile"}
			}
			continue
		}
		if len(l.plain) > maxPlain {
			return structure("command is too long")
		}
		if l.seqLeft == 0 {
			if err := c.sequenceDone(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// sequenceDone executes the command of a finished sequence.
func (c *Card) sequenceDone(l *loader) error {
	switch l.sequence {
	case 0xA0:
		return l.configureISDP()
	case 0xA1:
		return c.storeMetadata(l)
	case 0xA2:
		return l.replaceKeys()
	}
	return nil
}

// configureISDP is ES8+.ConfigureISDP (SGP.22, 5.5.2).
func (l *loader) configureISDP() error {
	e, err := bertlv.Expect(l.plain, tagConfigureISDP)
	if err == nil {
		err = bertlv.Check(e.Value)
	}
	if err != nil {
		return &loadError{command: cmdConfigureISDP, reason: reasonIncorrectInput, msg: err.Error()}
	}
	if d, ok := e.Find(0xB8); ok {
		if len(d.Raw) > 128 {
			return &loadError{command: cmdConfigureISDP, reason: reasonIncorrectInput, msg: "dpProprietaryData is longer than 128 bytes"}
		}
		l.dpData = bytes.Clone(d.Raw)
	}
	return nil
}

// storeMetadata is ES8+.StoreMetadata (SGP.22, 5.5.3).
func (c *Card) storeMetadata(l *loader) error {
	fail := func(reason int64, msg string) error {
		return &loadError{command: cmdStoreMetadata, reason: reason, msg: msg}
	}
	m, err := parseMetadata(l.plain)
	if err != nil {
		return fail(reasonIncorrectInput, err.Error())
	}
	l.metadata, l.iccid = bytes.Clone(l.plain), m.iccid
	if m.class > ClassOperational {
		return fail(reasonProfileClass, "profile class is unknown")
	}
	if c.nv.byICCID(m.iccid) != nil {
		return fail(reasonICCIDExists, "a profile with this ICCID is on the card")
	}
	if !c.allowed(m.rules, m.owner) {
		return fail(reasonPPRNotAllowed, "policy rules are not allowed")
	}
	if m.rules&PPR1 != 0 {
		for _, p := range c.nv.Profiles {
			if p.class() == ClassOperational {
				return fail(reasonPPRNotAllowed, "PPR1 while another operational profile is on the card")
			}
		}
	}
	return nil
}

// replaceKeys is ES8+.ReplaceSessionKeys (SGP.22, 5.5.4).
func (l *loader) replaceKeys() error {
	e, err := bertlv.Expect(l.plain, tagReplaceSessionKeys)
	mcv, enc, mac := value(e, 0x80), value(e, 0x81), value(e, 0x82)
	if err != nil || len(mcv) != bsp.KeyLen || len(enc) != bsp.KeyLen || len(mac) != bsp.KeyLen {
		return &loadError{command: cmdReplaceSessionKeys, reason: reasonIncorrectInput, msg: "malformed ReplaceSessionKeys"}
	}
	l.session.Replace(bsp.Keys{MCV: [16]byte(mcv), Enc: [16]byte(enc), MAC: [16]byte(mac)})
	return nil
}

// install turns a package that has arrived as a whole into a profile. Profile,
// result and notifications become real in one step.
func (c *Card) install(s *session) error {
	l := s.load
	fs, pe := parsePackage(l.plain)
	if pe != nil {
		return &loadError{cmdLoadProfileElements, reasonPEProcessing, pe.Error(), simaResponse(pe)}
	}
	ef := fs.mf.child(0x2FE2)
	if ef == nil || !bytes.Equal(ef.data, l.iccid) || digits(swapped(fs.iccid)) != digits(l.iccid) && digits(fs.iccid) != digits(l.iccid) {
		return &loadError{cmdLoadProfileElements, reasonICCIDMismatch, "ICCID of the package is not the metadata's", nil}
	}
	next := c.nv.clone()
	p := &profile{AID: next.newAID(), ICCID: bytes.Clone(l.iccid), Metadata: l.metadata, UPP: l.plain, DPOID: l.dpData}
	next.Profiles = append(next.Profiles, p)
	if err := c.addInstallationResult(next, s, p, nil); err != nil {
		return err
	}
	if err := c.addNotifications(next, p, EventInstall); err != nil {
		return err
	}
	if err := c.commit(next); err != nil {
		return err
	}
	c.oneTime = nil
	c.log.Info("profile installed", "iccid", short(digits(p.ICCID)), "bytes", len(p.UPP))
	return nil
}

// swapped changes the digits of each octet: the header of a package holds the
// ICCID in reading order, EF_ICCID does not.
func swapped(b []byte) []byte {
	out := make([]byte, len(b))
	for i, v := range b {
		out[i] = v<<4 | v>>4
	}
	return out
}

// simaOK is the EUICCResponse after success: one PEStatus, ok.
var simaOK = []byte{0x30, 0x07, 0xA0, 0x05, 0x30, 0x03, 0x80, 0x01, 0x00}

// simaResponse is the EUICCResponse that names the element at fault.
func simaResponse(e *packageError) []byte {
	var b bertlv.Builder
	b.Open(0x30).Open(0xA0).Open(0x30).Int(0x80, int64(e.status))
	if e.id >= 0 {
		b.Int(0x81, int64(e.id))
	}
	return b.Close().Close().Put(0x81, nil).Close().Bytes() // installation aborted
}
