// Package seal derives what the device key is used for, so that what one part of the
// daemon has sealed is nothing to any other part, nor to another device.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
)

// KeySize is the size of the device key and of those that are derived, in bytes.
const KeySize = 32

// Subkey is the key of one purpose, which label names (HKDF, RFC 5869).
func Subkey(device []byte, label string) []byte {
	key, err := hkdf.Key(sha256.New, device, nil, label, KeySize)
	if err != nil {
		panic("seal: " + err.Error()) // only for lengths that are not ours
	}
	return key
}

// New returns AES-GCM under the subkey of label. It puts a nonce of its own before
// what it seals: Seal and Open take none.
func New(device []byte, label string) cipher.AEAD {
	block, err := aes.NewCipher(Subkey(device, label))
	var aead cipher.AEAD
	if err == nil {
		aead, err = cipher.NewGCMWithRandomNonce(block)
	}
	if err != nil {
		panic("seal: " + err.Error()) // only for lengths that are not ours
	}
	return aead
}
