package bearer

import (
	"dynamod/daemon/status"
	"dynamod/netlink/reach"
)

// Text tells in one line what a reach check that was not good has found.
func (r Reach) Text() string {
	switch reach.Cause(r.Cause) {
	case reach.Portal:
		return "only a portal answers: " + r.Reason
	case reach.NameServers:
		return "names cannot be looked up: " + r.Reason
	case reach.WalledGarden:
		return "the operator's network answers and lets nothing through: " + r.Reason
	}
	return "nothing answers through the link: " + r.Reason
}

// limited is Text where there is a link of a kind, "" where traffic crosses it.
func (r Reach) limited() string {
	if r.State != status.Limited {
		return ""
	}
	return r.Text()
}

// Advice tells what to do about it.
func (r Reach) Advice() string {
	switch reach.Cause(r.Cause) {
	case reach.Portal:
		return "the line may have no credit; see the operator's portal"
	case reach.NameServers:
		return "name servers that work in [uplink] dns help where the network names none; else ask the operator"
	case reach.WalledGarden:
		return "the APN may be for the operator's own services, or the line not active yet; `dynamod apn explain` tells which APNs there are"
	}
	return "check the APN and whether the line is active; a private network needs targets of its own in [reach] targets"
}
