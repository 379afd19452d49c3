package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/diag"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// fakeDaemon answers from memory.
type fakeDaemon struct {
	mu      sync.Mutex
	reqs    []activation.Request
	deleted []string
	err     error
}

func (d *fakeDaemon) Submit(r activation.Request) (activation.Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := r.Validate(); err != nil {
		return activation.Record{}, err
	}
	d.reqs = append(d.reqs, r)
	return activation.Record{ID: "RUN1", State: activation.Accepted, SMDP: r.Code.Address}, d.err
}
func (d *fakeDaemon) Runs() []activation.Record {
	return []activation.Record{{ID: "RUN1", State: activation.Done}}
}
func (d *fakeDaemon) Get(id string) (activation.Record, error) {
	if id != "RUN1" {
		return activation.Record{}, activation.ErrNoRun
	}
	return activation.Record{ID: id, State: activation.Done}, nil
}
func (d *fakeDaemon) Answer(string, activation.Answer) error                     { return d.err }
func (d *fakeDaemon) Cancel(string) error                                        { return d.err }
func (d *fakeDaemon) Profiles(context.Context) ([]status.Profile, error)         { return nil, d.err }
func (d *fakeDaemon) EnableProfile(context.Context, string, EnableOptions) error { return d.err }
func (d *fakeDaemon) DisableProfile(context.Context, string, bool) error         { return d.err }
func (d *fakeDaemon) NicknameProfile(context.Context, string, string) error      { return d.err }
func (d *fakeDaemon) Notifications(context.Context) ([]Notification, error)      { return nil, d.err }
func (d *fakeDaemon) DeliverNotifications(context.Context) error                 { return d.err }
func (d *fakeDaemon) Bundle(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, "bundle")
	return errors.Join(err, d.err)
}
func (d *fakeDaemon) Diagnose(context.Context) (diag.Diagnosis, error) {
	return diag.Diagnosis{}, d.err
}
func (d *fakeDaemon) ExplainAPN(context.Context) (APN, error) {
	return APN{Settings: cosa.Rationale{Outcome: cosa.Unmatched, Records: []cosa.Verdict{}}, Reasons: []string{}, Candidates: []APNCandidate{}}, d.err
}
func (d *fakeDaemon) Balance(context.Context) (status.Balance, error) {
	return status.Balance{ICCID: "8988247000101997790", Type: "NONE", UsedUp: true, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, d.err
}
func (d *fakeDaemon) Operators(_ context.Context, msisdn string) (Operators, error) {
	return Operators{Operators: []Seller{{ID: "contoso", Brand: "Contoso", Portal: "https://contoso.example/mp"}}, Source: FromRecords, Network: msisdn}, d.err
}
func (d *fakeDaemon) BeginVisit(_ context.Context, r VisitRequest) (PortalVisit, error) {
	return PortalVisit{Transaction: "T", Brand: r.Operator, URL: "https://portal.example/mp", CallbackHosts: []string{}}, d.err
}
func (d *fakeDaemon) TakeCallback(_ context.Context, r CallbackRequest) (CallbackAnswer, error) {
	return CallbackAnswer{Kind: dynamo.KindBalance, Text: r.Envelope}, d.err
}
func (d *fakeDaemon) CancelVisit(id string) (bool, error) { return id == "T", d.err }
func (d *fakeDaemon) USBMode(context.Context) (USBMode, error) {
	return USBMode{Mode: "qmi", Modes: []USBModeChoice{}}, d.err
}
func (d *fakeDaemon) SetUSBMode(_ context.Context, r USBModeRequest) (USBMode, error) {
	d.deleted = append(d.deleted, fmt.Sprint("usb-mode ", r.Mode, r.Undo))
	return USBMode{Mode: r.Mode, Modes: []USBModeChoice{}}, d.err
}
func (d *fakeDaemon) Log() ([]LogRecord, error) { return nil, d.err }
func (d *fakeDaemon) Card(context.Context) (Card, error) {
	return Card{EID: testEID, ProfileVersions: []string{}, RSP: []string{}, UICC: []string{}, Issuers: []Issuer{}, Rules: []Rule{}}, d.err
}
func (d *fakeDaemon) SetDefaultSMDP(context.Context, string) error     { return d.err }
func (d *fakeDaemon) Profile(context.Context, string) (Profile, error) { return Profile{}, d.err }
func (d *fakeDaemon) Modem(context.Context) (Modem, error) {
	return Modem{Matched: "x", Rows: []ModemRow{}, Contexts: []ModemContext{}}, d.err
}
func (d *fakeDaemon) ModemPorts(context.Context) ([]ModemPort, error) { return nil, d.err }
func (d *fakeDaemon) AT(context.Context, ATRequest) ([]ATAnswer, error) {
	return []ATAnswer{{Lines: []string{}, Final: "OK"}}, d.err
}
func (d *fakeDaemon) APDU(context.Context, APDURequest) (APDUAnswers, error) {
	return APDUAnswers{Way: "cgla", Answers: []APDUAnswer{}}, d.err
}
func (d *fakeDaemon) ResetModem(context.Context, string) (ModemReset, error) {
	return ModemReset{Kind: ResetSIM}, d.err
}
func (d *fakeDaemon) Trace(ctx context.Context) <-chan TraceLine {
	c := make(chan TraceLine, 2)
	c <- TraceLine{Seq: 1, Kind: "sent", Line: "AT"}
	c <- TraceLine{Seq: 5, Kind: "received", Line: "OK"}
	return c
}
func (d *fakeDaemon) ResetCard(_ context.Context, eid euicc.EID, what []string, force bool) error {
	d.deleted = append(d.deleted, fmt.Sprint(eid, what, force))
	return d.err
}
func (d *fakeDaemon) DeleteProfile(_ context.Context, iccid string, _ bool) error {
	d.deleted = append(d.deleted, iccid)
	return d.err
}
