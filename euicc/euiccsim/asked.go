package euiccsim

import (
	"maps"

	"dynamod/euicc/bertlv"
)

// Asked returns how often each function of the ISD-R was asked for, by its tag;
// the segments of a package count by theirs.
func (c *Card) Asked() map[bertlv.Tag]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.asked)
}
