package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/diag"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

func fakeLink() *status.Link {
	return &status.Link{Interface: "wwan0", Addresses: []string{"10.64.0.2/32"}, APN: "lab.test", Since: time.Now()}
}

func fakeProfiles() []status.Profile {
	return []status.Profile{
		{ICCID: oldICCID, State: "enabled", Class: "operational", Provider: "Old Net", Name: "data"},
		{ICCID: newICCID, State: "disabled", Class: "test", Provider: "Evil\x1b]0;x\aNet", Nickname: "spare"},
	}
}

func (f *fakeDaemon) Card(context.Context) (hook.Card, error) {
	if f.story == "empty" {
		return hook.Card{EID: fakeEID, SVN: "2.2.2", FreeNVM: -1, FreeRAM: -1}, nil
	}
	return hook.Card{
		EID: fakeEID, SVN: "2.5.0", ProfileVersions: []string{"2.3.1", "3.3"}, Firmware: "4.2.0", Category: "mediumEuicc", FreeNVM: 300 << 10, FreeRAM: 8 << 10,
		RSP: []string{"additionalProfile"}, UICC: []string{"usimSupport", "javacard"}, PPVersion: "1.0.0", SASNumber: "EV\x1b[2JIL",
		DefaultSMDP: "smdp.example.com", RootSMDS: "lpa.ds.gsma.com", ForbiddenRules: "ppr1",
		Issuers: []hook.Issuer{{KeyID: "81370F51", Name: "CI", Verifies: true, Signs: true, Trusted: true}, {KeyID: "ABCD", Verifies: true}},
		Rules:   []hook.Rule{{Rules: "ppr1+ppr2", Consent: true, Operators: []hook.Operator{{MCC: "EEE", MNC: "EEE"}, {MCC: "262", MNC: "02", GID1: "AB"}}}},
		Extra:   []hook.Object{{Tag: "92", Value: "0102"}},
	}, nil
}

func (f *fakeDaemon) Profile(_ context.Context, iccid string) (hook.Profile, error) {
	for _, p := range fakeProfiles() {
		if p.ICCID == iccid {
			p.PolicyRules = "ppr1+ppr2"
			return hook.Profile{
				Profile: p, AID: "A0000005591010FFFFFFFF8900001200", Owner: &hook.Operator{MCC: "001", MNC: "01"},
				Notifications: []hook.Notified{{Operations: "enable+delete", Address: "smdp.example.com"}}, Icon: &hook.Icon{Type: "image/png", Data: []byte{1, 2, 3}},
			}, nil
		}
	}
	return hook.Profile{}, &activation.Fault{Code: "no-such-profile", Text: "no such profile", Advice: "`dynamod profiles` lists them"}
}

func (f *fakeDaemon) Profiles(context.Context) ([]status.Profile, error) {
	if f.story == "empty" {
		return nil, nil
	}
	return fakeProfiles(), nil
}

func (f *fakeDaemon) USBMode(context.Context) (hook.USBMode, error) {
	return hook.USBMode{
		NoUndo: onlyIf(f.story == "no-imei", "the modem tells no IMEI"),
		Mode:   "qmi", Value: "0", Data: &status.NetFunction{Kind: "qmi", Interface: "wwan0", Driver: "qmi_wwan"},
		Modes: []hook.USBModeChoice{{Mode: "ecm", Commands: []string{`AT+QCFG="usbnet",1`, "AT+CFUN=1,1"}, Dials: true}, {Mode: "qmi", Commands: []string{`AT+QCFG="usbnet",0`, "AT+CFUN=1,1"}}},
	}, nil
}

func (f *fakeDaemon) Notifications(context.Context) ([]hook.Notification, error) {
	if f.story == "empty" {
		return nil, nil
	}
	return []hook.Notification{{Seq: 7, Operation: "install", ICCID: newICCID, Address: "smdp.example.com", OnCard: true, Stored: true, Tries: 2, Error: "no route"}}, nil
}

func (f *fakeDaemon) Diagnose(context.Context) (diag.Diagnosis, error) {
	if f.story == "empty" {
		return diag.Diagnosis{Nodes: []diag.Node{
			{Name: "port", State: "ok", Text: "/dev/ttyUSB2 answers"},
			{Name: "card", State: "broken", Text: "no ISD-R\x1b[2J", Advice: "insert an eUICC"},
			{Name: "profile", State: "skipped"},
		}}, nil
	}
	return diag.Diagnosis{OK: true, Nodes: []diag.Node{{Name: "port", State: "ok", Text: "/dev/ttyUSB2 answers"}}}, nil
}

func (f *fakeDaemon) Balance(context.Context) (status.Balance, error) {
	if f.story == "empty" {
		return status.Balance{}, &activation.Fault{Code: "balance-too-many", Text: "the balance is not known", Advice: "wait", Err: errors.New("the operator's API was asked too often\x1b[2J"), Retry: euicc.RetryLater}
	}
	left := 512.5
	return status.Balance{
		ICCID: newICCID, Type: "MODIRECTPAYG", DataMB: &left, TimeRemaining: "P23DT23H", Text: "512.5 MB left, for another 23 d 23 h", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Stale: true, Error: "the operator's API gave no answer\x1b[2J", NextIn: 60,
	}, nil
}

