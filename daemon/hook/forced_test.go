package hook

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
)

// TestForcedInBodies: what a body insists on is in the audit log, as what a query does.
func TestForcedInBodies(t *testing.T) {
	client, l := InProcess()
	s := New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler))
	s.Audit, s.Now = access.OpenAudit(t.TempDir()), time.Now
	defer s.Audit.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	yes, no := true, false
	const eid = "89049032123451234512345678901235"
	for _, row := range []struct {
		path string
		body any
		want string
	}{
		{"/v1/activations", ActivationRequest{Code: "LPA:1$a.example$X", NoWayBack: true, AcceptLimited: true}, "POST /v1/activations no_way_back accept_limited"},
		{"/v1/activations", ActivationRequest{Code: "LPA:1$a.example$X"}, "POST /v1/activations"},
		{"/v1/activations/RUN/answer", AnswerRequest{NoWayBack: &yes}, "POST /v1/activations/{id}/answer no_way_back"},
		{"/v1/activations/RUN/answer", AnswerRequest{NoWayBack: &no}, "POST /v1/activations/{id}/answer"},
		{"/v1/card/reset", ResetRequest{What: []string{"operational"}, Confirm: eid, Force: true}, "POST /v1/card/reset force"},
		{"/v1/modem/at", ATRequest{Commands: []string{"AT+CFUN=0"}, Force: true}, "POST /v1/modem/at force"},
		{"/v1/modem/apdu", APDURequest{Commands: []string{"80E2910003BF2E00"}, Force: true}, "POST /v1/modem/apdu force"},
	} {
		if err := client.Do(ctx, "POST", row.path, nil, row.body, nil); err != nil {
			t.Errorf("%s: %v", row.path, err)
		}
		all, err := s.Audit.Entries()
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 || all[len(all)-1].What != row.want {
			t.Errorf("%s: %+v", row.want, all)
		}
	}
}
