package atcmd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzLine classifies a line as the answer to a command.
func FuzzLine(f *testing.F) {
	for _, line := range []string{
		"OK", "ERROR", "+CME ERROR: 14", "+CMS ERROR: SIM busy", "CONNECT 115200", "NO CARRIER", "+CREG: 1", "+CREG: 2,1",
		"+GTDUALSIM : 1", "^DATADOWN", "> ", "AT+CREG?", "\xff\xfeOK", "+CMT: ,24", "+49170", "!GSTATUS: ", "+CDS: 25",
	} {
		f.Add("+CREG?", line, false)
		f.Add("D*99#", line, true)
	}
	f.Fuzz(func(t *testing.T, text, line string, bare bool) {
		s := &Session{urcs: map[string]bool{"+CREG": true}}
		x := newExchange(context.Background(), Command{Text: text, Bare: bare})
		rest, took := x.takeEcho(line)
		if !strings.HasSuffix(line, rest) || took && len(rest) == len(line) || !took && rest != line {
			t.Errorf("echo of AT%q: %q became %q, %v", text, line, rest, took)
		}
		line = s.withoutNoise(x, strings.TrimSpace(rest))
		if tag, ok := tagOf(line); ok {
			if _, ok := CutTag(line, tag); !ok {
				t.Errorf("%q has the tag %q and has not", line, tag)
			}
		}
		kind := s.final(x, line)
		if kind == finalError && finalErr("+X", line).Error() == "" {
			t.Errorf("%q is an error without text", line)
		}
		if kind == finalOK && !x.call && !strings.EqualFold(line, "OK") {
			t.Errorf("%q ends AT%q well", line, text)
		}
		if s.owns(x, line) && !bare {
			owned := false
			for _, tag := range x.tags {
				_, ok := CutTag(line, tag)
				owned = owned || ok
			}
			if !owned {
				t.Errorf("AT%q owns %q", text, line)
			}
		}
		needsData(line)
		isWordURC(line)
		s.redactLine(x, line)
		s.redactCommand(x.cmd)
	})
}

// FuzzFields writes parameters as a modem does and reads them back.
func FuzzFields(f *testing.F) {
	f.Add("+CREG", "2", "1", "00C3", true)
	f.Add("^X", "", "a, b", " ", false)
	f.Fuzz(func(t *testing.T, tag, a, b, c string, blank bool) {
		Fields(a, b)
		CutTag(a, tag)
		if strings.ContainsAny(tag, ": ") || tag == "" || strings.Contains(a+b+c, `"`) {
			return
		}
		line := tag + ":"
		if blank {
			line = tag + " : "
		}
		line += `"` + a + `","` + b + `", "` + c + `"`
		got, ok := Fields(line, tag)
		if !ok || len(got) != 3 || got[0] != a || got[1] != b || got[2] != c {
			t.Errorf("%q: %q, %v", line, got, ok)
		}
	})
}

// FuzzSession feeds a session whatever a modem, or a line that is no modem's,
// may write. It must neither panic nor hang nor leave a goroutine behind, and it
// must not grow.
func FuzzSession(f *testing.F) {
	for _, text := range []string{
		"AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n",
		"\r\n> \x1a\r\n+CMGS: 1\r\nOK\r\n",
		"\r\nCONNECT\r\n~}#\xc0!}!}!~\r\nNO CARRIER\r\n",
		"\r\n+CMT: ,24\r\n0791\r\nOK\r\nERROR\r\n",
		"\x00\xff\r\r\n\n+CME ERROR: 3\r\n",
	} {
		f.Add(text, uint8(3), uint8(0))
		f.Add(text, uint8(200), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, size, kind uint8) {
		synctest.Test(t, func(t *testing.T) {
			p := newFakePort()
			s := New(p, Options{Queue: 4, Dirty: kind&8 != 0, Trace: func(TraceEvent) {}, Resync: ResyncOptions{Late: time.Second}})
			sub := s.Subscribe("")
			step := int(size) + 1
			feed := func() {
				rest := text
				for rest != "" && len(p.out) < cap(p.out)-1 {
					n := min(step, len(rest))
					p.send(rest[:n])
					rest = rest[n:]
				}
			}
			p.serve(t, func(string) { feed() })
			feed()
			ctx := t.Context()
			switch kind & 7 {
			case 0:
				s.Do(ctx, Command{Text: "+CSQ", Timeout: time.Second})
			case 1:
				s.Do(ctx, Command{Text: "+CGMI", Bare: true, Timeout: time.Second})
			case 2:
				sendMessage(ctx, s, time.Second)
			case 3:
				if conn, err := s.Data(ctx, Command{Text: "D*99#", Timeout: time.Second}); err == nil {
					conn.Write([]byte("~"))
					time.Sleep(time.Second)
					conn.Close()
				}
			default:
				s.Do(ctx, Command{Text: "+CREG?", Timeout: time.Second, Secret: true})
			}
			_, err := s.Do(ctx, Command{Text: "+CREG=2", Timeout: time.Second})
			var cme *CMEError
			var cms *CMSError
			var final *FinalError
			if err != nil && !errors.As(err, &cme) && !errors.As(err, &cms) && !errors.As(err, &final) &&
				!errors.Is(err, ErrTimeout) && !errors.Is(err, ErrDesync) && !errors.Is(err, ErrTooLong) {
				t.Errorf("error of a kind that Do does not have: %v", err)
			}
			s.Close()
			n := 0
			for range sub.C() {
				n++
			}
			if n > 4 {
				t.Errorf("%d URCs in a queue of 4", n)
			}
		})
	})
}
