// A program of somebody else's, outside of dynamod's module, that uses its eUICC
// library. A test of package euicc runs it.
module example.com/library

go 1.26.0

require dynamod v0.0.0

replace dynamod => ../../..
