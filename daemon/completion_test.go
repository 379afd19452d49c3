package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	for _, row := range []struct {
		name, words string // words parted by "|"
		want        []string
	}{
		{"a verb", "st", []string{"status"}},
		{"nothing yet", "", nil}, // checked below
		{"a verb of a family", "apn|l", []string{"lookup", "list"}},
		{"a family's own name", "ap", []string{"apn"}},
		{"a flag", "activate|--code", []string{"--code-file"}},
		{"a flag of a family's verb", "apn|lookup|--ro", []string{"--roaming"}},
		{"one hyphen is two", "status|-", nil},
		{"a flag's file", "run|--config|", []string{":files"}},
		{"a flag's file behind =, as bash parts it", "run|--config|=", []string{":files"}},
		{"and begun", "run|--config|=|/et", []string{":files"}},
		{"a flag's word that is no file", "run|--instance|", nil},
		{"a switch takes no word", "apn|import|--json|", []string{":files"}},
		{"files that a verb takes", "apn|import|x", []string{":files"}},
		{"nothing is like it", "frobnicate|--", nil},
		{"a family's verb that is not", "apn|frob|x", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			for _, c := range complete(strings.Split(row.words, "|")) {
				got = append(got, c.word)
			}
			if row.want == nil && (row.words == "" || strings.HasSuffix(row.words, "|-")) {
				if len(got) < 3 {
					t.Errorf("only %q", got)
				}
				return
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
	if len(complete(nil)) == 0 {
		t.Error("no words at all complete to nothing")
	}
}

// TestCompletionScripts runs the scripts in the shells that they are for.
func TestCompletionScripts(t *testing.T) {
	for _, row := range []struct{ shell, script, want string }{
		{"bash", `eval "$(dynamod completion bash)"
COMP_WORDS=(dynamod apn l); COMP_CWORD=2; _dynamod; echo "${COMPREPLY[@]}"`, "lookup list\n"},
		{"zsh", `dynamod completion zsh >$ZDOTDIR/_dynamod
_files() { echo files }
_describe() { print -l $found }
words=(dynamod apn l); CURRENT=3
source $ZDOTDIR/_dynamod`, "lookup:what the operator settings say for a SIM, and why\nlist:list the operators that the settings know\n"},
		{"zsh", `dynamod completion zsh >$ZDOTDIR/_dynamod
_files() { echo files }
words=(dynamod run --config ""); CURRENT=4
source $ZDOTDIR/_dynamod`, "files\n"},
	} {
		t.Run(row.shell, func(t *testing.T) {
			shell, err := exec.LookPath(row.shell)
			if err != nil {
				t.Skipf("no %s here: the script is not run", row.shell)
			}
			cmd := exec.Command(shell, "-c", row.script)
			cmd.Env = append(os.Environ(), "ZDOTDIR="+t.TempDir()) // dynamod is on PATH, see TestMain
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != row.want {
				t.Errorf("%v, got\n%s", err, out)
			}
		})
	}
}
