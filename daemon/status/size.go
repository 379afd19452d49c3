package status

import (
	"reflect"
	"strings"
	"unicode"
)

// MaxJSON bounds the status as JSON, in bytes: it is polled over the cellular link
// itself.
const MaxJSON = 20_000

// mostTexts is how many texts a list keeps then: countries, hosts, warnings.
const mostTexts = 8

// small encodes s with its longest texts and lists of texts cut off where it would
// have more than MaxJSON bytes: operators, modems and cards choose names as they like. Identities
// are shorter than what is cut.
func small(s Snapshot) []byte {
	b := encode(s)
	for _, most := range []int{200, 100, 64} {
		if len(b) <= MaxJSON {
			return b
		}
		s = s.clone()
		clip(reflect.ValueOf(&s), most)
		b = encode(s)
	}
	return b
}

// clip cuts lists of texts in v, and in what it points to, and texts down to most bytes, and takes out
// what JSON has to escape with up to six for one.
func clip(v reflect.Value, most int) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clip(v.Elem(), most)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				clip(f, most)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.String && v.Len() > mostTexts {
			v.SetLen(mostTexts)
		}
		for i := range v.Len() {
			clip(v.Index(i), most)
		}
	case reflect.String:
		text := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsControl(r), r == '\u2028', r == '\u2029':
				return ' '
			case r == '"', r == '\\':
				return '\''
			}
			return r
		}, v.String())
		if len(text) > most {
			text = strings.ToValidUTF8(text[:most-len("…")], "") + "…"
		}
		v.SetString(text)
	}
}
