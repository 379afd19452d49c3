package gateway

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"dynamod/daemon/bundle"
	"dynamod/daemon/journal"
)

// Bundle writes the archive for who helps.
func (g *Gateway) Bundle(ctx context.Context, w io.Writer) error {
	var r bundle.Redactor
	g.secrets(&r)
	story := g.opts.Story
	if story == nil {
		story = func(io.Writer, []journal.Record) error { return nil }
	}
	parts := bundle.Disk(g.config(), g.opts.Version, g.opts.ConfigFile, story)
	parts = append(parts,
		bundle.JSON("status.json", func(context.Context) (any, error) { return g.status.Snapshot(), nil }),
		bundle.JSON("settings.json", func(context.Context) (any, error) { return g.config(), nil }),
		bundle.Part{Name: "kernel.txt", Write: g.writeKernel},
		g.recent.Part("trace.txt"),
		bundle.JSON("diag.json", func(ctx context.Context) (any, error) { return g.Diagnose(ctx) }),
		bundle.JSON("apn.json", func(ctx context.Context) (any, error) { return g.ExplainAPN(ctx) }),
	)
	if g.opts.Recent != nil {
		parts = append(parts, g.opts.Recent.Part("log.txt"))
	}
	return bundle.Write(ctx, w, g.clock.now(), &r, parts)
}

// secrets gives r what is known of them by value: it must not be in the archive in
// whatever form.
func (g *Gateway) secrets(r *bundle.Redactor) {
	r.Secrets(g.config())
	for _, rec := range g.runs.Runs() {
		if rec.State.Ended() {
			continue
		}
		if req, err := g.vault.Get(rec.ID); err == nil {
			r.Keep(req.Code.MatchingID.Reveal(), string(req.ConfirmationCode))
			if req.APN != nil {
				r.Keep(req.APN.Password)
			}
		}
	}
	if card := g.status.Snapshot().Card; card != nil {
		for _, p := range card.Profiles {
			if apn, ok := g.vault.KeptAPN(p.ICCID); ok {
				r.Keep(apn.Password)
			}
		}
	}
}

// writeKernel lists what the kernel has, of others, too: who looks for a route that
// is in the way needs it.
func (g *Gateway) writeKernel(ctx context.Context, w io.Writer) error {
	snap, err := g.kernel.Snapshot(ctx)
	if err != nil {
		return err
	}
	for _, l := range snap.Links {
		fmt.Fprintln(w, "link", l)
	}
	for _, a := range snap.Addrs {
		fmt.Fprintln(w, "addr", a)
	}
	for _, r := range snap.Routes {
		fmt.Fprintln(w, "route", r, cmp.Or(r.Table, 254))
	}
	for _, r := range snap.Rules {
		fmt.Fprintln(w, "rule", r)
	}
	return nil
}