func (f *fakeDaemon) ExplainAPN(context.Context) (hook.APN, error) {
	if f.story == "empty" {
		return hook.APN{
			Candidates: []hook.APNCandidate{}, Reasons: []string{"home network 99999"},
			Problem: &status.Problem{Code: "no-apn", Text: "no operator settings for this SIM: home network 99999", Advice: "APN needed: set [apn] apn"},
		}, nil
	}
	later := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return hook.APN{
		SIM:     hook.APNSIM{ICCID: newICCID, IMSI: "00101********17", SPN: "Test\x1b[2JNet", GID1: "2AC9"},
		Network: hook.APNNetwork{Registration: "roaming", PLMN: "26201", Roaming: "roaming abroad", Allowed: true},
		Reasons: []string{"home network 00101", `chosen: op.json: "Op" by MCC+MNC 00101`},
		Candidates: []hook.APNCandidate{
			{APN: "lab.test", IPType: "ipv4v6", Auth: "none", Source: "local", Reason: `op.json: "Op" by MCC+MNC 00101`, Active: true},
			{IPType: "ipv4v6", Auth: "none", Source: "modem", Reason: "empty APN as the last try", NotBefore: &later},
			{APN: "else.test", IPType: "ipv4", Auth: "none", Source: "local", Reason: "op.json", NotTried: "no room"},
		},
		Attach: &hook.APNAttach{Context: 1, IPType: "ipv4", Used: "default.test", Reason: "the modem's own; dynamod leaves it alone"},
	}, nil
}

func (f *fakeDaemon) Log() ([]hook.LogRecord, error) {
	if f.story == "empty" {
		return nil, errors.New("the journal cannot be read")
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var out []hook.LogRecord
	add := func(kind string, data any) {
		b, err := json.Marshal(data)
		if err != nil {
			panic(err)
		}
		out = append(out, hook.LogRecord{Seq: uint64(len(out) + 2), Time: start.Add(time.Duration(len(out)) * 1500 * time.Millisecond), Kind: kind, Data: b})
	}
	rec := activation.Record{ID: "RUN1", State: activation.Accepted, SMDP: "smdp.example.com", Started: start}
	add(activation.Kind, rec)
	rec.State, rec.ICCID, rec.Previous = activation.Downloading, newICCID, oldICCID
	add(activation.Kind, rec)
	add("started", "v1")
	rec.Resumes = 1
	add(activation.Kind, rec)
	ended := start.Add(9 * time.Second)
	rec.State, rec.Outcome, rec.Ended = activation.Failed, status.RolledBack, &ended
	rec.Error = &status.Problem{Code: "no-registration", Text: "the network denies registration", Advice: "ask the operator"}
	rec.Figures = &status.Figures{APDUs: 300, APDUBytes: 60000, HTTPRequests: 4, TLSHandshakes: 1, ElapsedMS: 9000}
	add(activation.Kind, rec)
	return out, nil
}

func (f *fakeDaemon) Operators(_ context.Context, msisdn string) (hook.Operators, error) {
	switch {
	case f.story == "empty" && msisdn != "":
		return hook.Operators{Operators: []hook.Seller{}, Source: hook.FromDirectory, Network: "26201", How: "prefix"}, nil
	case f.story == "empty":
		return hook.Operators{Operators: []hook.Seller{}, Source: hook.FromRecords, Offline: true, Error: "there is no way\x1b[2J"}, nil
	}
	return hook.Operators{
		Operators: []hook.Seller{{ID: "contoso", Brand: "Contoso\x1b[2J", Portal: "https://contoso.example/mp", MayAnswer: true}, {ID: "directory:fabrikam", Brand: "Fabrikam", Portal: "https://fabrikam.example/"}},
		Country:   "DE", Source: hook.FromCache, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Error: "the directory service cannot be reached\x1b[2J", Offline: true,
	}, nil
}

func (f *fakeDaemon) BeginVisit(_ context.Context, r hook.VisitRequest) (hook.PortalVisit, error) {
	if r.Operator != "contoso" {
		return hook.PortalVisit{}, &activation.Fault{Code: "no-such-operator", Text: "no operator with a portal has this ID", Advice: "`dynamod operators list` has them", Retry: euicc.RetryNever}
	}
	f.model.Update(func(s *status.Snapshot) {
		s.Visit = fakeVisit()
		switch f.story {
		case "restart": // it is carried out by the next one
			s.Visit.State = status.VisitBusy
		case "empty":
			s.Visit.State, s.Visit.Error = status.VisitFailed, &status.Problem{Code: "es9p-8.2.6-3.8", Text: "the server refuses the matching ID", Advice: "ask for a new code"}
		}
	})
	return hook.PortalVisit{Transaction: "dynamod-1", Brand: "Contoso", URL: "https://contoso.example/mp?transactionId=dynamod-1", CallbackHosts: []string{"contoso.example"}}, nil
}

func fakeVisit() *status.Visit {
	return &status.Visit{Transaction: "dynamod-1", Operator: "contoso", Brand: "Contoso", Plan: "10 GB\x1b[2J", State: status.VisitDone}
}

func (f *fakeDaemon) TakeCallback(context.Context, hook.CallbackRequest) (hook.CallbackAnswer, error) {
	return hook.CallbackAnswer{}, dynamo.ErrForeign
}

func (f *fakeDaemon) CancelVisit(id string) (bool, error) { return id == "dynamod-1", nil }
