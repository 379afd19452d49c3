//go:build linux && !nodemo

package demo

import (
	"encoding/hex"
	"maps"

	"dynamod/atcmd/atsim"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// labState is what `sim ctl state` shows. It holds no activation code.
type labState struct {
	Modem   modemState   `json:"modem"`
	Card    cardState    `json:"card"`
	Server  serverState  `json:"server"`
	SMDS    smdsState    `json:"smds"`
	Network networkState `json:"network"`
}

type modemState struct {
	Plugged bool         `json:"plugged"`
	Active  []string     `json:"active"`
	Figures modemFigures `json:"figures"`
	Struck  struck       `json:"struck"`
}

type cardState struct {
	EID           string             `json:"eid"`
	Selected      string             `json:"selected"` // ICCID whose files it shows
	Active        []string           `json:"active"`
	Profiles      []profileState     `json:"profiles"`
	Notifications []cardNotification `json:"notifications"`
	Figures       cardFigures        `json:"figures"`
	Struck        struck             `json:"struck"`
}

// struck is how often each fault had its effect, by its name.
type struck map[string]int

type profileState struct {
	ICCID   string `json:"iccid"`
	Enabled bool   `json:"enabled"`
	Class   string `json:"class"`
	Name    string `json:"name"`
	SHA256  string `json:"sha256"`
}

type cardNotification struct {
	Sequence int64  `json:"sequence"`
	Event    string `json:"event"`
	ICCID    string `json:"iccid"`
	Address  string `json:"address"`
}

type serverState struct {
	Active        []string             `json:"active"`
	Orders        []orderState         `json:"orders"`
	Notifications []serverNotification `json:"notifications"`
	Figures       serverFigures        `json:"figures"`
}

type orderState struct {
	Number       int    `json:"number"`
	ICCID        string `json:"iccid"`
	EID          string `json:"eid,omitempty"`
	State        string `json:"state"`
	Attempts     int    `json:"attempts"`
	WrongCodes   int    `json:"wrong_codes"`
	Downloads    int    `json:"downloads"`
	CancelReason *int   `json:"cancel_reason,omitempty"`
	Result       string `json:"result,omitempty"`
}

type serverNotification struct {
	Operation string `json:"operation"`
	ICCID     string `json:"iccid"`
	Verified  bool   `json:"verified"`
	Result    string `json:"result,omitempty"`
}

type smdsState struct {
	Active  []string      `json:"active"`
	Events  []eventState  `json:"events"`
	Figures serverFigures `json:"figures"`
}

type eventState struct {
	EID     string `json:"eid"`
	Address string `json:"address"`
	Shown   int    `json:"shown"`
}

type networkState struct {
	Active  []string `json:"active"`
	Refused int      `json:"refused"` // registrations of lines that are not active
	Struck  struck   `json:"struck"`
	// Credits are of lines whose traffic is counted at an account of the lab's own.
	Credits []creditState `json:"credits"`
}

type modemFigures struct {
	Commands      int64 `json:"commands"`
	APDUs         int64 `json:"apdus"` // of clients
	CardResets    int64 `json:"card_resets"`
	Refreshes     int64 `json:"refreshes"`
	Registrations int64 `json:"registrations"`
	Activations   int64 `json:"activations"`
}

type cardFigures struct {
	APDUs        int `json:"apdus"`
	GetResponses int `json:"get_responses"`
	Resets       int `json:"resets"`
	Sessions     int `json:"sessions"`
	Installed    int `json:"installed"`
}

type serverFigures struct {
	Requests   map[smdpsim.Function]int `json:"requests"`
	Handshakes int                      `json:"handshakes"`
	Refusals   map[string]int           `json:"refusals"`
}

func modemFiguresOf(s atsim.Stats) modemFigures {
	return modemFigures{s.Commands, s.APDUs, s.CardResets, s.Refreshes, s.Registrations, s.Activations}
}

func cardFiguresOf(s euiccsim.Stats) cardFigures {
	return cardFigures{s.APDUs, s.GetResponses, s.Resets, s.Sessions, s.Installed}
}

func serverFiguresOf(s smdpsim.Stats) serverFigures {
	return serverFigures{s.Requests, s.TLSHandshakes, s.Refusals}
}

// struck counts the effects of the faults of modem, card or network.
func (w *World) struck(part string) struck {
	counts := map[string]int{}
	switch part {
	case "modem":
		maps.Copy(counts, w.Modem.Stats().Struck)
	case "card":
		maps.Copy(counts, w.Card.Stats().Struck)
	case "network":
		if n := w.Operator.Withheld(); n > 0 {
			counts["no-data"] = n
		}
	}
	return counts
}

func (w *World) state() labState {
	parts := w.parts()
	s := labState{
		Modem:   modemState{w.plugged(), parts["modem"].active(), modemFiguresOf(w.Modem.Stats()), w.struck("modem")},
		Card:    cardState{EID: w.Card.EID(), Selected: w.Card.ICCIDSelected(), Active: parts["card"].active(), Profiles: []profileState{}, Notifications: []cardNotification{}, Figures: cardFiguresOf(w.Card.Stats()), Struck: w.struck("card")},
		Server:  serverState{Active: parts["server"].active(), Orders: []orderState{}, Notifications: []serverNotification{}, Figures: serverFiguresOf(w.Server.Stats())},
		SMDS:    smdsState{parts["smds"].active(), []eventState{}, serverFiguresOf(w.SMDS.Stats())},
		Network: networkState{parts["network"].active(), w.Operator.Refused(), w.struck("network"), w.Operator.credits()},
	}
	for _, p := range w.Card.Installed() {
		s.Card.Profiles = append(s.Card.Profiles, profileState{p.ICCID, p.Enabled, p.Class.String(), p.Name, hex.EncodeToString(p.SHA256[:])})
	}
	for _, n := range w.Card.Pending() {
		s.Card.Notifications = append(s.Card.Notifications, cardNotification{n.Sequence, n.Event.String(), n.ICCID, n.Address})
	}
	for i, o := range w.Server.Orders() {
		st := orderState{Number: i + 1, ICCID: o.ICCID, EID: o.EID, State: string(o.State), Attempts: o.Attempts, WrongCodes: o.WrongCodes, Downloads: o.Downloads}
		if o.Canceled {
			st.CancelReason = &o.CancelReason
		}
		if o.Result != nil {
			st.Result = o.Result.String()
		}
		s.Server.Orders = append(s.Server.Orders, st)
	}
	for _, n := range w.Server.Notifications() {
		x := serverNotification{n.Operation.String(), n.ICCID, n.Verified, ""}
		if n.Result != nil {
			x.Result = n.Result.String()
		}
		s.Server.Notifications = append(s.Server.Notifications, x)
	}
	for _, e := range w.SMDS.Events() {
		s.SMDS.Events = append(s.SMDS.Events, eventState{e.EID, e.Address, e.Shown})
	}
	return s
}
