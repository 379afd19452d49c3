package activation

import (
	"fmt"
	"testing"

	"dynamod/atcmd"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// The answer to a segment is lost: the card knows what became of it.
func TestSettleDownload(t *testing.T) {
	for _, tt := range []story{
		{
			name: "answer to the last segment lost, profile installed",
			prepare: func(w *world, _ *Request) {
				w.lost = func(call string) error {
					if call == "download" {
						return &euicc.Error{Stage: "install", Code: "transport", Unknown: true, Text: "no answer"}
					}
					return nil
				}
			},
			outcome: status.Committed, enabled: newICCID,
		},
		{
			name: "answer lost, nothing installed: the session is ended",
			prepare: func(w *world, _ *Request) {
				w.fail = func(call string) error {
					if call == "download" {
						return &euicc.Error{Stage: "install", Code: "transport", Unknown: true, Text: "no answer"}
					}
					return nil
				}
			},
			outcome: status.Failed, code: "transport",
			check: func(t *testing.T, w *world) {
				if len(w.abandoned) != 1 || w.sessions != 1 {
					t.Errorf("abandoned %v, %d sessions", w.abandoned, w.sessions)
				}
			},
		},
		{
			name: "the modem was unplugged, nothing installed: a new session",
			prepare: func(w *world, _ *Request) {
				w.fail = func(call string) error {
					if call == "download" && w.sessions == 1 {
						return &euicc.Error{Stage: "install", Code: "transport", Unknown: true, Text: "no answer", Err: fmt.Errorf("AT+CGLA: %w", atcmd.ErrGone)}
					}
					return nil
				}
			},
			outcome: status.Committed, enabled: newICCID,
			check: func(t *testing.T, w *world) {
				if len(w.abandoned) != 1 || w.sessions != 2 {
					t.Errorf("abandoned %v, %d sessions", w.abandoned, w.sessions)
				}
			},
		},
		{
			name: "the modem is unplugged in each download: two sessions and no more",
			prepare: func(w *world, _ *Request) {
				w.fail = func(call string) error {
					if call == "download" {
						return &euicc.Error{Stage: "install", Code: "transport", Unknown: true, Text: "no answer", Err: fmt.Errorf("AT+CGLA: %w", atcmd.ErrGone)}
					}
					return nil
				}
			},
			outcome: status.Failed, code: "transport",
			check: func(t *testing.T, w *world) {
				if len(w.abandoned) != 2 || w.sessions != 2 {
					t.Errorf("abandoned %v, %d sessions", w.abandoned, w.sessions)
				}
			},
		},
		{
			name:    "card dead after the last segment until it is reset",
			prepare: func(w *world, _ *Request) { w.dies("download", true) },
			outcome: status.Committed, enabled: newICCID,
		},
		{
			name:    "card dead in the middle until it is reset",
			prepare: func(w *world, _ *Request) { w.dies("download", false) },
			outcome: status.Failed, code: "transport",
			check: func(t *testing.T, w *world) {
				if len(w.abandoned) != 1 || w.sessions != 1 {
					t.Errorf("abandoned %v, %d sessions", w.abandoned, w.sessions)
				}
			},
		},
		{
			name: "card dead for good",
			prepare: func(w *world, _ *Request) {
				w.profiles[oldICCID] = euicc.Enabled
				w.dies("download", false)
				w.beyond = true
			},
			outcome: status.Failed, code: "outcome-unknown", enabled: oldICCID,
		},
	} {
		t.Run(tt.name, tt.tell)
	}
}
