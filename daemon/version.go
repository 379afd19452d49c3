package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

var versionCommand = command{
	name:    "version",
	summary: "print the version and what it was built with",
	example: "dynamod version",
	run: func(_ context.Context, args []string, s std) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("version takes no arguments, got %q", args[0]), "dynamod version"}
		}
		fmt.Fprintf(s.out, "dynamod %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, kv := range info.Settings {
				if kv.Key == "-tags" {
					fmt.Fprintf(s.out, "tags %s\n", kv.Value)
				}
			}
		}
		return nil
	},
}
