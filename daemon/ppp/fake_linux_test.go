package ppp

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakePPPD is this test binary as pppd: the tests put a link to it below its name.
// It takes its options as pppd(8) does, agrees on nothing with anybody, and says
// what pppd 2.4.9 and 2.5 say (ipcp.c, ipv6cp.c, main.c of its sources).
const fakePPPD = "pppd"

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case fakePPPD:
		os.Exit(beFake())
	case "dynamod-killed":
		beKilled()
	}
	os.Exit(m.Run())
}

// orders are in orders.json beside the fake.
type orders struct {
	Unknown []string // options that this build does not know
	Says    []string // lines of its log after the options were read
	Exit    int      // it ends with that, after Says
	Last    string   // and says that before
	Hangs   bool     // after Says it stays until it is told to end; without it ends
	Lingers bool     // it does not heed SIGTERM
	// Restricts has it take the tty's group and others the right to write, as pppd
	// does against write(1), and not give it back, as one that is killed.
	Restricts bool
	Reads     bool // it ends with 16 when the tty hangs up, or gets "bye"
}

// seen is what it leaves beside itself for each run.
type seen struct {
	PID, PGID  int
	Args, Env  []string
	Options    map[string][]string
	Mode       os.FileMode // of the options file
	TTY        string      // on standard input, opened anew
	Inherited  []string    // further descriptors
	Greeting   string      // what it has sent on the tty
	Terminated bool        // by SIGTERM
}

func beFake() int {
	dir := filepath.Dir(os.Args[0])
	var o orders
	if b, err := os.ReadFile(filepath.Join(dir, "orders.json")); err == nil {
		if err := json.Unmarshal(b, &o); err != nil {
			return 99
		}
	}
	s := seen{PID: os.Getpid(), Args: os.Args[1:], Env: os.Environ()}
	s.PGID, _ = unix.Getpgid(0)
	leave := func() {
		b, _ := json.MarshalIndent(s, "", "\t")
		tmp := filepath.Join(dir, fmt.Sprintf("tmp.%d", s.PID))
		os.WriteFile(tmp, b, 0o600)
		os.Rename(tmp, filepath.Join(dir, fmt.Sprintf("seen.%d.json", s.PID)))
	}
	defer leave()
	if len(os.Args) != 3 || os.Args[1] != "file" {
		fmt.Println("pppd: unrecognized option '" + os.Args[1] + "'")
		return 2
	}
	info, err := os.Stat(os.Args[2])
	if err != nil {
		fmt.Println("Can't open options file:", err)
		return 2
	}
	s.Mode = info.Mode()
	text, _ := os.ReadFile(os.Args[2])
	if s.Options, err = readOptions(string(text)); err != nil {
		fmt.Println(err)
		return 2
	}
	for _, name := range o.Unknown {
		if _, ok := s.Options[name]; ok {
			fmt.Fprintf(os.Stderr, "%s: In file %s: unrecognized option '%s'\n", os.Args[0], os.Args[2], name)
			return 2
		}
	}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		for _, e := range entries {
			if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && len(e.Name()) == 1 && e.Name() > "2" && !strings.Contains(to, "anon_inode") && !strings.HasPrefix(to, "/proc") && !strings.HasPrefix(to, "/sys") { // Go's own
				s.Inherited = append(s.Inherited, to)
			}
		}
	}
	// pppd opens the terminal that is on its standard input once more, by name.
	if s.TTY, err = os.Readlink("/proc/self/fd/0"); err != nil || !strings.HasPrefix(s.TTY, "/dev/") {
		fmt.Println("no device specified and stdin is not a tty")
		return 1
	}
	tty, err := os.OpenFile(s.TTY, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		fmt.Println("Failed to open", s.TTY)
		return 7
	}
	if o.Restricts {
		if info, err := tty.Stat(); err == nil {
			tty.Chmod(info.Mode().Perm() &^ 0o022)
		}
	}
	signal.Ignore(syscall.SIGPIPE) // as pppd does: its log may have lost its reader
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGTERM)
	s.Greeting = "LCP of " + fmt.Sprint(s.PID)
	fmt.Fprint(tty, s.Greeting)
	for _, line := range o.Says {
		fmt.Println(line)
	}
	leave()
	gone := make(chan struct{})
	if o.Reads {
		go func() {
			defer close(gone)
			in := bufio.NewReader(tty)
			for end := ""; !strings.HasSuffix(end, "bye"); {
				c, err := in.ReadByte()
				if err != nil {
					return
				}
				end += string(c)
			}
		}()
	}
	for o.Hangs {
		select {
		case <-sig:
			s.Terminated = true
			if !o.Lingers {
				fmt.Println("Terminating on signal 15")
				return 5
			}
			leave()
		case <-gone:
			fmt.Println("Modem hangup")
			return 16
		case <-time.After(time.Minute): // the test is long over
			return 98
		}
	}
	if o.Last != "" {
		fmt.Println(o.Last)
	}
	return o.Exit
}

// arguments are the options that take one.
var arguments = map[string]int{
	"ipparam": 1, "lcp-echo-interval": 1, "lcp-echo-failure": 1, "user": 1, "password": 1,
	"ip-up-script": 1, "ip-down-script": 1, "ipv6-up-script": 1, "ipv6-down-script": 1,
}

// readOptions reads an options file by the words of getword() in pppd's options.c.
func readOptions(text string) (map[string][]string, error) {
	words := words(text)
	out := map[string][]string{}
	for len(words) > 0 {
		n := arguments[words[0]]
		if len(words) < n+1 {
			return nil, fmt.Errorf("too few parameters for option %s", words[0])
		}
		out[words[0]] = words[1 : n+1]
		words = words[n+1:]
	}
	return out, nil
}

func words(text string) (out []string) {
	const blank = " \t\n\r\v\f"
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case strings.IndexByte(blank, c) >= 0:
			i++
			continue
		case c == '#':
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		}
		var w []byte
		quoted := byte(0)
		for ; i < len(text); i++ {
			c := text[i]
			if quoted == 0 && strings.IndexByte(blank, c) >= 0 {
				break
			}
			switch {
			case c == '\\' && i+1 < len(text):
				i++
				if text[i] < '0' || text[i] > '7' {
					w = append(w, text[i]) // of the letters none is needed
					continue
				}
				v := 0
				n := 0
				for ; n < 3 && i+n < len(text) && text[i+n] >= '0' && text[i+n] <= '7'; n++ {
					v = v<<3 + int(text[i+n]-'0')
				}
				i += n - 1
				w = append(w, byte(v))
			case quoted == 0 && (c == '"' || c == '\''):
				quoted = c
			case c == quoted && quoted != 0:
				quoted = 0
			default:
				w = append(w, c)
			}
		}
		out = append(out, string(w))
	}
	return out
}

// up is what pppd says of a connection with both kinds of address.
func up(local string) []string {
	return []string{
		"Using interface ppp7", "Connect: ppp7 <--> /dev/ttyUSB3", "CHAP authentication succeeded",
		"local  LL address fe80::0001", "remote LL address fe80::0002",
		"local  IP address " + local, "remote IP address 10.64.64.64", "primary   DNS address 9.9.9.9", "secondary DNS address 149.112.112.112",
	}
}
