package smdpsim

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Form is how a server writes its JSON. Every form says the same; real servers
// have been seen with each. The zero Form is the plain one: fields sorted by
// name, no white space, one line of base64 with the padding of RFC 4648.
type Form struct {
	First   []string // these fields stand first, in this order; the others follow sorted
	Slash   Slash
	Lines   int     // base64 in lines of so many characters, each ended by CR LF; 0: one line
	Padding Padding // of base64
	Surplus bool    // fields that SGP.22 does not know, nested ones too
	Nulls   bool    // fields that are absent are there as null, in refusals too
	Spaces  bool    // white space between all tokens
	Gzip    bool    // for a client that accepts it
	Chunked int     // chunked transfer coding, a chunk of so many bytes at a time; 0: Content-Length
}

// Slash is how "/" stands in a JSON string (RFC 8259, 7 allows all).
type Slash string

// The spellings.
const (
	SlashPlain   Slash = ""
	SlashEscaped Slash = `\/`
	SlashCode    Slash = `\u002F`
)

// Padding is what ends base64.
type Padding string

// The endings.
const (
	PaddingExact   Padding = ""        // RFC 4648
	PaddingMissing Padding = "missing" // no "="
	PaddingSurplus Padding = "surplus" // always "==="
)

// check returns what is wrong with a form.
func (f Form) check() error {
	switch {
	case !slices.Contains([]Slash{SlashPlain, SlashEscaped, SlashCode}, f.Slash):
		return fmt.Errorf(`form: slash %q is none of / \/ \u002F`, string(f.Slash))
	case !slices.Contains([]Padding{PaddingExact, PaddingMissing, PaddingSurplus}, f.Padding):
		return fmt.Errorf("form: padding %q is none of exact, missing, surplus", string(f.Padding))
	case f.Lines < 0 || f.Chunked < 0:
		return fmt.Errorf("form: a number is negative")
	}
	for _, name := range f.First {
		if name == "" || strings.ContainsAny(name, " ,=") {
			return fmt.Errorf("form: %q is no name of a field", name)
		}
	}
	return nil
}

// SetForm says how answers are written from now on.
func (s *endpoint) SetForm(f Form) error {
	if err := f.check(); err != nil {
		return err
	}
	f.First = slices.Clone(f.First)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.form = f
	return nil
}

// Form returns how answers are written.
func (s *endpoint) Form() Form {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.form
	f.First = slices.Clone(f.First)
	return f
}

// binary is a value that goes as base64.
type binary []byte

// null is a field without a value.
type null struct{}

// answerFields are what an answer of a function may hold beside its header
// (SGP.22 6.5.2.6 to 6.5.2.10). eventEntries is of ES11: a server that fills with
// null has one list of fields for both.
var answerFields = map[Function][]string{
	InitiateAuthentication: {"transactionId", "serverSigned1", "serverSignature1", "euiccCiPKIdToBeUsed", "serverCertificate"},
	AuthenticateClient:     {"transactionId", "profileMetadata", "smdpSigned2", "smdpSignature2", "smdpCertificate", "eventEntries"},
	GetBoundProfilePackage: {"transactionId", "boundProfilePackage"},
}

// withNulls returns r with null for each of the names that it lacks.
func (r response) withNulls(names ...string) response {
	r = maps.Clone(r)
	for _, name := range names {
		if _, there := r[name]; !there {
			r[name] = null{}
		}
	}
	return r
}

// encode writes a function's answer in this form, without transfer and content
// coding.
func (f Form) encode(fn Function, r response) ([]byte, error) {
	if f.Nulls {
		r = r.withNulls(answerFields[fn]...)
		if header, ok := r["header"].(response); ok {
			r["header"] = header.nullStatus()
		}
	}
	if f.Surplus {
		r = maps.Clone(r)
		r["vendorData"] = response{"version": "1.0", "list": []response{{"a": `"}]`}, {}}}
		r["anUnknownField"] = ""
	}
	var b bytes.Buffer
	err := f.object(&b, r)
	return b.Bytes(), err
}

// nullStatus is withNulls for a header (SGP.22 6.5.1.4).
func (r response) nullStatus() response {
	status, ok := r["functionExecutionStatus"].(response)
	if !ok {
		return r
	}
	status = status.withNulls("statusCodeData")
	if data, ok := status["statusCodeData"].(response); ok {
		status["statusCodeData"] = data.withNulls("subjectIdentifier", "message")
	}
	r = maps.Clone(r)
	r["functionExecutionStatus"] = status
	return r
}

func (f Form) object(b *bytes.Buffer, r response) error {
	names := slices.SortedFunc(maps.Keys(r), func(x, y string) int {
		return cmp.Or(cmp.Compare(f.rank(x), f.rank(y)), strings.Compare(x, y))
	})
	f.token(b, "{")
	for i, name := range names {
		if i > 0 {
			f.token(b, ",")
		}
		if err := f.value(b, name); err != nil {
			return err
		}
		f.token(b, ":")
		if err := f.value(b, r[name]); err != nil {
			return err
		}
	}
	f.token(b, "}")
	return nil
}

// rank is a field's place among those that stand first.
func (f Form) rank(name string) int {
	if i := slices.Index(f.First, name); i >= 0 {
		return i
	}
	return len(f.First)
}

func (f Form) token(b *bytes.Buffer, s string) {
	if f.Spaces {
		b.WriteString("\r\n\t ")
	}
	b.WriteString(s)
	if f.Spaces {
		b.WriteString(" \n")
	}
}

func (f Form) value(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case null:
		b.WriteString("null")
		return nil
	case binary:
		return f.value(b, f.base64(v))
	case response:
		return f.object(b, v)
	case []response:
		f.token(b, "[")
		for i, r := range v {
			if i > 0 {
				f.token(b, ",")
			}
			if err := f.object(b, r); err != nil {
				return err
			}
		}
		f.token(b, "]")
		return nil
	case string:
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if f.Slash != SlashPlain {
			text = bytes.ReplaceAll(text, []byte("/"), []byte(f.Slash))
		}
		b.Write(text)
		return nil
	}
	return fmt.Errorf("a %T cannot be written", v)
}

func (f Form) base64(v []byte) string {
	text := base64.StdEncoding.EncodeToString(v)
	switch f.Padding {
	case PaddingMissing:
		text = strings.TrimRight(text, "=")
	case PaddingSurplus:
		text = strings.TrimRight(text, "=") + "==="
	}
	if f.Lines == 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		n := min(f.Lines, len(text))
		b.WriteString(text[:n])
		b.WriteString("\r\n")
		text = text[n:]
	}
	return b.String()
}

// compress is gzip (RFC 1952).
func compress(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(body) // a buffer never fails
	w.Close()
	return b.Bytes()
}
