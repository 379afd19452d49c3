package main

import (
	"slices"
	"strings"
	"unicode"

	"dynamod/configs/cosa"
)

// The source lists an operator's APNs, and the operators of a network, in no
// order that says which to try first. arrange brings them into one, by rules that
// were chosen on one half of the networks that an independent list knows as
// well and that hold on the other half (TestOrder in package cosa, figures in
// data/PROVENANCE.md):
//
//  1. of one operator, an APN whose name or description says that it is for
//     something else (MMS, WAP, IMS, a VPN) or out of date goes last;
//  2. of one operator, an APN with the label "internet" goes first;
//  3. of several operators of one network, one that has such an APN goes before
//     those that have none. "primary" decides before that.
func arrange(profiles []cosa.OperatorProfile) {
	for i := range profiles {
		p := &profiles[i]
		slices.SortStableFunc(p.Connections, func(a, b cosa.Connection) int { return place(&a) - place(&b) })
		if slices.ContainsFunc(p.Connections, func(c cosa.Connection) bool { return place(&c) == 0 }) {
			p.Rank--
		}
	}
}

// place is lower for what goes first. Connections for MMS alone stay at the end.
func place(c *cosa.Connection) int {
	switch {
	case !c.For(cosa.Internet):
		return 3
	case isSpecial(c):
		return 2
	case namesInternet(c):
		return 0
	}
	return 1
}

// namesInternet tells whether a label of the APN (TS 23.003 9.1) is "internet".
func namesInternet(c *cosa.Connection) bool {
	return slices.Contains(strings.Split(strings.ToLower(c.APN), "."), "internet")
}

// specialWords are what an APN or its description says of one that is not for
// everybody's internet.
var specialWords = []string{"mms", "wap", "ims", "vpn", "bb", "blackberry", "static", "business", "old", "noapn"}

func isSpecial(c *cosa.Connection) bool {
	for _, word := range words(c.APN + " " + c.FriendlyName) {
		if slices.Contains(specialWords, word) {
			return true
		}
	}
	// An APN runs words together: vzwims, wapgprs.
	for _, label := range words(c.APN) {
		for _, w := range []string{"mms", "wap", "ims"} {
			if strings.HasPrefix(label, w) || strings.HasSuffix(label, w) {
				return true
			}
		}
	}
	return false
}

func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
