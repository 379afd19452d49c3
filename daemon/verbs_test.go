package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// leaves are the verbs that do something: families stand for those below them.
func leaves() (all []command) {
	for _, c := range commands() {
		if c.verbs == nil {
			all = append(all, c)
		}
		all = append(all, c.verbs...)
	}
	return all
}

// withoutJSON are the verbs that have no answer to print, with the reason.
var withoutJSON = map[string]string{
	"run": "it logs; [log] format has its form", "sim": "it is a lab that goes on; lab.json tells of it", "tui": "it is a screen",
	"sim dynamo": "it goes on; dynamo.json tells of it", "helper pppd": "it is refused", "helper serve": "its answer goes to who is connected",
	"man": "it prints a manual page", "completion": "it prints a shell's script",
}

// needsLab are the verbs that do more than ask a daemon; stories have them.
var needsLab = []string{"demo", "sim ctl", "sim modem", "modem trace"}

// TestEveryVerbHasJSON walks the table of commands: what each prints with --json is
// JSON, on standard output and nowhere else, and its exit code is one of those that are
// documented.
func TestEveryVerbHasJSON(t *testing.T) {
	const iccid = newICCID
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := file("dynamod.toml", fmt.Sprintf("[state]\ndir = %q\nrun = %q\n[operators]\ndir = %q\n", dir, dir, filepath.Join(dir, "operators.d")))
	code := file("code", "LPA:1$smdp.example.com$SECRET\n")
	apns := file("apns.xml", `<apns version="8"><apn carrier="x" mcc="001" mnc="01" apn="internet" type="default"/></apns>`)
	args := map[string][]string{
		"activate":         {"--code-file", code, "--yes"},
		"answer":           {"--yes"},
		"init":             {"--config", filepath.Join(dir, "new.toml")},
		"check":            {"--config", config},
		"profiles show":    {iccid},
		"profiles enable":  {iccid},
		"profiles disable": {iccid},
		"profiles delete":  {iccid, "--yes"}, "profiles nickname": {iccid, "spare"},
		"card default-smdp": {"smdp.example.com"},
		"card reset":        {"operational", "--yes"},
		"modem at":          {"AT+CSQ"}, "modem apdu": {"80CA005A00"}, "modem reset": {"--sim", "--yes"}, "board power-cycle": {"--yes"},
		"apn lookup": {"--mccmnc", "00101", "--config", config}, "apn list": {"--config", config}, "apn import": {apns},
		"operators list": {"--config", config}, "operators show": {"00101", "--config", config}, "operators check": {apns},
		"token add": {"noc", "--config", config}, "token list": {"--config", config}, "token remove": {"noc", "--config", config},
		"helper usb-power": {"200-250", "on"}, "helper clock": {"1795521600"},
		"plans open": {"contoso"}, "plans cancel": {"dynamod-1"},
		"bundle": {filepath.Join(dir, "bundle.tar.gz")},
		"log":    {"--config", config},
	}
	for _, c := range leaves() {
		if _, ok := withoutJSON[c.name]; ok == (c.flags().Lookup("json") != nil) {
			t.Errorf("%s: has --json %v, excused %v", c.name, !ok, ok)
		}
		if c.flags().Lookup("json") == nil || slices.Contains(needsLab, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			fakeDir, err := os.MkdirTemp("", "dynamod") // t.TempDir is too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(fakeDir)
			socket := filepath.Join(fakeDir, "s")
			fake, err := startFake(socket, "commit")
			if err != nil {
				t.Fatal(err)
			}
			defer fake.close()
			words := append(strings.Fields(c.name), args[c.name]...)
			if c.flags().Lookup("socket") != nil {
				words = append(words, "--socket", socket)
			}
			var out, errs strings.Builder
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			exit := run(ctx, append(words, "--json"), std{strings.NewReader(""), &out, &errs})
			if !slices.ContainsFunc(exitCodes, func(e exitMeaning) bool { return e.code == exit }) {
				t.Errorf("exit code %d is none", exit)
			}
			if exit == exitUsage {
				t.Errorf("%q is no way to call it: %s", words, &errs)
			}
			values := 0
			for d := json.NewDecoder(strings.NewReader(out.String())); ; values++ {
				var v any
				if err := d.Decode(&v); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("no JSON: %v\n%s", err, &out)
				}
			}
			if values == 0 && exit == exitOK {
				t.Errorf("it prints nothing: %s", &errs)
			}
			if strings.Contains(out.String()+errs.String(), "SECRET") {
				t.Error("a secret is printed")
			}
		})
	}
}

// TestExitCodes: the documentation has the codes of the program, and each is there with
// its name in --help; the stories in testdata end with each of them.
func TestExitCodes(t *testing.T) {
	doc, err := os.ReadFile("../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| .+ \|$`).FindAllStringSubmatch(string(doc), -1)
	if len(rows) != len(exitCodes) {
		t.Fatalf("%d codes are documented, there are %d", len(rows), len(exitCodes))
	}
	var stories strings.Builder
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no stories", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		stories.Write(text)
	}
	var help strings.Builder
	usage(&help)
	for i, e := range exitCodes {
		if rows[i][1] != fmt.Sprint(e.code) || !strings.HasPrefix(e.name, rows[i][2]) {
			t.Errorf("documented is %q, the program has %d %s", rows[i][1:], e.code, e.name)
		}
		if !strings.Contains(strings.Join(strings.Fields(help.String()), " "), fmt.Sprintf("%d %s", e.code, e.name)) {
			t.Errorf("--help does not have %d %s", e.code, e.name)
		}
		if !strings.Contains(stories.String(), fmt.Sprintf("exits %d ", e.code)) {
			t.Errorf("no story ends with %d", e.code)
		}
	}
}
