package dialect

import (
	"maps"
	"slices"
)

// Value is the one that gives the modem a data function, the lowest where
// several do. It reports false where none is known.
func (f *NetFunction) Value(k Kind) (string, bool) {
	for _, v := range slices.Sorted(maps.Keys(f.Kinds)) {
		if f.Kinds[v] == k {
			return v, true
		}
	}
	return "", false
}

// Settable lists the functions that Set can give the modem, those that AT
// commands can dial on first.
func (f *NetFunction) Settable() []Kind {
	var kinds []Kind
	for _, k := range []Kind{ECM, NCM, RNDIS, RawIP, MBIM, QMI, PPP, None} {
		if _, ok := f.Value(k); ok && len(f.Set) > 0 {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Commands are those of Set for a value, as they would be typed.
func (f *NetFunction) Commands(value string) []string {
	var typed []string
	for _, s := range f.Set {
		if text, _, err := Expand(s.Send, Values{"function": value}); err == nil {
			typed = append(typed, "AT"+text)
		}
	}
	return typed
}
