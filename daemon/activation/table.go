package activation

import (
	"context"
	"time"
)

// State is where a run is. It is journalled before the state's action.
type State string

// The states, in the order of a run that goes well:
//
//	accepted -> authenticated -> agreed -> downloading -> installed -> reporting
//	                               |                                      |
//	                            waiting                                   v
//	   done <- notifying <- committed <- probing <- configuring <- attaching <- enabling
//	                ^                       |            |             |           |
//	                |                       +------------+------+------+-----------+
//	                |                                           v
//	   failed <- (notifying) <------------------------------ undoing
//
// Any state before installed ends in failed, with nothing changed on the card.
// Undoing leads to committed where the new profile's line came late after all, or
// gives a portal where no other gives a link. Probing leads to undoing also with a
// portal alone, see worthIt.
const (
	Accepted      State = "accepted"
	Authenticated State = "authenticated"
	Agreed        State = "agreed"
	Waiting       State = "waiting"
	Downloading   State = "downloading"
	Installed     State = "installed"
	Reporting     State = "reporting"
	Enabling      State = "enabling"
	Attaching     State = "attaching"
	Configuring   State = "configuring"
	Probing       State = "probing"
	Committed     State = "committed"
	Undoing       State = "undoing"
	Notifying     State = "notifying"
	Done          State = "done"
	Failed        State = "failed"
)

// Ended reports whether a run in this state is over.
func (s State) Ended() bool { return s == Done || s == Failed }

// step is one row of the table.
type step struct {
	// do performs the state's action and names the state that follows.
	do func(*run, context.Context) (State, error)
	// resume is where a run goes on that was interrupted in this state. The
	// journal says what was meant; the resumed action asks the card, the modem
	// and the kernel what is.
	resume State
	// onError is where an error leads that do does not settle itself.
	onError State
	// limit bounds the action, 0 for none, unless Config.Limits has another. The
	// states from enabling to probing share the run's own deadline instead. That of
	// agreed is without the wait for an answer. Committed only writes down that it is so.
	limit time.Duration
}

// table holds every transition. An error that is only the daemon's shutdown
// leads nowhere: the run is resumed at the next start.
var table map[State]step

func init() { // not a literal: its functions refer to the table
	table = map[State]step{
		Accepted:      {do: (*run).preflight, resume: Accepted, onError: Failed, limit: 5 * time.Minute},
		Authenticated: {do: (*run).authenticate, resume: Accepted, onError: Failed, limit: 10 * time.Minute},
		Agreed:        {do: (*run).agree, resume: Accepted, onError: Failed, limit: 5 * time.Minute},
		Waiting:       {do: (*run).await, resume: Waiting, onError: Failed},
		Downloading:   {do: (*run).download, resume: Downloading, onError: Failed, limit: 30 * time.Minute},
		Installed:     {do: (*run).installed, resume: Installed, onError: Failed, limit: 5 * time.Minute},
		Reporting:     {do: (*run).report, resume: Installed, onError: Enabling, limit: reportTime},
		Enabling:      {do: (*run).enable, resume: Enabling, onError: Undoing},
		Attaching:     {do: (*run).bringUp, resume: Attaching, onError: Undoing},
		Configuring:   {do: nil, resume: Attaching, onError: Undoing},
		Probing:       {do: nil, resume: Attaching, onError: Undoing},
		Committed:     {do: (*run).commit, resume: Committed, onError: Notifying},
		Undoing:       {do: (*run).undo, resume: Undoing, onError: Notifying},
		Notifying:     {do: (*run).notify, resume: Notifying, onError: Done, limit: time.Minute},
	}
}

// Limits that no configuration changes.
const (
	reportTime  = 30 * time.Second  // for the installation result over the present link
	linkTime    = 2 * time.Minute   // for that link to come back, where it is the only one
	waitTime    = 120 * time.Second // for an answer, while the card session is held
	answerTime  = 24 * time.Hour    // for one without a session, unless Config.Limits says
	maxResumes  = 5                 // restarts in one run before it is given up
	graceTime   = 2 * time.Minute   // beyond the deadline, after a restart: to register again
	spentEvery  = 8                 // journalled parts of the deadline
	lastTries   = 2                 // links of the new profile that end while they are to last
	undoRetries = 5                 // tries to enable the previous profile, each round

	// maxConfirmations is how often a refused confirmation code is asked for
	// again. Servers count too, and void the order when it was too often.
	maxConfirmations = 2
)
