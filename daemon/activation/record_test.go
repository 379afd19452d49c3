package activation

import (
	"encoding/json"
	"fmt"
	"testing"

	"dynamod/euicc"
)

// What card, server and modem said reaches whoever reads the run, in numbers.
func TestProblemCause(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&euicc.Error{Stage: euicc.StageAuthenticateClient, Code: "es9p-8.2.6-3.10", Subject: "8.2.6", Reason: "3.10", Retry: euicc.RetryNewCode, Text: "refused", Advice: "ask"},
			`{"code":"es9p-8.2.6-3.10","text":"authenticateClient: refused (8.2.6/3.10)","advice":"ask","retry":"new-code","stage":"authenticated","cause":{"function":"authenticateClient","subject":"8.2.6","reason":"3.10"}}`},
		{&euicc.Error{Stage: euicc.StageLoadBPP, Code: "install-memory", Install: true, Command: euicc.LoadProfileElements, BPPReason: euicc.ReasonMemory, Retry: euicc.RetryAsk, Text: "no room"},
			`{"code":"install-memory","text":"loadBoundProfilePackage: no room (loadProfileElements 5, error 10)","retry":"ask","stage":"authenticated","cause":{"function":"loadBoundProfilePackage","bpp_command":"loadProfileElements","bpp_reason":10}}`},
		{fmt.Errorf("enable: %w", &euicc.Error{Stage: euicc.StageEnable, Code: "sw-6F00", SW: 0x6F00, CME: "13", Unknown: true, Retry: euicc.RetryNow, Text: "failed"}),
			`{"code":"sw-6F00","text":"enable: enableProfile: failed","retry":"now","stage":"authenticated","cause":{"function":"enableProfile","sw":"6F00","cme":"13","unknown":true}}`},
		{&Fault{Code: "no-apn", Text: "none"}, `{"code":"no-apn","text":"none","retry":"never","stage":"authenticated"}`},
	} {
		b, err := json.Marshal(Problem(Authenticated, tt.err))
		if err != nil || string(b) != tt.want {
			t.Errorf("got  %s\nwant %s, %v", b, tt.want, err)
		}
	}
}
