// Package atcmd speaks AT with a modem: the line protocol of ITU-T V.250 with
// the extended commands of 3GPP TS 27.007 and 27.005.
//
// Start with New on a port that package port opened, run commands with
// Session.Do, and take unsolicited result codes with Session.Subscribe. Commands
// that belong together go into a section, see Session.Exclusive; a data call is
// Session.Data.
//
//	p, err := port.Open(ctx, "/dev/ttyUSB2", port.Options{})
//	s := atcmd.New(p, atcmd.Options{Logger: log, Dirty: true})
//	defer s.Close()
//	reply, err := s.Do(ctx, atcmd.Command{Text: "+CSQ"})
//	fields, ok := reply.Fields("+CSQ")
//
// What the session promises: an answer holds the lines of its own command and
// nothing else, whatever the modem writes in between and however late another
// answer comes; URCs keep their order; nothing that a modem writes, or leaves
// unwritten, makes it hang, panic or grow.
//
// Words for a modem's kinds of lines: the echo of the command line, information
// lines ("+CSQ: 20,99"), the final result code that ends an answer ("OK"), and
// unsolicited result codes, URCs ("+CREG: 1").
//
// Result codes are expected as words (V1) and with echo on or off. No command
// is sent that was not asked for, except the questions after a time-out.
//
// Subpackages: port opens devices, modem has 27.007's commands as functions,
// uicc carries APDUs, dialect knows the makers' deviations, atsim is a modem.
package atcmd
