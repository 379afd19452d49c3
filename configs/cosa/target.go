package cosa

import (
	"math"
	"strconv"
	"strings"
)

// Lengths of a full ICCID (ITU-T E.118) and IMSI (TS 23.003 2.2), by which the
// width of ranges of different lengths is compared.
const (
	fullICCID = 20
	fullIMSI  = 15
)

// narrowness tells how closely a target's values describe the SIM, per key in
// the order of Keys. It only compares matches with the same keys.
type narrowness struct {
	iccid, imsi uint64 // how many full numbers the value lets through: fewer is narrower
	gid1, gid2  uint16 // hex digits given; exact values above any prefix
}

const exactGID = 1 << 15

// hit says which of a target's values matched.
type hit struct {
	keys        Keys
	narrow      narrowness
	approximate bool // an ICCID range was compared without its check digit

	// index of the matched value in the target's list; imsi counts the
	// patterns after the ranges
	iccidAt, imsiAt, gid1At, gid2At, spnAt, pnnAt uint16
}

// match tests all conditions of the target. home is MCC+MNC or "". Where one
// fails, miss is its key.
func (t *Target) match(sim *SIM, home string) (h hit, miss Keys) {
	if len(t.MCCMNC) > 0 {
		if !contains(t.MCCMNC, home) {
			return h, KeyMCCMNC
		}
		h.keys |= KeyMCCMNC
	}
	if len(t.MCC) > 0 {
		mcc := home
		if mcc == "" {
			mcc = sim.IMSI
		}
		if len(mcc) < 3 || !contains(t.MCC, mcc[:3]) {
			return h, KeyMCC
		}
		h.keys |= KeyMCC
	}
	if len(t.ICCID) > 0 && !t.matchICCID(sim.iccid(), &h) {
		return h, KeyICCID
	}
	if len(t.IMSI)+len(t.IMSIPattern) > 0 && !t.matchIMSI(sim.IMSI, &h) {
		return h, KeyIMSI
	}
	if len(t.GID1) > 0 {
		if h.narrow.gid1, h.gid1At = matchGID(t.GID1, sim.GID1); h.narrow.gid1 == 0 {
			return h, KeyGID1
		}
		h.keys |= KeyGID1
	}
	if len(t.GID2) > 0 {
		if h.narrow.gid2, h.gid2At = matchGID(t.GID2, sim.GID2); h.narrow.gid2 == 0 {
			return h, KeyGID2
		}
		h.keys |= KeyGID2
	}
	if len(t.SPN) > 0 {
		at, ok := matchName(t.SPN, sim.SPN)
		if !ok {
			return h, KeySPN
		}
		h.keys, h.spnAt = h.keys|KeySPN, at
	}
	if len(t.PNN) > 0 {
		at, ok := matchName(t.PNN, sim.PNN)
		if !ok {
			return h, KeyPNN
		}
		h.keys, h.pnnAt = h.keys|KeyPNN, at
	}
	return h, 0
}

func (t *Target) matchICCID(iccid string, h *hit) bool {
	if !isDigits(iccid) {
		return false
	}
	best := uint64(math.MaxUint64)
	found := false
	for i, r := range t.ICCID {
		approximate, ok := r.match(iccid)
		if !ok {
			continue
		}
		if w := r.width(fullICCID); !found || w < best {
			best, h.iccidAt, h.approximate = w, uint16(i), approximate
		}
		found = true
	}
	if found {
		h.keys |= KeyICCID
		h.narrow.iccid = best
	}
	return found
}

func (t *Target) matchIMSI(imsi string, h *hit) bool {
	if !isDigits(imsi) {
		return false
	}
	best := uint64(math.MaxUint64)
	found := false
	for i, r := range t.IMSI {
		if len(r.Lo) > len(imsi) || imsi[:len(r.Lo)] < r.Lo || imsi[:len(r.Hi)] > r.Hi {
			continue
		}
		if w := r.width(fullIMSI); !found || w < best {
			best, h.imsiAt = w, uint16(i)
		}
		found = true
	}
	for i, p := range t.IMSIPattern {
		if !p.match(imsi) {
			continue
		}
		if w := p.width(); !found || w < best {
			best, h.imsiAt = w, uint16(len(t.IMSI)+i)
		}
		found = true
	}
	if found {
		h.keys |= KeyIMSI
		h.narrow.imsi = best
	}
	return found
}

