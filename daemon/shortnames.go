package main

import "dynamod/daemon/wording"

// Short names for what nearly every verb says.
var (
	clean   = wording.Clean
	fields  = wording.Fields
	prefix  = wording.Prefix
	number  = wording.Number
	pointed = wording.Pointed
	parens  = wording.Parens
	onlyIf  = wording.OnlyIf
	times   = wording.Times
)
