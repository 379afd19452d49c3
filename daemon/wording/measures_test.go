package wording

import (
	"testing"

	"dynamod/daemon/status"
)

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		name        string
		done, total int
		rate        float64
		width       int
		want        string
	}{
		{"80 columns", 20000, 40000, 4000, 79, "[###############................]   50 %  20.0 kB of 40.0 kB  4.0 kB/s  5s left"},
		{"wide", 20000, 40000, 4000, 199, "[####################....................]   50 %  20.0 kB of 40.0 kB  4.0 kB/s  5s left"},
		{"40 columns", 20000, 40000, 4000, 39, " 50 %  20.0 kB of 40.0 kB  4.0 kB/s"},
		{"20 columns", 20000, 40000, 4000, 19, "[#####.....]   50 %"},
		{"no room", 20000, 40000, 4000, 3, " 50"},
		{"no columns", 20000, 40000, 4000, 0, ""},
		{"no rate yet", 0, 900, 0, 32, "[.........]    0 %  0 B of 900 B"},
		{"done", 1_500_000, 1_500_000, 1000, 60, "[#######################]  100 %  1.5 MB of 1.5 MB  1.0 kB/s"},
		{"more than all", 50, 40, 0, 40, "[#################]  100 %  40 B of 40 B"},
		{"2 GB on a 32-bit router", 2_000_000_000, 2_100_000_000, 0, 60, "[#########################..]   95 %  2000.0 MB of 2100.0 MB"},
	} {
		got := Bar(&status.Progress{Done: tt.done, Total: tt.total}, tt.rate, tt.width)
		if len(got) > tt.width {
			t.Errorf("%s: %d columns of %d: %q", tt.name, len(got), tt.width, got)
		}
		if got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}
