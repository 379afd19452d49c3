package gateway

import (
	"errors"
	"fmt"
	"testing"

	"dynamod/atcmd"
)

// A modem that stopped answering a moment ago is no port that cannot be opened.
func TestDiagnoseOutOfStep(t *testing.T) {
	b := &box{g: newGateway(t), err: fmt.Errorf("AT+CSQ: %w", atcmd.ErrDesync)}
	if text, err := b.Port(t.Context()); err != nil {
		t.Errorf("port: %q, %v", text, err)
	}
	if text, err := b.Modem(t.Context()); !errors.Is(err, atcmd.ErrDesync) {
		t.Errorf("modem: %q, %v", text, err)
	}
}