// match compares an ICCID with the range on their common length. The two may
// differ by the check digit: 19 or 20 digits against 18 or 19; such a match is
// approximate. A range much shorter is a prefix.
func (r Range) match(iccid string) (approximate, ok bool) {
	n := len(r.Lo)
	if n > len(iccid) {
		if n > len(iccid)+1 {
			return false, false
		}
		n = len(iccid)
		approximate = true
	} else if n >= 18 && n < len(iccid) {
		approximate = true
	}
	return approximate, iccid[:n] >= r.Lo[:n] && iccid[:n] <= r.Hi[:n]
}

// width is how many numbers of full digits lie in the range, saturated.
func (r Range) width(full int) uint64 {
	same := 0
	for same < len(r.Lo) && r.Lo[same] == r.Hi[same] {
		same++
	}
	lo, hi := r.Lo[same:], r.Hi[same:]
	if len(lo) > 18 {
		return math.MaxUint64
	}
	w := number(hi) - number(lo) + 1
	for n := len(r.Lo); n < full; n++ {
		if w > math.MaxUint64/10 {
			return math.MaxUint64
		}
		w *= 10
	}
	return w
}

func number(digits string) (n uint64) {
	for i := 0; i < len(digits); i++ {
		n = n*10 + uint64(digits[i]-'0')
	}
	return n
}

func (p Pattern) match(imsi string) bool {
	if len(p) > len(imsi) {
		return false
	}
	for i := 0; i < len(p); i++ {
		if p[i] != imsi[i] && p[i] != 'x' && p[i] != 'X' {
			return false
		}
	}
	return true
}

// width is how many IMSIs of 15 digits the pattern lets through.
func (p Pattern) width() uint64 {
	w := uint64(1)
	for i := range fullIMSI {
		if i >= len(p) || p[i] == 'x' || p[i] == 'X' {
			w *= 10
		}
	}
	return w
}

// matchGID returns the closeness of the best value, 0 for none. Unused bytes at
// the end of the file are FF (TS 31.102 leaves its length to the operator), so
// they do not count in an exact comparison.
func matchGID(values []GID, have string) (best, at uint16) {
	exact := trimFF(have)
	if exact == "" {
		return 0, 0
	}
	for i, g := range values {
		var score uint16
		if g.Prefix {
			if len(have) >= len(g.Hex) && strings.EqualFold(have[:len(g.Hex)], g.Hex) {
				score = uint16(len(g.Hex))
			}
		} else if strings.EqualFold(exact, trimFF(g.Hex)) {
			score = exactGID | uint16(len(g.Hex))
		}
		if score > best {
			best, at = score, uint16(i)
		}
	}
	return best, at
}

func trimFF(hex string) string {
	for len(hex) >= 2 && strings.EqualFold(hex[len(hex)-2:], "FF") {
		hex = hex[:len(hex)-2]
	}
	return hex
}

func matchName(values []string, have string) (at uint16, ok bool) {
	have = strings.TrimSpace(have)
	if have == "" {
		return 0, false
	}
	for i, v := range values {
		if strings.EqualFold(strings.TrimSpace(v), have) {
			return uint16(i), true
		}
	}
	return 0, false
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// String lists the conditions: `MCC+MNC 26201 26206, SPN "Lebara"`.
func (t *Target) String() string {
	var parts []string
	add := func(k Keys, values []string) {
		if len(values) > 0 {
			parts = append(parts, k.String()+" "+strings.Join(values, " "))
		}
	}
	add(KeyMCC, t.MCC)
	add(KeyMCCMNC, t.MCCMNC)
	add(KeyICCID, textOf(t.ICCID, Range.String))
	add(KeyIMSI, append(textOf(t.IMSI, Range.String), textOf(t.IMSIPattern, func(p Pattern) string { return string(p) })...))
	add(KeyGID1, textOf(t.GID1, GID.String))
	add(KeyGID2, textOf(t.GID2, GID.String))
	add(KeySPN, textOf(t.SPN, strconv.Quote))
	add(KeyPNN, textOf(t.PNN, strconv.Quote))
	return strings.Join(parts, ", ")
}

// String writes "8949020000..8949020099", or the prefix where both are the same.
func (r Range) String() string {
	if r.Lo == r.Hi {
		return r.Lo
	}
	return r.Lo + ".." + r.Hi
}

func textOf[T any](list []T, text func(T) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = text(v)
	}
	return out
}
