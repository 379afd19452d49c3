package bearer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/activation"
)

// A run that is taken up after a restart is there before its modem.
func TestUpWaitsForTheModem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, done := context.WithTimeout(t.Context(), time.Minute)
		defer done()
		begin := time.Now()
		_, err := New(Config{}).Up(ctx, &plan{}, func(activation.State) {})
		if f, ok := errors.AsType[*activation.Fault](err); !ok || f.Code != "no-modem" {
			t.Errorf("error %v", err)
		}
		if waited := time.Since(begin); waited != time.Minute {
			t.Errorf("waited %v", waited)
		}
	})
	b := New(Config{})
	b.SetRadio(nil)
	waited := make(chan error)
	go func() { waited <- b.awaitRadio(t.Context()) }()
	b.SetRadio(struct{ Radio }{})
	if err := <-waited; err != nil {
		t.Error(err)
	}
}
