package activation

import (
	"fmt"
	"slices"
	"strings"

	"dynamod/daemon/journal"
)

// What a full journal keeps: of each kind the youngest, so that what comes often
// does not push out what comes seldom. A router whose line flaps falls back and
// forth hundreds of times a year, and still tells how its profiles came to the card;
// and a key, or a code, is known for as long as its run.
const (
	keepActivations = 48
	keepSwitches    = 12 // that somebody asked for
	keepFallbacks   = 12
	keepOthers      = 12 // of each other kind: panics, changes of the SIM
)

// retain chooses what stays when the journal is full: the run that is under way,
// then by turns the last record of the youngest runs of each kind and the youngest
// other records, then, where there is room, the whole story of runs: of the one
// under way, of the youngest activation, then of the younger ones. What is beyond
// the room, or beyond the numbers above, goes.
func retain(records []journal.Record, room int) map[uint64]bool {
	type told struct {
		last    Record
		records []journal.Record
	}
	runs := map[string]*told{}
	var order []string             // IDs by the last record, oldest first
	var others []string            // kinds of other records
	kinds := map[string][]uint64{} // their records, oldest first
	size := map[uint64]int{}
	for _, jr := range records {
		size[jr.Seq] = jr.Size()
		decoded := Runs([]journal.Record{jr})
		if len(decoded) == 0 {
			if kinds[jr.Kind] == nil {
				others = append(others, jr.Kind)
			}
			kinds[jr.Kind] = append(kinds[jr.Kind], jr.Seq)
			continue
		}
		r := decoded[0]
		if runs[r.ID] == nil {
			runs[r.ID] = new(told)
		} else {
			order = slices.DeleteFunc(order, func(id string) bool { return id == r.ID })
		}
		order = append(order, r.ID)
		runs[r.ID].last, runs[r.ID].records = r, append(runs[r.ID].records, jr)
	}
	slices.Reverse(order)

	keep := map[uint64]bool{}
	take := func(seqs ...uint64) bool {
		n := 0
		for _, seq := range seqs {
			if !keep[seq] {
				n += size[seq]
			}
		}
		if n > room {
			return false
		}
		room -= n
		for _, seq := range seqs {
			keep[seq] = true
		}
		return true
	}
	seqs := func(id string) (list []uint64) {
		for _, jr := range runs[id].records {
			list = append(list, jr.Seq)
		}
		return list
	}

	var turns [][]uint64 // youngest first, of each kind
	stories := []string{}
	var activations, switches, fallbacks []uint64
	for _, id := range order {
		last := runs[id].records[len(runs[id].records)-1].Seq
		switch r := runs[id].last; {
		case !r.State.Ended():
			take(last)
			stories = append([]string{id}, stories...)
		case r.Fallback != nil:
			fallbacks = append(fallbacks, last)
		case r.SMDP == "" && r.Key == "" && r.Mark == "":
			switches = append(switches, last)
		default:
			if len(activations) == 0 {
				stories = append(stories, id)
			}
			activations = append(activations, last)
		}
	}
	turns = append(turns, first(activations, keepActivations), first(switches, keepSwitches), first(fallbacks, keepFallbacks))
	for _, kind := range others {
		slices.Reverse(kinds[kind])
		turns = append(turns, first(kinds[kind], keepOthers))
	}
	for i := 0; slices.ContainsFunc(turns, func(t []uint64) bool { return i < len(t) }); i++ {
		for n, t := range turns {
			if i < len(t) && !take(t[i]) {
				turns[n] = nil // an older one in its place would leave a gap
			}
		}
	}
	for _, id := range append(stories, order...) {
		if list := seqs(id); keep[list[len(list)-1]] {
			take(list...)
		}
	}
	return keep
}

func first(list []uint64, n int) []uint64 { return list[:min(n, len(list))] }

// makeRoom is retain, told.
func (o *Orchestrator) makeRoom(records []journal.Record, room int) map[uint64]bool {
	keep := retain(records, room)
	count := map[string]int{}
	kept := 0
	for _, jr := range records {
		if keep[jr.Seq] {
			kept++
		} else {
			count[jr.Kind]++
		}
	}
	var what []string
	for kind, n := range count {
		what = append(what, fmt.Sprintf("%d of kind %s", n, kind))
	}
	slices.Sort(what)
	o.Log.Info("the journal is full and makes room", "dropped", strings.Join(what, ", "), "kept", kept)
	return keep
}

// forget drops the runs that the journal has dropped. The lock is held.
func (o *Orchestrator) forget() {
	known := map[string]bool{}
	for _, r := range Runs(o.Journal.Records()) {
		known[r.ID] = true
	}
	o.runs = slices.DeleteFunc(o.runs, func(r Record) bool { return !known[r.ID] && r.State.Ended() })
}
