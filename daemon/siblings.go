package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"dynamod/daemon/config"
)

// siblings lists what a configuration shares with those of the box's other instances
// and must not: each manages a modem of its own, with a table and a metric of its own.
func siblings(path string, cfg *config.Config) (warnings []string) {
	if name := filepath.Base(path); name != "dynamod.toml" && !strings.HasPrefix(name, "dynamod@") {
		return nil
	}
	others, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "dynamod@*.toml")) // only a bad pattern is an error
	for _, other := range append(others, filepath.Join(filepath.Dir(path), "dynamod.toml")) {
		if other == path {
			continue
		}
		theirs, err := config.Load(other)
		if err != nil { // it is not there, or its own check tells what is wrong in it
			continue
		}
		for _, s := range []struct {
			key          string
			ours, theirs any
			none         any
		}{
			{"[modem] port", cfg.Modem.Port + " " + cfg.Board.Name, theirs.Modem.Port + " " + theirs.Board.Name, nil},
			{"[uplink] table", cfg.Uplink.Table, theirs.Uplink.Table, 0},
			{"[uplink] metric", cfg.Uplink.Metric, theirs.Uplink.Metric, nil},
		} {
			if s.ours == s.theirs && s.ours != s.none {
				warnings = append(warnings, fmt.Sprintf("%s: %s has the same; each instance needs one of its own", s.key, other))
			}
		}
	}
	return warnings
}
