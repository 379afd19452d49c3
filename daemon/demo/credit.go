//go:build !nodemo

package demo

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dynamod/atcmd/atsim"
)

// Account is what knows the credit of a line. *dynamosim.Operator is one.
type Account interface {
	// Use takes megabytes off the line, and reports whether any are left. It must not
	// call the network back.
	Use(iccid string, mb float64) bool
}

// Garden is where the network keeps a line whose credit is used up.
type Garden struct {
	Portal string       // where web pages send it on to
	Open   []netip.Addr // what it reaches in the internet all the same
}

// meterPause lies between two looks at the counters of a line that pays by volume.
const meterPause = 100 * time.Millisecond

// Meter has a line's traffic counted, and takes it off its account from now on. A
// line without credit is in the garden, its session as it was; one with credit again
// is out of it. A nil account ends it.
func (o *operator) Meter(iccid string, a Account) {
	o.mu.Lock()
	if o.accounts[iccid] = a; a == nil {
		delete(o.accounts, iccid)
	}
	up := o.isUp && o.caller == iccid
	o.mu.Unlock()
	if up {
		o.meter()
	}
}

// SetGarden says what the garden is like. A line that is in it sees that when it
// comes into it the next time.
func (o *operator) SetGarden(g Garden) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.garden = g
}

// Walled reports whether the line that has the data connection is in the garden.
func (o *operator) Walled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.walled
}

// meter takes what has crossed since the last look off the line's account, opens or
// closes the garden, and looks again in a while.
func (o *operator) meter() {
	o.meters.Lock()
	defer o.meters.Unlock()
	o.mu.Lock()
	iccid, carrier, garden, was, up := o.caller, o.carrier, o.garden, o.walled, o.isUp
	account, since := o.accounts[iccid], o.metered
	o.mu.Unlock()
	total, err := carrierTraffic(carrier)
	walled := false
	if account != nil && err == nil {
		// What the garden itself carries is free.
		mb := 0.0
		if !was {
			mb = float64(total-since) / 1e6
		}
		walled = !account.Use(iccid, mb) && up
	}
	if walled != was && carrier != nil {
		to := ""
		if walled {
			to = garden.Portal
		}
		if err := carrier.Wall(walled, garden.Open...); err != nil {
			o.log.Error("the walled garden", "error", err)
		}
		carrier.Portal(to)
		o.log.Info("the line's credit", "iccid", shorten(iccid), "used up", walled)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.metered, o.walled = total, walled
	if o.looking != nil {
		o.looking.Stop()
		o.looking = nil
	}
	if account != nil && err == nil && o.isUp {
		o.looking = time.AfterFunc(meterPause, o.meter)
	}
}

// stopMeter ends the looks, at the lab's end.
func (o *operator) stopMeter() {
	o.meters.Lock()
	defer o.meters.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.isUp = false
	if o.looking != nil {
		o.looking.Stop()
		o.looking = nil
	}
}

func carrierTraffic(c Carrier) (int64, error) {
	if c == nil {
		return 0, errors.New("no carrier")
	}
	return c.Traffic()
}

// prepaid are accounts of the lab's own, for who has no operator's API beside it.
type prepaid struct {
	mu sync.Mutex
	mb map[string]float64
}

// Use implements Account.
func (p *prepaid) Use(iccid string, mb float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mb[iccid] = max(p.mb[iccid]-mb, 0)
	return p.mb[iccid] > 0
}

// SetCredit gives a line so many megabytes, at an account of the lab's own.
func (o *operator) SetCredit(iccid string, mb float64) {
	o.own.mu.Lock()
	o.own.mb[iccid] = mb
	o.own.mu.Unlock()
	o.Meter(iccid, o.own)
}

// Codes that the network answers a subscriber with an account of the lab's own.
const (
	balanceCode = "*100#"
	balanceMenu = "*101#" // the same, and it waits for a choice
)

// ussd is the network's service behind codes.
func (o *operator) ussd(s atsim.Subscriber, code string) atsim.USSDReply {
	iccid := strings.TrimRight(s.ICCID, "Ff")
	o.own.mu.Lock()
	mb, ok := o.own.mb[iccid]
	o.own.mu.Unlock()
	if !ok || code != balanceCode && code != balanceMenu {
		return atsim.USSDReply{}
	}
	text := "Credit: 12,50 EUR\nData: " + strconv.FormatFloat(mb, 'f', 2, 64) + " MB"
	if code == balanceMenu {
		return atsim.USSDReply{Text: text + "\n1 Top up", More: true}
	}
	return atsim.USSDReply{Text: text}
}

// creditState is a line with an account of the lab's own.
type creditState struct {
	ICCID  string  `json:"iccid"`
	MB     float64 `json:"mb"`
	Walled bool    `json:"walled"` // it is in the garden now
}

func (o *operator) credits() []creditState {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.own.mu.Lock()
	defer o.own.mu.Unlock()
	out := []creditState{}
	for iccid, mb := range o.own.mb {
		if o.accounts[iccid] == Account(o.own) {
			out = append(out, creditState{iccid, mb, o.walled && o.caller == iccid})
		}
	}
	slices.SortFunc(out, func(a, b creditState) int { return cmp.Compare(a.ICCID, b.ICCID) })
	return out
}
