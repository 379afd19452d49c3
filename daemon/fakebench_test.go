package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// The fake daemon's modem: a Quectel at its bench. In the story "empty" none is
// there, in "busy" an activation has it.

func (f *fakeDaemon) Modem(context.Context) (hook.Modem, error) {
	if f.story == "empty" {
		return hook.Modem{Modem: status.Modem{Port: "auto", Error: "no modem port was found"}, Advice: "plug the modem in"}, nil
	}
	tries, slot, rsrp := 3, 1, -97.0
	return hook.Modem{
		Modem: status.Modem{Port: "/dev/ttyUSB2", Present: true, Manufacturer: "Quectel", Model: "EG25", Revision: "EG25GGBR07A08M2G", IMEI: "86481234...21", Dialect: "quectel"},
		USB:   "2c7c:0125", Place: "usb:1-1.2:2", Matched: `manufacturer "quectel*"`, Function: "ecm", Power: "full", Carrier: "ROW_Generic_3GPP",
		Rows: []hook.ModemRow{
			{What: "card", Source: "field", Ref: "x"}, {What: "SIM reset +CFUN=1,1", Source: "documented", Ref: "27.007 8.2"},
			{What: "URC +QIURC", Source: "assumed"}, {What: "init +QURCCFG", Source: "assumed"},
		},
		CardWay:      &hook.ModemCardWay{Order: []string{"cgla", "csim"}, Way: "cgla", Remembered: true, BlockSize: 255, Learned: true},
		SIM:          &hook.ModemSIM{SIM: status.SIM{State: "ready", ICCID: newICCID, IMSI: "00101********17", HomePLMN: "00101", SPN: "Te\x1b[2Jst"}, Text: "READY", PINTries: &tries, Slot: &slot},
		Registration: &status.Registration{Status: "denied", AcT: "LTE", Cause: 11}, CauseText: "PLMN not allowed",
		Cells:    []status.Cell{{RAT: "lte", PLMN: "00101", AreaCode: "1A2B", CellID: "1A2B3C4", Band: 3}},
		Signal:   &status.Signal{RSRP: &rsrp},
		Contexts: []hook.ModemContext{{CID: 1, Type: "IPV4V6", APN: "lab.test", Active: true, Addresses: []string{"10.0.0.2"}, Attach: true}, {CID: 2, Type: "IP"}},
		Counters: &hook.ModemCounters{Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Opened: 2, Commands: 812, GivenUp: 1, Resyncs: 1, URCs: 40},
		Recovery: &status.Recovery{Rungs: []status.RungUse{{Rung: "radio", Count: 2, Last: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Reason: "no SIM"}}},
		Errors:   []string{"operator: AT+COPS: modem error 30 (no network service)"},
	}, nil
}

func (f *fakeDaemon) ModemPorts(context.Context) ([]hook.ModemPort, error) {
	if f.story == "empty" {
		return nil, nil
	}
	two, three, zero := 2, 3, 0
	return []hook.ModemPort{
		{Path: "/dev/ttyUSB2", Device: "1-1.2", Interface: &two, USB: "2c7c:0125", Product: "Quectel EG25", Driver: "option", Role: "at", Dialect: "quectel", Source: "field", Ours: true, Holder: &hook.PortHolder{PID: 321, Program: "dynamod"}, Why: "it answered"},
		{Path: "/dev/ttyUSB3", Device: "1-1.2", Interface: &three, USB: "2c7c:0125", Product: "Quectel EG25", Driver: "option", Role: "ppp", Dialect: "quectel", Source: "assumed", Why: "another port of our modem, left alone"},
		{Path: "/dev/ttyACM0", Device: "1-1.3", Interface: &zero, USB: "1546:1341", Driver: "cdc_acm", Holder: &hook.PortHolder{Program: "somebody\x1b"}, Why: "not our modem, never opened"},
	}, nil
}

func (f *fakeDaemon) AT(_ context.Context, r hook.ATRequest) ([]hook.ATAnswer, error) {
	if f.story == "busy" {
		return nil, &activation.Fault{Code: "busy", Text: "the modem is in use: activation RUN1 is in state downloading", Advice: "wait for its end"}
	}
	if err := f.change("at", strings.Join(r.Commands, " | "), fmt.Sprintf("%gs", r.TimeoutSeconds), forced(r.Force)); err != nil {
		return nil, err
	}
	var out []hook.ATAnswer
	for _, c := range r.Commands {
		switch {
		case strings.Contains(c, "+CMEERR"):
			out = append(out, hook.ATAnswer{Lines: []string{"+X: 1"}, Final: "+CME ERROR: 10", Problem: &status.Problem{Code: "modem-refused", Text: "AT+CMEERR: modem error 10 (SIM not inserted)"}})
		case strings.Contains(c, "+GONE"):
			return append(out, hook.ATAnswer{Lines: []string{}, Problem: &status.Problem{Code: "modem-gone", Text: "AT+GONE: modem port is gone", Advice: "see `dynamod modem status`"}}), nil
		default:
			out = append(out, hook.ATAnswer{Lines: []string{"+CSQ: 20,99", "te\x1b[2Jxt"}, Final: "OK"})
		}
	}
	return out, nil
}

func (f *fakeDaemon) APDU(_ context.Context, r hook.APDURequest) (hook.APDUAnswers, error) {
	if f.story == "busy" {
		return hook.APDUAnswers{}, &activation.Fault{Code: "busy", Text: "the modem is in use: activation RUN1 is in state downloading", Advice: "wait for its end"}
	}
	out := hook.APDUAnswers{AID: "A0", Way: "cgla"}
	for _, c := range r.Commands {
		a := hook.APDUAnswer{Data: "BF2E0480020102", SW: "9000", Text: "done", OK: true}
		if strings.HasPrefix(c, "00A4") {
			a = hook.APDUAnswer{SW: "6A82", Text: "the card has no such application", Advice: "it is no eUICC"}
		}
		out.Answers = append(out.Answers, a)
	}
	return out, f.change("apdu", r.AID, strings.Join(r.Commands, " | "), forced(r.Force))
}

func (f *fakeDaemon) ResetModem(_ context.Context, kind string) (hook.ModemReset, error) {
	return hook.ModemReset{Kind: kind, Done: "+CFUN=0, +CFUN=1", Port: "/dev/ttyUSB2", SIM: "ready", ICCID: newICCID, ElapsedMS: 4210}, f.change("modem-reset", kind)
}

func (f *fakeDaemon) Trace(context.Context) <-chan hook.TraceLine {
	c := make(chan hook.TraceLine, 4)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	c <- hook.TraceLine{Seq: 7, Time: at, Kind: "note", Line: "modem on /dev/ttyUSB2"}
	c <- hook.TraceLine{Seq: 8, Time: at, Kind: "sent", Line: "AT+CPIN<6 characters>"}
	c <- hook.TraceLine{Seq: 12, Time: at, Kind: "received", Line: "O\x1bK"}
	return c
}
