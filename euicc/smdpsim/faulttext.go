package smdpsim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseFault reads a fault as a control channel sends it: a kind and then fields
// as key=value, as in "drop-answer function=getBoundProfilePackage after=3000
// times=1". Fault.String is the inverse.
func ParseFault(s string) (f Fault, err error) {
	kind, err := parseFields(s, func(key, value string) (err error) {
		switch key {
		case "function":
			f.Function = Function(value)
			if !f.Function.known() {
				return fmt.Errorf("unknown function %q", value)
			}
		case "skip":
			f.Skip, err = strconv.Atoi(value)
		case "times":
			f.Times, err = strconv.Atoi(value)
		case "subject":
			f.Subject = value
		case "reason":
			f.Reason = value
		case "http":
			f.HTTP, err = strconv.Atoi(value)
		case "location":
			f.Location = value
		case "after":
			f.After, err = strconv.Atoi(value)
		case "delay":
			f.Delay, err = time.ParseDuration(value)
		case "bandwidth":
			f.Bandwidth, err = strconv.Atoi(value)
		default:
			err = errUnknownKey
		}
		return err
	})
	f.Kind = FaultKind(kind)
	if _, ok := docOf(f.Kind); err == nil && !ok {
		err = fmt.Errorf("unknown fault %q", kind)
	}
	return f, err
}

// String writes a fault as ParseFault reads it.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(string(f.Kind))
	text := func(key, value string) {
		if value != "" {
			b.WriteString(" " + key + "=" + value)
		}
	}
	number := func(key string, n int) {
		if n != 0 {
			text(key, strconv.Itoa(n))
		}
	}
	text("function", string(f.Function))
	number("skip", f.Skip)
	number("times", f.Times)
	text("subject", f.Subject)
	text("reason", f.Reason)
	number("http", f.HTTP)
	text("location", f.Location)
	number("after", f.After)
	if f.Delay != 0 {
		text("delay", f.Delay.String())
	}
	number("bandwidth", f.Bandwidth)
	return b.String()
}

// ParseForm reads a form as a control channel sends it: "form" and then fields
// as key=value, as in `form first=header,transactionId slash=\/ lines=76
// padding=surplus surplus=true nulls=true spaces=true gzip=true chunked=1000`. Form.String
// is the inverse.
func ParseForm(s string) (f Form, err error) {
	word, err := parseFields(s, func(key, value string) (err error) {
		switch key {
		case "first":
			f.First = strings.Split(value, ",")
		case "slash":
			if f.Slash = Slash(value); value == "/" {
				f.Slash = SlashPlain
			}
		case "lines":
			f.Lines, err = strconv.Atoi(value)
		case "padding":
			if f.Padding = Padding(value); value == "exact" {
				f.Padding = PaddingExact
			}
		case "surplus":
			f.Surplus, err = strconv.ParseBool(value)
		case "nulls":
			f.Nulls, err = strconv.ParseBool(value)
		case "spaces":
			f.Spaces, err = strconv.ParseBool(value)
		case "gzip":
			f.Gzip, err = strconv.ParseBool(value)
		case "chunked":
			f.Chunked, err = strconv.Atoi(value)
		default:
			err = errUnknownKey
		}
		return err
	})
	if err == nil && word != "form" {
		err = fmt.Errorf("%q is not a form", word)
	}
	if err == nil {
		err = f.check()
	}
	return f, err
}

// String writes a form as ParseForm reads it.
func (f Form) String() string {
	b := "form"
	if len(f.First) > 0 {
		b += " first=" + strings.Join(f.First, ",")
	}
	if f.Slash != SlashPlain {
		b += " slash=" + string(f.Slash)
	}
	if f.Lines != 0 {
		b += " lines=" + strconv.Itoa(f.Lines)
	}
	if f.Padding != PaddingExact {
		b += " padding=" + string(f.Padding)
	}
	for _, flag := range []struct {
		key string
		on  bool
	}{{"surplus", f.Surplus}, {"nulls", f.Nulls}, {"spaces", f.Spaces}, {"gzip", f.Gzip}} {
		if flag.on {
			b += " " + flag.key + "=true"
		}
	}
	if f.Chunked != 0 {
		b += " chunked=" + strconv.Itoa(f.Chunked)
	}
	return b
}

var errUnknownKey = fmt.Errorf("unknown key")

// parseFields reads a word and then key=value fields.
func parseFields(s string, set func(key, value string) error) (word string, err error) {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return "", fmt.Errorf("nothing is named")
	}
	for _, field := range fields[1:] {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			return fields[0], fmt.Errorf("%s: %q is not key=value", fields[0], field)
		}
		if err := set(key, value); err != nil {
			return fields[0], fmt.Errorf("%s: %s: %w", fields[0], field, err)
		}
	}
	return fields[0], nil
}
