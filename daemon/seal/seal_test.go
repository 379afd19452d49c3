package seal

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestStays holds what files on routers were sealed with: a change of it would lose
// them all.
func TestStays(t *testing.T) {
	device := bytes.Repeat([]byte{7}, KeySize)
	if got := hex.EncodeToString(Subkey(device, "dynamod request seal")); got != "f8b76d5a2e42478e94a66d68cd123bf1c7cf9af9d3969d4ecea50e2d3caca824" {
		t.Errorf("the subkey is %s", got)
	}
}

func TestOpen(t *testing.T) {
	device := bytes.Repeat([]byte{7}, KeySize)
	text := New(device, "a").Seal(nil, nil, []byte("secret"), []byte("name"))
	if plain, err := New(device, "a").Open(nil, nil, text, []byte("name")); err != nil || string(plain) != "secret" {
		t.Errorf("%q %v", plain, err)
	}
	for _, tt := range []struct {
		what, label, name string
		device            byte
	}{
		{"another purpose", "b", "name", 7},
		{"another name", "a", "other", 7},
		{"another device", "a", "name", 8},
	} {
		if plain, err := New(bytes.Repeat([]byte{tt.device}, KeySize), tt.label).Open(nil, nil, text, []byte(tt.name)); err == nil {
			t.Errorf("%s: opened, %q", tt.what, plain)
		}
	}
}
