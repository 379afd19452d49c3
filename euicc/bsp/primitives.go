package bsp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
)

// x963 is the key derivation function of ANSI X9.63 with SHA-256, as in SEC 1
// v2, 3.6.1: SHA-256(z || counter || info) for counter 1, 2, ...
func x963(z, info []byte, n int) []byte {
	out := make([]byte, 0, n+sha256.Size-1)
	h := sha256.New()
	var counter [4]byte
	for i := uint32(1); len(out) < n; i++ {
		binary.BigEndian.PutUint32(counter[:], i)
		h.Reset()
		h.Write(z)
		h.Write(counter[:])
		h.Write(info)
		out = h.Sum(out)
	}
	return out[:n]
}

// cmac is AES-CMAC (NIST SP 800-38B, RFC 4493).
type cmac struct {
	block  cipher.Block
	k1, k2 [aes.BlockSize]byte
}

func newCMAC(block cipher.Block) *cmac {
	m := &cmac{block: block}
	var l [aes.BlockSize]byte
	block.Encrypt(l[:], l[:])
	m.k1 = double(l)
	m.k2 = double(m.k1)
	return m
}

// double multiplies by x in GF(2^128).
func double(in [aes.BlockSize]byte) (out [aes.BlockSize]byte) {
	var carry byte
	for i := aes.BlockSize - 1; i >= 0; i-- {
		out[i] = in[i]<<1 | carry
		carry = in[i] >> 7
	}
	out[aes.BlockSize-1] ^= carry * 0x87
	return out
}

func (m *cmac) sum(msg []byte) (mac [aes.BlockSize]byte) {
	for len(msg) > aes.BlockSize {
		subtle.XORBytes(mac[:], mac[:], msg[:aes.BlockSize])
		m.block.Encrypt(mac[:], mac[:])
		msg = msg[aes.BlockSize:]
	}
	last := m.k1
	if len(msg) < aes.BlockSize {
		last = m.k2
		last[len(msg)] ^= 0x80
	}
	subtle.XORBytes(mac[:], mac[:], last[:])
	subtle.XORBytes(mac[:], mac[:], msg)
	m.block.Encrypt(mac[:], mac[:])
	return mac
}
