// Package serial is go.bug.st/serial v1.8.0: its files for Linux, as they are but
// for GetPortsList, which is cut out. That one looks for names by a regular
// expression, and package regexp takes 0.2 MB of a router's binary, the tables of
// all scripts included. Which ports there are is asked of sysfs in any case.
package serial
