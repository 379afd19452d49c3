//go:build linux && !nodemo

package walk

import (
	"io"
	"net"
	"strings"
	"testing"

	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

func TestReports(t *testing.T) {
	issued := []euiccsim.Notification{{Sequence: 0, Event: euiccsim.EventInstall, ICCID: "A"}, {Sequence: 1, Event: euiccsim.EventDisable, ICCID: "B"}}
	install := smdpsim.Notification{Seq: 0, Operation: smdpsim.OpInstall, ICCID: "A"}
	disable := smdpsim.Notification{Seq: 1, Operation: smdpsim.OpDisable, ICCID: "B"}
	other := smdpsim.Notification{Seq: 1, Operation: smdpsim.OpDisable, ICCID: "A"}
	for _, tt := range []struct {
		name     string
		received []smdpsim.Notification
		most     int
		wrong    string
	}{
		{"each once", []smdpsim.Notification{install, disable}, 1, ""},
		{"one twice, allowed", []smdpsim.Notification{install, disable, install}, 2, ""},
		{"one twice", []smdpsim.Notification{install, disable, install}, 1, "delivered 2 times: install of A, number 0"},
		{"any number of times", []smdpsim.Notification{install, disable, install, install}, 0, ""},
		{"one lost", []smdpsim.Notification{install}, 2, "not delivered: disable of B, number 1"},
		{"the number of another", []smdpsim.Notification{install, disable, other}, 2, "never issued it: disable of A, number 1"},
		{"as many, and one of them another", []smdpsim.Notification{install, other}, 2, "not delivered: disable of B, number 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Reports(issued, tt.received, tt.most)
			if (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%v, want %q", err, tt.wrong)
			}
		})
	}
}

// A command is a point when it is whole, however it comes; one that is lost is
// carried out, and not answered.
func TestLine(t *testing.T) {
	for _, tt := range []struct {
		name  string
		at    int
		after bool
		runs  string // what the modem gets
		heard string // by the daemon
	}{
		{"lives", -1, false, "AT+CIMI\rAT+CGLA=1,2,\"00\"\r", "1\r\nOK\r\n2\r\nOK\r\n"},
		{"stopped before", 1, false, "AT+CIMI\r", "1\r\nOK\r\n"},
		{"stopped after", 1, true, "AT+CIMI\rAT+CGLA=1,2,\"00\"\r", "1\r\nOK\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			daemon, port := net.Pipe()
			r := NewReaper(func(n int, _ Point) bool { return n == tt.at }, tt.after, func(bool) { daemon.Close() })
			r.Arm()
			modem := Line(r, port)
			runs := make(chan string)
			go func() {
				var got strings.Builder
				b := make([]byte, 7) // shorter than a command
				for n := byte('1'); ; {
					k, err := modem.Read(b)
					got.Write(b[:k])
					if err != nil {
						break
					}
					if b[k-1] == '\r' {
						modem.Write([]byte{n, '\r', '\n'})
						modem.Write([]byte("OK\r\n"))
						n++
					}
				}
				runs <- got.String()
			}()
			heard := make(chan string)
			go func() {
				var got []byte
				b := make([]byte, 64)
				for {
					n, err := daemon.Read(b)
					got = append(got, b[:n]...)
					if err != nil {
						break
					}
					if tt.at < 0 && string(got) == tt.heard {
						daemon.Close()
					}
				}
				heard <- string(got)
			}()
			for _, part := range []string{"AT+C", "IMI\r", "AT+CGLA=1,2,", "\"00\"\r"} {
				_, _ = io.WriteString(daemon, part) // may end with the daemon
			}
			if got := <-runs; got != tt.runs {
				t.Errorf("the modem got %q, want %q", got, tt.runs)
			}
			if got := <-heard; got != tt.heard {
				t.Errorf("the daemon heard %q, want %q", got, tt.heard)
			}
			if want := []Point{{AT, "", "AT+CIMI"}, {APDU, "", "AT+CGLA=1,2,\"00\""}}; len(r.Points()) != 2 || r.Points()[0] != want[0] || r.Points()[1] != want[1] {
				t.Errorf("points %v", r.Points())
			}
			if r.Dead() != (tt.at >= 0) || r.Met() != (tt.at >= 0) {
				t.Errorf("dead: %v, met: %v", r.Dead(), r.Met())
			}
		})
	}
}

// The child's gate is the parent's.
func TestRemote(t *testing.T) {
	child, parent := net.Pipe()
	r := NewReaper(func(_ int, p Point) bool { return p.What == "ip link" }, true, func(bool) { child.Close() })
	r.Arm()
	served := make(chan struct{})
	go func() { Serve(r, parent); close(served) }()
	g := NewRemote(child)
	if f := g.Enter(Journal, "accepted"); f != Live {
		t.Errorf("fate %v, want %v", f, Live)
	}
	if f := g.Enter(Netlink, "ip link"); f != Lose {
		t.Errorf("fate %v, want %v", f, Lose)
	}
	go g.Kill()
	<-served
	if !r.Dead() || r.Points()[1] != (Point{Netlink, "accepted", "ip link"}) {
		t.Errorf("dead: %v, points %v", r.Dead(), r.Points())
	}
}

func TestLike(t *testing.T) {
	a, b := Point{APDU, "accepted", "1"}, Point{AT, "accepted", "x"}
	first := []Point{a, b, b, {APDU, "done", "2"}}
	again := Like(first, 3)
	var met []int
	for i, p := range []Point{b, a, b, {APDU, "notifying", "3"}, a} {
		if again(i, p) {
			met = append(met, i)
		}
	}
	if len(met) != 1 || met[0] != 3 {
		t.Errorf("the second APDU is at %v", met)
	}
}

func TestTable(t *testing.T) {
	var table Table
	table.Add(HTTP, 3e9, nil)
	table.Add(HTTP, 1e9, nil)
	table.Add(HTTP, 2e9, nil)
	table.Add(Journal, 0, io.EOF)
	got := table.Text(1e9)
	for _, want := range []string{" HTTP 3 3 2s 3s ", " journal 1 0 0s 0s ", " all 4 3 2s 3s "} {
		if !strings.Contains(strings.Join(strings.Fields(got), " ")+" ", want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	dir := t.TempDir()
	t.Setenv("DYNAMOD_TABLES", dir)
	if err := Publish("a walk", got); err != nil {
		t.Error(err)
	}
}
