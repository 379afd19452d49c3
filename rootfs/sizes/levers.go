package main

// levers are the linker's and the compiler's that the Makefile pulls, and those
// of the code; make builds without those that have variables.
var levers = []lever{
	{"tag nodemo: simulators, demo and lab left out", []string{"TAGS=nethttpomithttp2"}, "none"},
	{"-s -w: no symbols, no DWARF", []string{"LDFLAGS="}, "none; stack traces keep functions and lines"},
	{"-l: inlining only in what counts bytes and bits", []string{"ROUTER="}, "up to twice the time in loops of small calls; a download waits for modem and card"},
	{"-l for COLD, too: TLS, certificates, ASN.1, JSON", []string{"COLD="}, "a seventh of a status request; none on a handshake, whose arithmetic is inlined"},
	{"-d=noopendefer: defer by the runtime's list", []string{"DEFER="}, "some 10 ns for each deferred call"},
	{"tag nethttpomithttp2: no HTTP/2", []string{"TAGS=nodemo"}, "none: a request at a time"},
	{"-R 4096: segments by the page of 32-bit routers", []string{"PAGE=65536"}, "none; kernels with larger pages do not start it"},
}
