package main

import (
	"context"
	"dynamod/configs/near"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// completionCommand is made when it is asked for, because it looks at the table
// that it is in.
func completionCommand() command {
	return command{
		name:    "completion",
		args:    "bash | zsh | words -- WORD...",
		summary: "print what makes a shell complete dynamod's commands",
		about: `The scripts ask dynamod itself, so they need not be renewed with it. words is what they ask:
it prints what the last word may become, a tab and what that does; ":files" stands for the name of a file.
The shell of BusyBox completes no commands; there, a mistyped one is answered with the one that is like it.`,
		example: "dynamod completion bash >/usr/share/bash-completion/completions/dynamod\ndynamod completion zsh >/usr/share/zsh/site-functions/_dynamod\ndynamod completion words -- apn lookup --ro",
		setup: func(*flag.FlagSet) action {
			return func(_ context.Context, args []string, s std) error {
				switch {
				case len(args) == 1 && args[0] == "bash":
					io.WriteString(s.out, bashCompletion)
				case len(args) == 1 && args[0] == "zsh":
					io.WriteString(s.out, zshCompletion)
				case len(args) > 0 && args[0] == "words":
					for _, c := range complete(args[1:]) {
						fmt.Fprintln(s.out, strings.TrimSuffix(c.word+"\t"+c.about, "\t"))
					}
				default:
					return usageError{errors.New("completion needs a shell"), "bash or zsh"}
				}
				return nil
			}
		},
	}
}

const bashCompletion = `# bash completion of dynamod
_dynamod() {
	local IFS=$'\n' line
	COMPREPLY=()
	for line in $(dynamod completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null); do
		if [ "$line" = :files ]; then
			compopt -o default
		else
			COMPREPLY+=("${line%%$'\t'*}")
		fi
	done
}
complete -F _dynamod dynamod
`

const zshCompletion = `#compdef dynamod
local line
local -a found
for line in "${(@f)$(dynamod completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
	if [[ $line == :files ]]; then
		_files
	elif [[ -n $line ]]; then
		found+=("${line/$'\t'/:}")
	fi
done
if (( $#found )); then
	_describe dynamod found
fi
`

// candidate is what a word may become.
type candidate struct{ word, about string }

// complete returns what the last word of a command line without "dynamod" may
// become. bash takes "--config=x" apart at the "=".
func complete(words []string) (found []candidate) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	before := words[:len(words)-1]
	offer := func(word, about string) {
		if strings.HasPrefix(word, last) {
			found = append(found, candidate{word, about})
		}
	}

	var at *command // that the words before name
	level, prefix := commands(), ""
	for len(before) > 0 && level != nil {
		next := named(level, prefix+before[0])
		if next == nil {
			break
		}
		at, before = next, before[1:]
		prefix, level = next.name+" ", below(*next)
	}
	if len(before) == 0 {
		for _, c := range level {
			if name := strings.TrimPrefix(c.name, prefix); !strings.Contains(name, " ") {
				offer(name, c.summary)
			}
		}
	}
	if at == nil {
		return found
	}
	fs := at.flags()
	if len(before) > 0 && last == "=" {
		last, before = "", append(before, last)
	}
	if n := len(before); n > 0 {
		name := before[n-1]
		if name == "=" && n > 1 {
			name = before[n-2]
		}
		if f := fs.Lookup(strings.TrimLeft(name, "-")); f != nil && strings.HasPrefix(name, "-") && !isSwitch(f) {
			if value, _ := flag.UnquoteUsage(f); value == "FILE" || value == "DIR" || value == "PATH" {
				found = append(found, candidate{word: ":files"})
			}
			return found
		}
	}
	if strings.HasPrefix(last, "-") {
		fs.VisitAll(func(f *flag.Flag) {
			_, about := flagTerm(f)
			offer("--"+f.Name, about)
		})
		return found
	}
	if strings.Contains(at.args, "FILE") {
		found = append(found, candidate{word: ":files"})
	}
	return found
}

// named is the command of that whole name.
func named(list []command, name string) *command {
	for i, c := range list {
		if c.name == name {
			return &list[i]
		}
	}
	return nil
}

// below are the commands whose names begin with c's: its verbs, and those that
// stand in the table by themselves, such as "sim ctl".
func below(c command) []command {
	out := slices.Clone(c.verbs)
	for _, other := range commands() {
		if strings.HasPrefix(other.name, c.name+" ") {
			out = append(out, other)
		}
	}
	return out
}

func isSwitch(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// hintLike is the hint for a mistyped word: the command that is like it, or
// else hint.
func hintLike(before, word string, list []command, hint string) string {
	var names []string
	for _, c := range list {
		names = append(names, strings.TrimPrefix("dynamod "+c.name, before+" "))
	}
	if name := near.Name(word, names); name != "" {
		return fmt.Sprintf("did you mean `%s %s`?", before, name)
	}
	return hint
}
