// Package uniseg stands in for github.com/rivo/uniseg, of which Ultraviolet calls
// the two functions below, for what is typed. They bring tables for words, lines
// and sentences that the linker cannot leave out, 0.2 MB on arm, and those for
// graphemes are there twice, because what draws has them from uax29. What another
// version of Ultraviolet should call besides does not compile.
package uniseg

import "github.com/clipperhouse/uax29/v2/graphemes"

// FirstGraphemeCluster returns the first grapheme cluster of b (UAX #29, 3.1) and
// what is behind it. Width and state, by which uniseg measures and goes on, are 0.
func FirstGraphemeCluster(b []byte, _ int) (cluster, rest []byte, width, state int) {
	cluster = graphemes.FromBytes(b).First()
	return cluster, b[len(cluster):], 0, 0
}

// Graphemes walks over the grapheme clusters of a string.
type Graphemes struct{ of *graphemes.Iterator[string] }

// NewGraphemes returns a walk that begins with Next.
func NewGraphemes(s string) *Graphemes { return &Graphemes{graphemes.FromString(s)} }

// Next goes to the next cluster and tells whether there is one.
func (g *Graphemes) Next() bool { return g.of.Next() }

// Str returns the cluster.
func (g *Graphemes) Str() string { return g.of.Value() }
