package hook

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"dynamod/daemon/status"
)

// metrics answers in the text format of Prometheus, version 0.0.4. Names and
// values hold nothing that tells who the subscriber is.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	writeMetrics(w, s.model.Snapshot())
}

// exposition writes families of metrics.
type exposition struct{ w io.Writer }

// family writes HELP and TYPE; its samples follow.
func (e exposition) family(name, kind, help string) {
	fmt.Fprintf(e.w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

var labelValue = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// sample writes one value; labels are names and values in turn.
func (e exposition) sample(name string, value float64, labels ...string) {
	var pairs []string
	for i := 0; i+1 < len(labels); i += 2 {
		pairs = append(pairs, fmt.Sprintf(`%s="%s"`, labels[i], labelValue.Replace(labels[i+1])))
	}
	text := name
	if len(pairs) > 0 {
		text += "{" + strings.Join(pairs, ",") + "}"
	}
	fmt.Fprintf(e.w, "%s %s\n", text, strconv.FormatFloat(value, 'g', -1, 64))
}

func (e exposition) gauge(name, help string, value float64) {
	e.family(name, "gauge", help)
	e.sample(name, value)
}

// states writes a gauge that is 1 for what is and 0 for what else may be.
func (e exposition) states(name, help, label, is string, all ...string) {
	e.family(name, "gauge", help)
	for _, state := range all {
		e.sample(name, number(state == is), label, state)
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func writeMetrics(w io.Writer, s status.Snapshot) {
	e := exposition{w}
	e.family("dynamod_build_info", "gauge", "Always 1; the version is a label.")
	e.sample("dynamod_build_info", 1, "version", s.Version, "goversion", runtime.Version())
	e.gauge("dynamod_start_time_seconds", "When the daemon was started, in seconds since 1970.", seconds(s.Started))
	e.states("dynamod_link_state", "Whether traffic crosses the link: up, limited to a portal, or down.", "state",
		string(s.State), string(status.Up), string(status.Limited), string(status.Down))
	if l := s.Link; l != nil && !l.Since.IsZero() {
		e.gauge("dynamod_link_since_timestamp_seconds", "When the link came up, in seconds since 1970.", seconds(l.Since))
	}
	if r := s.Reach; r != nil {
		e.gauge("dynamod_reach_timestamp_seconds", "When the reach check was made last, in seconds since 1970.", seconds(r.At))
		if r.Result == "ok" {
			e.gauge("dynamod_reach_duration_seconds", "How long a reach target took to answer.", r.RTTMS/1000)
		}
	}
	if m := s.Modem; m != nil {
		e.gauge("dynamod_modem_present", "Whether a modem answers.", number(m.Present))
	}
	if r := s.Registration; r != nil {
		e.gauge("dynamod_registered", "Whether the modem is registered in a network.", number(r.Status == "home" || r.Status == "roaming"))
		e.gauge("dynamod_roaming", "Whether that is not the home network.", number(r.Status == "roaming"))
	}
	if g := s.Signal; g != nil {
		for _, v := range []struct {
			name, help string
			value      *float64
		}{
			{"dynamod_signal_rssi_dbm", "Received signal strength, in dBm.", g.RSSI},
			{"dynamod_signal_rsrp_dbm", "Received power of the reference signal, in dBm.", g.RSRP},
			{"dynamod_signal_rsrq_db", "Received quality of the reference signal, in dB.", g.RSRQ},
			{"dynamod_signal_sinr_db", "Signal to interference and noise, in dB.", g.SINR},
		} {
			if v.value != nil {
				e.gauge(v.name, v.help, *v.value)
			}
		}
	}
	if c := s.Card; c != nil {
		e.gauge("dynamod_card_free_bytes", "Memory for profiles that is free on the card.", float64(c.FreeMemory))
		e.gauge("dynamod_card_profiles", "Profiles on the card.", float64(len(c.Profiles)))
	}
	if b := s.Balance; b != nil && s.SIM != nil && s.SIM.ICCID == b.ICCID {
		e.gauge("dynamod_balance_used_up", "Whether the operator says that nothing is left on the line.", number(b.UsedUp))
		if b.DataMB != nil {
			e.gauge("dynamod_balance_bytes", "What is left by the operator's word, a megabyte counted as a million bytes.", *b.DataMB*1e6)
		}
		e.gauge("dynamod_balance_timestamp_seconds", "When the operator said so, in seconds since 1970.", seconds(b.At))
	}
	e.gauge("dynamod_outbox_pending", "Reports that servers are still owed.", float64(s.Outbox.Pending))
	if t := s.Outbox.Oldest; t != nil {
		e.gauge("dynamod_outbox_oldest_timestamp_seconds", "When the oldest of them was made, in seconds since 1970.", seconds(*t))
	}
	if r := s.Run; r != nil {
		e.gauge("dynamod_run_active", "Whether an activation goes on.", number(r.Ended == nil))
		if r.Ended != nil {
			e.states("dynamod_run_outcome", "How the last activation ended.", "outcome",
				string(r.Outcome), string(status.Committed), string(status.RolledBack), string(status.Failed), string(status.Installed))
			e.gauge("dynamod_run_ended_timestamp_seconds", "When it ended, in seconds since 1970.", seconds(*r.Ended))
		}
	}
	if r := s.Recovery; r != nil {
		e.states("dynamod_recovery_state", "What is done about a modem that fails; all 0 while nothing is wrong.", "state",
			string(r.State), string(status.Watching), string(status.Climbing), string(status.HeldOff), string(status.GivenUp))
		if len(r.Rungs) > 0 {
			e.family("dynamod_recovery_rungs_total", "counter", "How often a rung of the recovery was taken since the start.")
			for _, u := range r.Rungs {
				e.sample("dynamod_recovery_rungs_total", float64(u.Count), "rung", u.Rung)
			}
		}
	}
	e.gauge("dynamod_warnings", "Things that are wrong with the box itself, see status.", float64(len(s.Warnings)))
	e.gauge("go_goroutines", "Goroutines of the daemon.", float64(runtime.NumGoroutine()))
	if bytes, ok := residentMemory(); ok {
		e.gauge("process_resident_memory_bytes", "Resident memory of the daemon.", bytes)
	}
}
