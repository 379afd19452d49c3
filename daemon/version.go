package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

var versionCommand = command{
	name:    "version",
	summary: "print the version and what it was built with",
	example: "dynamod version",
	setup: func(fs *flag.FlagSet) action {
		asJSON := fs.Bool("json", false, "print one JSON object")
		return func(_ context.Context, args []string, s std) error {
			if err := noArgs("version", args); err != nil {
				return err
			}
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
				Tags    string `json:"tags,omitempty"`
				Built   string `json:"built,omitempty"` // RFC 3339; a clock before it is wrong
			}{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, kv := range info.Settings {
					if kv.Key == "-tags" {
						v.Tags = kv.Value
					}
				}
			}
			if t := floor(); t.Unix() > 0 {
				v.Built = t.UTC().Format("2006-01-02T15:04:05Z07:00")
			}
			if *asJSON {
				return json.NewEncoder(s.out).Encode(v)
			}
			fmt.Fprintf(s.out, "dynamod %s %s %s/%s\n", v.Version, v.Go, v.OS, v.Arch)
			if v.Tags != "" {
				fmt.Fprintf(s.out, "tags %s\n", v.Tags)
			}
			return nil
		}
	},
}
