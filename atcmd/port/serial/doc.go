// Package serial is go.bug.st/serial v1.8.0: its files for Linux, as they are but
// for two things that are cut out.
//
// GetPortsList looks for names by a regular expression, and package regexp takes
// 0.2 MB of a router's binary, the tables of all scripts included. Which ports there
// are is asked of sysfs in any case.
//
// serial_specialbaudrate_linux_ppc64le.go only refuses a speed that is not in the
// table; no router is a ppc64le, and without it the package does not build for one.
//
// The module has the library's name, so that a version without GetPortsList's regular
// expression takes its place by deleting the replace in go.mod. LICENSE is the library's.
package serial
