package atsim

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Stats is what the modem did since New.
type Stats struct {
	Lines    int64          // command lines
	Commands int64          // commands in them
	ByName   map[string]int // commands by name; those the modem does not know as "unknown"

	BytesIn, BytesOut int64 // AT bytes from and to clients

	APDUs                 int64 // client's command APDUs, by +CSIM, +CGLA and +CRSM
	APDUBytesIn           int64 // bytes of them
	APDUBytesOut          int64 // bytes of their responses, status words included
	CardAPDUs             int64 // all command APDUs that the card got, the modem's own included
	CardResets, Refreshes int64

	ChannelsOpened, ChannelsClosed int64 // by +CCHO and +CCHC

	URCs, URCsDropped         int64
	Registrations             int64 // times that the network was asked
	Activations, Deactivation int64

	Struck map[string]int // how often each fault had its effect, by its name
}

type counters struct {
	lines, bytesIn, bytesOut, apdus, apduIn, apduOut, cardAPDUs, resets, refreshes atomic.Int64
	opened, closed, urcs, urcsDropped, registrations, activations, deactivations   atomic.Int64

	mu     sync.Mutex
	byName map[string]int
	total  int64
}

func (c *counters) count(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = make(map[string]int)
	}
	c.byName[name]++
	c.total++
}

// Stats returns the counters. It may be called from a Card or a Network.
func (m *Modem) Stats() Stats {
	c := &m.stats
	c.mu.Lock()
	byName, total := maps.Clone(c.byName), c.total
	c.mu.Unlock()
	return Stats{
		Lines: c.lines.Load(), Commands: total, ByName: byName,
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		APDUs: c.apdus.Load(), APDUBytesIn: c.apduIn.Load(), APDUBytesOut: c.apduOut.Load(),
		CardAPDUs: c.cardAPDUs.Load(), CardResets: c.resets.Load(), Refreshes: c.refreshes.Load(),
		ChannelsOpened: c.opened.Load(), ChannelsClosed: c.closed.Load(),
		URCs: c.urcs.Load(), URCsDropped: c.urcsDropped.Load(), Registrations: c.registrations.Load(),
		Activations: c.activations.Load(), Deactivation: c.deactivations.Load(),
		Struck: m.faults.counts(),
	}
}
