package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fallback is for a profile that worked and dies.
type Fallback struct {
	// Order are the profiles to switch to, best first: ICCIDs, and LastSuccess for
	// all others. None leaves the enabled profile as it is.
	Order []string
	// Bootstrap are ICCIDs of profiles that are the last resort, and carry what is
	// dynamod's own alone; those of the class provisioning are so unnamed.
	Bootstrap []string
	After     time.Duration // without traffic
	Hold      time.Duration // on a profile after a switch
	Return    time.Duration // until the preferred profile is tried again, 0 for never
}

// LastSuccess in Fallback.Order stands for all profiles that it does not name.
const LastSuccess = "last-success"

func (d *document) fallback(raw *rawConfig, to *Fallback, apply string) {
	r := &raw.Fallback
	to.Order = d.iccids("fallback.order", r.Order, to.Order, LastSuccess)
	to.Bootstrap = d.iccids("fallback.bootstrap", r.Bootstrap, to.Bootstrap, "")
	if len(to.Bootstrap) > 0 && apply == ApplyNetifd {
		d.failAt("fallback.bootstrap", `with [uplink] apply = "self" it is kept to what is dynamod's own`, "netifd gives the link of a bootstrap profile to everybody")
	}
	d.duration("fallback.after", r.After, &to.After, 5*time.Minute, 7*24*time.Hour)
	d.duration("fallback.hold", r.Hold, &to.Hold, 10*time.Minute, 7*24*time.Hour)
	back := to.Return
	if d.duration("fallback.return", r.Return, &back, 0, 30*24*time.Hour); back != 0 && back < time.Hour {
		d.failAt("fallback.return", `"0s" never returns; each return interrupts a link that works`, "%s = %q is not in 1h..720h", "fallback.return", string(*r.Return))
		return
	}
	to.Return = back
}

// iccids appends the ICCIDs of a key, and the one word beside them that it takes.
func (d *document) iccids(name string, raw, to []string, word string) []string {
	hint := "18 to 20 digits that begin with 89 (ITU-T E.118)"
	if word != "" {
		hint = fmt.Sprintf("%q, or %s", word, hint)
	}
	for i, s := range raw {
		key := fmt.Sprintf("%s[%d]", name, i)
		iccid, why := s, ""
		if word == "" || s != word {
			if iccid, why = cleanICCID(s); why != "" {
				d.failAt(key, hint, "%s", why)
				continue
			}
		}
		if slices.Contains(to, iccid) {
			d.failAt(key, "name each profile once", "profile %d is there twice", i+1)
			continue
		}
		to = append(to, iccid)
	}
	return to
}

// cleanICCID takes the padding off; why is "" if it is one.
func cleanICCID(s string) (iccid, why string) {
	iccid = strings.TrimRight(s, "Ff")
	if len(iccid) < 18 || len(iccid) > 20 || strings.Trim(iccid, "0123456789") != "" || !strings.HasPrefix(iccid, "89") {
		return "", fmt.Sprintf("ICCID of %d characters is not valid", len(s))
	}
	return iccid, ""
}
