package wording

import (
	"cmp"
	"fmt"
	"strings"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
)

// Describe is State, or End for a run that is over.
func Describe(run *status.Run) string {
	if run.Ended != nil {
		return End(run, nil)
	}
	return State(run)
}

// State says what a run is doing.
func State(run *status.Run) string {
	server := cmp.Or(run.SMDP, "the SM-DP+")
	switch activation.State(run.State) {
	case activation.Accepted:
		return "checking modem, card and the way to " + server
	case activation.Authenticated:
		return "authenticating card and " + server + " to each other"
	case activation.Agreed:
		return "checking the profile" + Parens(strings.Join(Fields(run.Provider, run.Profile), ", "))
	case activation.Waiting:
		return "waiting for " + Question(run.Waiting)
	case activation.Downloading:
		if run.Waiting == activation.WaitCard {
			return "the card does not tell what became of the download, asking on"
		}
		return "downloading profile " + run.ICCID
	case activation.Installed:
		return "installed profile " + run.ICCID
	case activation.Reporting:
		return "reporting the installation to the operator"
	case activation.Enabling:
		return "enabling profile " + run.ICCID
	case activation.Attaching:
		return "registering with the network"
	case activation.Configuring:
		return "configuring the link" + Parens(Prefix("APN ", run.APN))
	case activation.Probing:
		return "checking that traffic crosses the link"
	case activation.Committed:
		return "traffic crosses the link"
	case activation.Undoing:
		if run.Waiting == activation.WaitLink {
			return "no link with any profile yet, trying on"
		}
		if run.Previous == "" {
			return "no link, taking the new profile out of use"
		}
		return "no link, going back to profile " + run.Previous
	case activation.Notifying:
		return "delivering notifications"
	case activation.Done, activation.Failed:
		return "ended"
	}
	return run.State
}

// Question names what a run waits for.
func Question(waiting string) string {
	switch waiting {
	case activation.WaitConsent:
		return "consent"
	case activation.WaitNoWayBack:
		return "consent to a profile that can never be left again"
	case activation.WaitConfirmationCode:
		return "the confirmation code"
	}
	return cmp.Or(waiting, "an answer")
}

// Consent is what a person is asked before the profile is installed, with what to
// warn of, if there is anything.
func Consent(run *status.Run) (warning, question string) {
	if run.InstallOnly {
		return "", "Install it, and leave it disabled?"
	}
	if run.Waiting != activation.WaitNoWayBack {
		return "", "Install and enable it?"
	}
	return "Once enabled, this profile can NEVER be disabled again (PPR1): if it gives no link, the router cannot go back" +
		Prefix(" to profile ", run.Previous) + ".", "Install and enable it for good?"
}

// Binds reports whether a run is about a profile that can never be left again.
func Binds(run *status.Run) bool { return strings.Contains(run.PolicyRules, "ppr1") }

// APN names an access point; the network assigns one where there is no name.
func APN(name string) string { return cmp.Or(name, "(assigned by the network)") }

// Link is the link in one line, without what changes all the time.
func Link(s status.Snapshot) string {
	parts := []string{"link " + string(s.State), OnlyIf(s.State != status.Up, s.Reason)}
	if l := s.Link; l != nil {
		parts = append(parts, strings.Join(append([]string{l.Interface}, l.Addresses...), " "))
	}
	return strings.Join(Fields(parts...), ", ")
}

// LinkOf is the link of the profile iccid, nil while it is down or another one's.
func LinkOf(s *status.Snapshot, iccid string) *status.Link {
	if s.State == status.Down || s.SIM != nil && s.SIM.ICCID != "" && s.SIM.ICCID != iccid {
		return nil
	}
	return s.Link
}

// End says in one line what came of a run; link is the run's, if it is up.
func End(run *status.Run, link *status.Link) string {
	parts := []string{Prefix("ICCID ", run.ICCID)}
	switch run.Outcome {
	case status.Committed:
		parts[0] = "committed: " + parts[0]
		parts = append(parts, "APN "+APN(run.APN)+Parens(run.APNReason))
		if link != nil { // it is up now, not only when the run ended
			parts[0] = Prefix("up: ICCID ", run.ICCID)
			parts = append(parts, Prefix("interface ", link.Interface), Prefix("address ", strings.Join(link.Addresses, " ")))
		}
		if f := run.Figures; f != nil {
			parts = append(parts, fmt.Sprintf("%.1f s from code to traffic", float64(f.ElapsedMS)/1000))
		}
		return strings.Join(Fields(parts...), ", ")
	case status.Installed:
		return "installed, and disabled: ICCID " + run.ICCID + "; `dynamod profiles enable " + run.ICCID + "` enables it"
	case "":
		return "not at its end: " + run.State
	}
	text := "failed"
	if run.Outcome == status.RolledBack {
		text = "rolled back to profile " + cmp.Or(run.BackTo, run.Previous, "?")
	}
	if run.Error != nil {
		text += ": " + run.Error.Text
	}
	return text
}
