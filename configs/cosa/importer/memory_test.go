package importer

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"dynamod/configs/cosa"
)

// watched samples the heap while a file is read. The sample counts garbage that
// is not collected yet, so it is what the process holds.
type watched struct {
	r    io.Reader
	base uint64
	peak uint64
	read int
	next int
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if w.read += n; w.read >= w.next {
		w.next = w.read + 128<<10
		w.sample()
	}
	return n, err
}

func (w *watched) sample() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.peak = max(w.peak, m.HeapAlloc)
}

// rows is a file of limit bytes or a row less, made while it is read.
type rows struct {
	limit      int
	head, tail string
	row        func(i int) string
	i, size    int
	rest       string
	ended      bool
}

func (r *rows) Read(p []byte) (int, error) {
	for r.rest == "" {
		if r.ended {
			return 0, io.EOF
		}
		next := r.head
		if r.head = ""; next == "" {
			next = r.row(r.i)
			r.i++
		}
		if r.size+len(next)+len(r.tail) > r.limit {
			next, r.ended = r.tail, true
		}
		r.rest, r.size = next, r.size+len(next)
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// A file of 10 MB is read within 100 MB, whatever it is filled with. With the
// race detector the good files are half as large and the hostile ones left out.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 100 MB of input")
	}
	const budget = 100 << 20
	xmlDecl := `<?xml version="1.0"?>`
	for _, tt := range []struct {
		name       string
		head, tail string
		row        func(i int) string
		fails      bool
	}{
		{"Android, rows as they are", xmlDecl + "<apns>", "</apns>", func(i int) string {
			return fmt.Sprintf(`<apn carrier="Operator %d" mcc="%03d" mnc="%02d" apn="internet.operator-%d.example" type="default,supl,mms" mmsc="http://mms.operator-%d.example/servlets/mms" mmsproxy="10.0.0.1" mmsport="8080" user="user-%d" password="secret" authtype="1" protocol="IPV4V6" roaming_protocol="IP" padding="%s"/>`+"\n",
				i/3, i/3%1000, i/3/1000, i, i, i, strings.Repeat("x", 80))
		}, false},
		{"Android, the smallest rows", "<apns>", "</apns>", func(i int) string {
			return fmt.Sprintf("<apn mcc='%03d' mnc='%02d' apn='a'/>", i/100, i%100)
		}, true},
		{"Android, only bad rows", "<apns>", "</apns>", func(i int) string { return "<apn/>" }, true},
		{"Android, bad rows with long values", "<apns>", "</apns>", func(i int) string {
			return "<apn mcc='" + strings.Repeat("#", 200) + "'/>"
		}, true},
		{"one tag with many attributes", "<apns><apn ", "/></apns>", func(i int) string { return "a='' " }, true},
		{"tags with many attributes", "<apns>", "<apns>", func(i int) string {
			if i == 8 {
				return "<"
			}
			return "<apn " + strings.Repeat("a='' ", maxToken/6) + "/>"
		}, true},
		{"serviceproviders", "<serviceproviders><country code='de'>", "</country></serviceproviders>", func(i int) string {
			return fmt.Sprintf("<provider><name>N%d</name><gsm><network-id mcc='%03d' mnc='%02d'/><apn value='a%d'><name>%s</name></apn></gsm></provider><!--%s-->", i, i%1000, i/1000, i, strings.Repeat("x", 199), strings.Repeat("x", 250))
		}, false},
		{"COSA, many profiles", "<WindowsCustomizations>", "</WindowsCustomizations>", func(i int) string {
			return fmt.Sprintf("<Target Id='%d'><TargetState><Condition Name='ICCID' Value='range:8900000000%09d,8900000000%09d'/></TargetState></Target><Profile Name='%d'><TargetRef Id='%d'/><Settings><Connection><AccessPointName>a%d</AccessPointName></Connection></Settings></Profile><!--%s-->", i, i, i, i, i, i, strings.Repeat("x", 300))
		}, false},
		{"COSA, conditions that stand for many values", "<WindowsCustomizations>", "</WindowsCustomizations>", func(i int) string {
			return fmt.Sprintf(`<Target Id='%d'><TargetState><Condition Name='ICCID' Value='pattern:89\d\d1.*'/></TargetState></Target>`, i)
		}, true},
		{"COSA, numbers in a range", "<WindowsCustomizations>", "</WindowsCustomizations>", func(i int) string {
			return fmt.Sprintf(`<Target Id='%d'><TargetState><Condition Name='MCC' Value='range:001,005'/><Condition Name='MNC' Value='range:00,99'/></TargetState></Target>`, i)
		}, true},
		{"COSA, targets without states", "<WindowsCustomizations>", "</WindowsCustomizations>", func(i int) string {
			return fmt.Sprintf(`<Target Id='%d'/>`, i)
		}, true},
		{"COSA, one target for many profiles", "<WindowsCustomizations><Target Id='t'>" + strings.Repeat(`<TargetState><Condition Name='ICCID' Value='8900'/></TargetState>`, 256) + "</Target>", "</WindowsCustomizations>", func(i int) string {
			return fmt.Sprintf(`<Profile Name='%d'><TargetRef Id='t'/></Profile><!--%s-->`, i, strings.Repeat("x", 300))
		}, true},
		{"Android, values that are kept", "<apns>", "</apns>", func(i int) string {
			return fmt.Sprintf("<apn mcc='%03d' mnc='%02d' apn='a' mmsc='1' mmsproxy='1' mmsport='1' proxy='1' port='1' server='1' carrier_id='1' profile_id='1' apn_set_id='1' max_conns='1' wait_time='1' max_conns_time='1' mtu_v6='1'/><!--%s-->", i/100, i%100, strings.Repeat("x", 330))
		}, false},
		{"Android, lists of card numbers", "<apns>", "</apns>", func(i int) string {
			return fmt.Sprintf("<apn mcc='%03d' mnc='%02d' apn='a' mvno_type='iccid' mvno_match_data='%s1'/>", i/100, i%100, strings.Repeat("1,", 500))
		}, true},
		{"JSON, profiles", "[", "{}]", func(i int) string {
			return fmt.Sprintf(`{"targets":[{"mccmnc":["%05d"]}],"connections":[{"apn":"a%d"}],"ext":{"x":"%s"}},`, i, i, strings.Repeat("x", 500))
		}, false},
		{"JSON, connections", `[`, `{}]`, func(i int) string {
			return `{"connections":[` + strings.Repeat(`{"apn":"a"},`, 63) + `{"apn":"a"}]},`
		}, true},
		{"JSON, targets", `[`, `{}]`, func(i int) string {
			return `{"targets":[` + strings.Repeat(`{"mcc":["001"]},`, 255) + `{"mcc":["001"]}]},`
		}, true},
		{"JSON, values of targets", `[`, `{}]`, func(i int) string {
			return `{"targets":[{"mccmnc":[` + strings.Repeat(`"00101",`, 511) + `"00101"]}]},`
		}, true},
		{"JSON, one profile of many values", `{"targets":[`, `{}]}`, func(i int) string { return `{},` }, true},
		{"JSON, empty profiles", `[`, `{}]`, func(i int) string { return `{},` }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.fails && raceEnabled {
				t.Skip("takes a minute with the race detector; plain go test runs it")
			}
			text := &rows{limit: cosa.MaxFileBytes, head: tt.head, tail: tt.tail, row: tt.row}
			if tt.fails || raceEnabled { // what has no end is given up long before; the race detector takes ten times as long
				text.limit = 5 << 20
			}
			runtime.GC()
			w := &watched{r: text}
			w.sample()
			w.base, w.peak = w.peak, 0
			file, problems := Read("x", w)
			w.sample()
			used := max(w.peak, w.base) - w.base
			taken := 0
			if file != nil {
				taken = file.Report.Taken
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			t.Logf("%d bytes read, %d rows taken, %d MB of heap; %v", w.read, taken, used>>20, problems)
			// What was sampled, and all that the heap of this process ever had.
			if used > budget || m.HeapSys > budget {
				t.Errorf("%d bytes of heap for this file, %d at most so far; the budget is %d", used, m.HeapSys, budget)
			}
			if !tt.fails && w.read < text.limit-100<<10 {
				t.Errorf("only %d bytes were read", w.read)
			}
			if (len(problems) > 0) != tt.fails {
				t.Errorf("problems: %v", problems)
			}
			runtime.KeepAlive(file)
		})
	}
}
