package euicc

import (
	"strings"
	"testing"
)

// Every pair of subject and reason that SGP.22's tables of ES9+, ES11 and ES2+
// have, as lpac (euicc/es9p_errors.c) and euicc-go (v2/rsp_errors.go) list them;
// 8.1.4/6.1 is osmo-smdpp's. Where the two differ (3.1 for 3.10, 4.1 for 4.10)
// the specification's tables have the longer number.
func TestStatusCodesAreComplete(t *testing.T) {
	const pairs = `
		5.2.6    1.2.1/2.1 1.2.2/2.1
		5.6.1    8.8.1/3.8 8.8.2/3.1 8.8.3/3.1 8.8.4/3.7
		5.6.2    8.1/6.1 8.2/3.7 8.2.5/3.7 8.2.7/2.2 8.2.7/3.8 8.2.7/6.4 8.8.5/4.10 8.10.1/3.9
		5.6.3    8.1.2/6.1 8.1.2/6.3 8.1.3/6.1 8.1.3/6.3 8.1.4/6.1 8.1/6.1 8.1/4.8 8.1.1/3.8 8.1.1/2.2 8.2/1.2 8.2.5/4.3 8.2.6/3.8 8.8.5/4.10 8.8.5/6.4 8.10.1/3.9 8.11.1/3.9
		5.6.5    8.1/6.1 8.8/3.10 8.10.1/3.9
		5.8.1    8.9.1/3.8 8.9.2/3.1 8.9.3/3.1 8.9.4/3.7
		5.8.2    8.1.2/6.1 8.1.3/6.1 8.9.5/3.9 8.10.1/3.9 8.11.1/3.9
		5.3      8.1.1/2.2 8.1.1/3.10 8.2.1/1.2 8.2.1/3.3 8.2.1/3.5 8.2.1/3.9 8.2.1/3.10 8.2.5/1.2 8.2.5/3.7 8.2.5/3.8 8.2.5/3.9 8.2.6/3.3 8.2.6/3.10 8.9/4.2 8.9/5.1 8.9.5/3.3`
	for line := range strings.Lines(strings.TrimSpace(pairs)) {
		f := strings.Fields(line)
		for _, pair := range f[1:] {
			subject, reason, _ := strings.Cut(pair, "/")
			d, ok := statusCodes[statusCode{subject, reason}]
			if !ok {
				t.Errorf("%s: %s is missing", f[0], pair)
				continue
			}
			if DiagnoseStatus(subject, reason) != d {
				t.Errorf("%s: %s is not what is told", f[0], pair)
			}
		}
	}
	classes := map[Retry]bool{RetryNow: true, RetryLater: true, RetryAsk: true, RetryNewCode: true, RetryNever: true}
	for pair, d := range statusCodes {
		if !classes[d.Retry] || d.Text == "" || d.Advice == "" {
			t.Errorf("%v: %+v", pair, d)
		}
	}
	for reason, d := range reasons {
		if !classes[d.Retry] || d.Text == "" || d.Advice == "" {
			t.Errorf("reason %s: %+v", reason, d)
		}
	}
}

func TestCardResults(t *testing.T) {
	classes := map[Retry]bool{RetryNow: true, RetryLater: true, RetryAsk: true, RetryNever: true}
	for r, d := range cardResults {
		if !classes[d.Retry] || d.Text == "" || d.Advice == "" || strings.HasSuffix(d.Text, ".") {
			t.Errorf("%v: %+v", r, d)
		}
	}
	if d := DiagnoseResult("enableProfile", ""); d.Retry != RetryNever || d.Advice == "" {
		t.Errorf("unknown number: %+v", d)
	}
}
