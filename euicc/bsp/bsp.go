package bsp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"dynamod/euicc/bertlv"
)

const (
	// KeyTypeAES is the key type of the control reference template
	// (GlobalPlatform Card Specification, table 11-16; SGP.22, 5.5.1).
	KeyTypeAES = 0x88
	// KeyLen is the only key length of SGP.22 v2, in bytes (SGP.22, 5.5.1).
	KeyLen = 16
	// MACLen is the length of the C-MAC at the end of each TLV, in bytes.
	MACLen = 8
	// MaxTLV is the largest protected TLV, tag and length included, in bytes
	// (SGP.22, 2.5.3).
	MaxTLV = 1020
	// MaxPlain is the largest plaintext of one encrypted TLV (tags 86 and 87)
	// of at most MaxTLV bytes: 4 bytes of tag and length, the MAC and at least
	// one byte of padding go off, and what is left is whole AES blocks.
	MaxPlain = (MaxTLV-4-MACLen)/aes.BlockSize*aes.BlockSize - 1
	// MaxPlainMAC is the largest plaintext of one TLV that is only MACed (tag 88).
	MaxPlainMAC = MaxTLV - 4 - MACLen
)

var (
	// ErrStructure means bytes that are no protected TLV of the expected tag
	// (ES8+ error scp03tStructureError).
	ErrStructure = errors.New("malformed protected TLV")
	// ErrSecurity means a wrong MAC or wrong padding (ES8+ error
	// scp03tSecurityError). The Session answers every later Open with it.
	ErrSecurity = errors.New("protected TLV does not verify")
)

// Keys are the session keys and the initial MAC chaining value.
type Keys struct {
	MCV [KeyLen]byte // initial MAC chaining value
	Enc [KeyLen]byte // S-ENC, or PPK-ENC after ReplaceSessionKeys
	MAC [KeyLen]byte // S-MAC, or PPK-MAC after ReplaceSessionKeys
}

// String hides the keys.
func (Keys) String() string { return "bsp.Keys(redacted)" }

// GoString hides the keys.
func (Keys) GoString() string { return "bsp.Keys(redacted)" }

// DeriveKeys derives the session keys from the ECKA shared secret (the x
// coordinate, 32 bytes on P-256) with the X9.63 KDF over SHA-256. SharedInfo is
// keyType, keyLength, and hostID and eid each behind its length (SGP.22, 2.6.4.2
// and annex G). eid has 16 bytes, as the card codes it.
func DeriveKeys(shared []byte, keyType, keyLength byte, hostID, eid []byte) (Keys, error) {
	switch {
	case len(shared) == 0:
		return Keys{}, errors.New("empty ECKA secret")
	case keyType != KeyTypeAES:
		return Keys{}, fmt.Errorf("key type %02X, only %02X (AES) is defined", keyType, KeyTypeAES)
	case keyLength != KeyLen:
		return Keys{}, fmt.Errorf("key length %d, only %d is defined", keyLength, KeyLen)
	case len(hostID) == 0 || len(hostID) > 16:
		return Keys{}, fmt.Errorf("host id of %d bytes, 1 to 16 are allowed", len(hostID))
	case len(eid) != 16:
		return Keys{}, fmt.Errorf("EID of %d bytes, 16 expected", len(eid))
	}
	info := make([]byte, 0, 4+len(hostID)+len(eid))
	info = append(info, keyType, keyLength, byte(len(hostID)))
	info = append(info, hostID...)
	info = append(info, byte(len(eid)))
	info = append(info, eid...)

	out := x963(shared, info, 3*KeyLen)
	var k Keys
	copy(k.MCV[:], out)
	copy(k.Enc[:], out[KeyLen:])
	copy(k.MAC[:], out[2*KeyLen:])
	return k, nil
}

// Session is one end of the secure channel: keys, MAC chaining value and block
// counter.
type Session struct {
	enc     cipher.Block
	mac     *cmac
	mcv     [aes.BlockSize]byte
	counter uint64
	broken  bool
}

// New returns a Session at its first data block.
func New(k Keys) *Session {
	s := new(Session)
	s.Replace(k)
	return s
}

// Replace changes to new keys and starts again at the first data block, as
// ReplaceSessionKeys asks (SGP.22, 5.5.4).
func (s *Session) Replace(k Keys) {
	s.enc = newAES(k.Enc)
	s.mac = newCMAC(newAES(k.MAC))
	s.mcv = k.MCV
	s.counter = 1
}

func newAES(key [KeyLen]byte) cipher.Block {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 16 bytes are a key length of AES
	}
	return b
}

