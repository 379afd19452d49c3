package activation

import (
	"encoding/json"
	"errors"
	"time"

	"dynamod/daemon/journal"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// Kind is the kind of the journal's records of runs.
const Kind = "run"

// Record is everything about a run that has to survive a power cut; each
// record holds the whole of it, so the last one is enough. It holds no secret.
type Record struct {
	ID            string              `json:"id"`
	State         State               `json:"state"`
	Key           string              `json:"key,omitempty"`
	Caller        string              `json:"caller,omitempty"`    // whose key it is; "" is who asked over the unix socket
	Mark          string              `json:"mark"`                // of the order, see Vault.Mark
	Forgotten     bool                `json:"forgotten,omitempty"` // its profile was deleted since: its code begins anew
	After         string              `json:"after,omitempty"`     // ID of the last run of the same code
	SMDP          string              `json:"smdp"`
	TransactionID euicc.TransactionID `json:"transaction_id,omitempty"`
	ICCID         string              `json:"iccid,omitempty"`
	Provider      string              `json:"provider,omitempty"`
	Profile       string              `json:"profile,omitempty"`
	Class         string              `json:"class,omitempty"`        // test, provisioning, operational
	PolicyRules   string              `json:"policy_rules,omitempty"` // of the profile: ppr1, ppr2
	HomePLMN      string              `json:"home_plmn,omitempty"`    // profile owner in the metadata
	Previous      string              `json:"previous,omitempty"`     // ICCID of the way back
	PreviousAPN   string              `json:"previous_apn,omitempty"` // that it last had a link with
	// PreviousLink is the whole of that connection, but for the password, which is
	// found again where it came from. Records of an earlier version have none.
	PreviousLink  *learned.APN    `json:"previous_link,omitempty"`
	PreviousGood  bool            `json:"previous_good,omitempty"` // it has carried traffic, and more than a portal's
	AcceptLimited bool            `json:"accept_limited,omitempty"`
	InstallOnly   bool            `json:"install_only,omitempty"` // the profile is left disabled
	BackTo        string          `json:"back_to,omitempty"`      // ICCID of another one that the run went back to
	Fallback      *Fallback       `json:"fallback,omitempty"`     // why it began by itself; nil where somebody asked for it
	Waiting       string          `json:"waiting,omitempty"`
	APN           string          `json:"apn,omitempty"`
	APNReason     string          `json:"apn_reason,omitempty"`
	Cancelled     bool            `json:"cancelled,omitempty"` // too late to keep the profile off the card
	Resumes       int             `json:"resumes,omitempty"`
	SpentMS       int64           `json:"spent_ms,omitempty"`  // of the deadline since the switch
	WaitedMS      int64           `json:"waited_ms,omitempty"` // for an answer, without a session
	Retries       int             `json:"retries,omitempty"`   // sessions begun after one that failed
	Regained      int             `json:"regained,omitempty"`  // times that the only link was waited for, and came back
	Outcome       status.Outcome  `json:"outcome,omitempty"`
	Error         *status.Problem `json:"error,omitempty"`
	Started       time.Time       `json:"started"`
	Ended         *time.Time      `json:"ended,omitempty"`
	Figures       *status.Figures `json:"figures,omitempty"`

	written time.Time // when an earlier process wrote it
}

// Succeeded reports whether the run has come to what was asked for.
func (r Record) Succeeded() bool {
	return r.Outcome == status.Committed || r.Outcome == status.Installed
}

// Runs returns the last record of each run, oldest run first.
func Runs(records []journal.Record) []Record {
	var runs []Record
	index := map[string]int{}
	for _, jr := range records {
		if jr.Kind != Kind {
			continue
		}
		var r Record
		if json.Unmarshal(jr.Data, &r) != nil || r.ID == "" {
			continue
		}
		r.written = jr.Time
		i, ok := index[r.ID]
		if !ok {
			i = len(runs)
			index[r.ID] = i
			runs = append(runs, r)
		}
		runs[i] = r
	}
	return runs
}

// View is the run as the faces show it.
func (r Record) View() *status.Run {
	why := ""
	if r.Fallback != nil {
		why = r.Fallback.Text
	}
	return &status.Run{
		Why: why,
		ID:  r.ID, State: string(r.State), Waiting: r.Waiting, Outcome: r.Outcome, SMDP: r.SMDP,
		ICCID: r.ICCID, Provider: r.Provider, Profile: r.Profile, Class: r.Class, PolicyRules: r.PolicyRules, Previous: r.Previous, BackTo: r.BackTo, InstallOnly: r.InstallOnly,
		APN: r.APN, APNReason: r.APNReason, Error: r.Error, Resumes: r.Resumes,
		Started: r.Started, Ended: r.Ended, Figures: r.Figures,
	}
}

// Problem describes an error for people and programs. stage may be empty.
func Problem(stage State, err error) *status.Problem {
	p := &status.Problem{Code: "failed", Text: err.Error(), Stage: string(stage), Retry: string(euicc.RetryNever)}
	_, outermost := err.(*Fault) // it says more than the cause that it holds
	if e, ok := errors.AsType[*euicc.Error](err); ok && !outermost {
		p.Code, p.Advice, p.Retry, p.Cause = e.Code, e.Advice, string(e.Retry), cause(e)
	} else if f, ok := errors.AsType[*Fault](err); ok {
		p.Code, p.Advice = f.Code, f.Advice
		if f.Retry != "" {
			p.Retry = string(f.Retry)
		}
	} else if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		p.Advice = h.Hint()
	}
	return p
}

// cause is the part of an error that is in the numbers of card, server and modem.
func cause(e *euicc.Error) *status.Cause {
	c := &status.Cause{Function: string(e.Stage), Subject: e.Subject, Reason: e.Reason, CME: e.CME, Unknown: e.Unknown}
	if e.SW != 0 {
		c.SW = e.SW.String()
	}
	if e.Install {
		c.BPPCommand, c.BPPReason = e.Command.String(), int(e.BPPReason)
	}
	return c
}
