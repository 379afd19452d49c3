// Package configs holds the configuration files that are built in.
package configs

import "embed"

// Minimal is what `dynamod init` writes: a file that leaves everything to be
// found out.
//
//go:embed minimal.toml
var Minimal []byte

// Reference documents every key with its unit and default. Keys whose default
// is "not there" stand behind "#" without a blank.
//
//go:embed reference.toml
var Reference []byte

// Demo is what `dynamod demo` starts from.
//
//go:embed demo.toml
var Demo []byte

// Boards are the definitions of the boards that are known, boards/NAME.toml; see
// package board for what they say.
//
//go:embed boards/*.toml
var Boards embed.FS