// Seal encrypts plaintext and returns it with its C-MAC as one TLV (tags 86 and
// 87). More than MaxPlain bytes make a TLV that a card may refuse; see SealAll.
func (s *Session) Seal(tag bertlv.Tag, plaintext []byte) []byte {
	n := len(plaintext)/aes.BlockSize*aes.BlockSize + aes.BlockSize
	padded := make([]byte, n)
	copy(padded, plaintext)
	padded[len(plaintext)] = 0x80
	icv := s.icv()
	cipher.NewCBCEncrypter(s.enc, icv[:]).CryptBlocks(padded, padded)
	return s.authenticate(tag, padded)
}

// SealMAC returns plaintext with its C-MAC as one TLV (tag 88). The block counter
// moves on here too (SGP.22, 2.6.4.4).
func (s *Session) SealMAC(tag bertlv.Tag, plaintext []byte) []byte {
	s.counter++
	return s.authenticate(tag, plaintext)
}

// SealAll cuts plaintext into pieces of MaxPlain bytes and seals each; at least
// one TLV results. The TLVs follow each other without a gap.
func (s *Session) SealAll(tag bertlv.Tag, plaintext []byte) []byte {
	var out []byte
	for {
		n := min(len(plaintext), MaxPlain)
		out = append(out, s.Seal(tag, plaintext[:n])...)
		if plaintext = plaintext[n:]; len(plaintext) == 0 {
			return out
		}
	}
}

// SealAllMAC is SealAll for TLVs that are only MACed (tag 88).
func (s *Session) SealAllMAC(tag bertlv.Tag, plaintext []byte) []byte {
	var out []byte
	for {
		n := min(len(plaintext), MaxPlainMAC)
		out = append(out, s.SealMAC(tag, plaintext[:n])...)
		if plaintext = plaintext[n:]; len(plaintext) == 0 {
			return out
		}
	}
}

// Open verifies one TLV of the given tag and returns its plaintext. The error is
// ErrStructure or ErrSecurity.
func (s *Session) Open(tag bertlv.Tag, tlv []byte) ([]byte, error) {
	data, err := s.verify(tag, tlv)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 || len(data)%aes.BlockSize != 0 {
		s.broken = true
		return nil, fmt.Errorf("%w: %d bytes of ciphertext are no whole blocks", ErrStructure, len(data))
	}
	icv := s.icv()
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(s.enc, icv[:]).CryptBlocks(plain, data)
	n := len(plain) - 1
	for n >= 0 && plain[n] == 0 {
		n--
	}
	if n < len(plain)-aes.BlockSize || n < 0 || plain[n] != 0x80 {
		s.broken = true
		return nil, fmt.Errorf("%w: padding", ErrSecurity)
	}
	return plain[:n:n], nil
}

// OpenMAC verifies one TLV of the given tag that is only MACed. The error is
// ErrStructure or ErrSecurity.
func (s *Session) OpenMAC(tag bertlv.Tag, tlv []byte) ([]byte, error) {
	data, err := s.verify(tag, tlv)
	if err != nil {
		return nil, err
	}
	s.counter++
	return append([]byte(nil), data...), nil
}

// icv encrypts the block counter with S-ENC and moves it on (SGP.22, 2.6.4.4).
func (s *Session) icv() (icv [aes.BlockSize]byte) {
	binary.BigEndian.PutUint64(icv[8:], s.counter)
	s.counter++
	s.enc.Encrypt(icv[:], icv[:])
	return icv
}

// authenticate builds the TLV. The C-MAC covers the chaining value, tag, final
// length and data; its eight leading bytes are sent and all sixteen chained on.
func (s *Session) authenticate(tag bertlv.Tag, data []byte) []byte {
	out := make([]byte, aes.BlockSize, aes.BlockSize+bertlv.Size(tag, len(data)+MACLen))
	copy(out, s.mcv[:])
	out = bertlv.AppendHeader(out, tag, len(data)+MACLen)
	out = append(out, data...)
	s.mcv = s.mac.sum(out)
	return append(out[aes.BlockSize:], s.mcv[:MACLen]...)
}

func (s *Session) verify(tag bertlv.Tag, tlv []byte) ([]byte, error) {
	if s.broken {
		return nil, fmt.Errorf("%w: after an earlier error", ErrSecurity)
	}
	e, err := bertlv.Expect(tlv, tag)
	if err != nil {
		s.broken = true
		return nil, fmt.Errorf("%w: %v", ErrStructure, err)
	}
	n := len(e.Value) - MACLen
	if n < 0 {
		s.broken = true
		return nil, fmt.Errorf("%w: %d bytes hold no MAC", ErrStructure, len(e.Value))
	}
	in := make([]byte, 0, aes.BlockSize+len(tlv))
	in = append(in, s.mcv[:]...)
	in = append(in, tlv[:len(tlv)-MACLen]...)
	mcv := s.mac.sum(in)
	if subtle.ConstantTimeCompare(mcv[:MACLen], e.Value[n:]) != 1 {
		s.broken = true
		return nil, fmt.Errorf("%w: MAC of tag %s", ErrSecurity, tag)
	}
	s.mcv = mcv
	return e.Value[:n:n], nil
}
