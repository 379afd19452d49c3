package main

// levers are the linker's and the compiler's that the Makefile pulls.
var levers = []lever{
	{"tag nodemo: simulators, demo and lab left out", []string{"TAGS=nethttpomithttp2"}, "none"},
	{"-s -w: no symbols, no DWARF", []string{"LDFLAGS="}, "none; stack traces keep functions and lines"},
	{"-l: inlining only in what counts bytes and bits", []string{"ROUTER="}, "up to twice the time in loops of small calls; a download waits for modem and card"},
	{"-l for COLD, too: TLS, certificates, ASN.1, JSON", []string{"COLD="}, "a seventh of a status request; none on a handshake, whose arithmetic is inlined"},
	{"-d=noopendefer: defer by the runtime's list", []string{"DEFER="}, "some 40 ns for each deferred call on amd64"},
	{"tag nethttpomithttp2: no HTTP/2", []string{"TAGS=nodemo"}, "none: a request at a time"},
	{"-R 4096: segments by the page of 32-bit routers", []string{"PAGE=65536"}, "none; kernels with larger pages do not start it"},
}

// choices are those in the code that are there for the size alone, with what each
// saved when it was made.
var choices = []choice{
	{"graphemes of keys by uax29 (daemon/tui/uniseg)", 212_000, "none"},
	{"no regexp, serial without its list of ports (atcmd/port/serial)", 197_000, "none"},
	{"lists sorted by package sort, one copy for all", 117_000, "up to twice the time of a sort; the lists are short"},
	{"router advertisements without x/net/ipv6", 45_000, "none"},
	{"the bundle's headers without archive/tar", 40_000, "none"},
}
