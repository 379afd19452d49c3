package hook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
)

// Bench is the modem as an engineer sees it at the bench.
type Bench interface {
	Modem(ctx context.Context) (Modem, error)
	ModemPorts(ctx context.Context) ([]ModemPort, error)
	AT(ctx context.Context, r ATRequest) ([]ATAnswer, error)
	APDU(ctx context.Context, r APDURequest) (APDUAnswers, error)
	ResetModem(ctx context.Context, kind string) (ModemReset, error)
	// Trace sends the lines between the daemon and the modem until ctx ends. A
	// reader that is too slow loses the oldest and sees a gap in their numbers.
	Trace(ctx context.Context) <-chan TraceLine
}

// Modem is everything about the modem.
type Modem struct {
	status.Modem
	Advice       string               `json:"advice,omitempty"`   // while it is not there
	Busy         string               `json:"busy,omitempty"`     // what uses it, so that it was not asked
	USB          string               `json:"usb,omitempty"`      // maker and model, "2c7c:0125"
	Place        string               `json:"place,omitempty"`    // "usb:1-1.2:2"
	Matched      string               `json:"matched,omitempty"`  // by which pattern the dialect fits
	Rows         []ModemRow           `json:"rows"`               // of the dialect, those in use
	Function     string               `json:"function,omitempty"` // data function: ecm, qmi, ...
	Power        string               `json:"power,omitempty"`    // full, minimum, radio-off
	Carrier      string               `json:"carrier_configuration,omitempty"`
	CardWay      *ModemCardWay        `json:"card_way,omitempty"`
	SIM          *ModemSIM            `json:"sim,omitempty"`
	Registration *status.Registration `json:"registration,omitempty"`
	CauseText    string               `json:"reject_text,omitempty"`
	Cells        []status.Cell        `json:"cells,omitempty"`
	Signal       *status.Signal       `json:"signal,omitempty"`
	Contexts     []ModemContext       `json:"contexts"`
	Recovery     *status.Recovery     `json:"recovery,omitempty"`
	Counters     *ModemCounters       `json:"counters,omitempty"`
	Errors       []string             `json:"errors,omitempty"` // what the modem would not tell, a line each
}

// ModemRow is a row of the dialect and where it is known from.
type ModemRow struct {
	What   string `json:"what"`
	Source string `json:"source"` // documented, field, assumed, configured
	Ref    string `json:"ref,omitempty"`
}

// ModemCardWay is how APDUs reach the card.
type ModemCardWay struct {
	Order      []string `json:"order"`              // ways that are tried
	Way        string   `json:"way,omitempty"`      // the one that worked: cgla, csim
	Remembered bool     `json:"remembered"`         // for the next start
	BlockSize  int      `json:"block_size"`         // bytes in one STORE DATA
	Learned    bool     `json:"block_size_learned"` // with this card, else it is the first to be tried
	Verdict    string   `json:"verdict,omitempty"`  // blocked, no-host
	Error      string   `json:"error,omitempty"`    // why the card was not reached, or is no eUICC
}

// ModemSIM is the card in the active slot as the modem has it.
type ModemSIM struct {
	status.SIM
	Text     string `json:"text,omitempty"` // as the modem put its state
	PINTries *int   `json:"pin_tries,omitempty"`
	Slot     *int   `json:"slot,omitempty"` // counted as the vendor counts
}

// ModemContext is a PDP context.
type ModemContext struct {
	CID       int      `json:"cid"`
	Type      string   `json:"type"`
	APN       string   `json:"apn"`
	Active    bool     `json:"active"`
	Addresses []string `json:"addresses,omitempty"`
	Attach    bool     `json:"attach,omitempty"` // the one of the attach
}

// ModemCounters count since the port was opened.
type ModemCounters struct {
	Since     time.Time `json:"since"`
	Commands  uint64    `json:"commands"`
	GivenUp   uint64    `json:"given_up"` // timed out, or cancelled
	Resyncs   uint64    `json:"resyncs"`
	Late      uint64    `json:"late_lines"` // of commands that were given up
	URCs      uint64    `json:"urcs"`
	Dropped   uint64    `json:"urcs_dropped"`
	TooLong   uint64    `json:"lines_too_long"`
	APDUs     uint64    `json:"apdus"`
	APDUBytes uint64    `json:"apdu_bytes"`
	Retries   uint64    `json:"apdu_retries"` // because the card was busy
	Channels  uint64    `json:"channels_opened"`
	Swept     uint64    `json:"channels_swept"`
	Opened    int       `json:"port_openings"` // since the daemon began
}

// ModemPort is what may be an AT port.
type ModemPort struct {
	Path      string      `json:"path"`
	Device    string      `json:"device,omitempty"`    // on USB: "1-1.2"
	Interface *int        `json:"interface,omitempty"` // bInterfaceNumber
	USB       string      `json:"usb,omitempty"`
	Product   string      `json:"product,omitempty"`
	Driver    string      `json:"driver,omitempty"`
	Role      string      `json:"role,omitempty"`    // at, ppp, other; empty where no table tells
	Dialect   string      `json:"dialect,omitempty"` // whose table
	Source    string      `json:"source,omitempty"`  // of that row
	Holder    *PortHolder `json:"holder,omitempty"`
	Ours      bool        `json:"ours"`
	Why       string      `json:"why"` // why it is ours, or is not opened
}

// PortHolder is a process that has a port open.
type PortHolder struct {
	PID     int    `json:"pid"` // 0 where it cannot be seen
	Program string `json:"program"`
}

// ATRequest is the body of POST /v1/modem/at.
type ATRequest struct {
	Commands       []string `json:"commands"`
	TimeoutSeconds float64  `json:"timeout_seconds,omitempty"` // of each; 10 without
	Force          bool     `json:"force,omitempty"`
}

// ATAnswer is what the modem answered to one command. The command is not in it:
// it may hold a secret.
type ATAnswer struct {
	Lines     []string        `json:"lines"`
	Final     string          `json:"final,omitempty"` // OK, +CME ERROR: 10; empty when none came
	Problem   *status.Problem `json:"problem,omitempty"`
	ElapsedMS float64         `json:"elapsed_ms"`
}

// APDURequest is the body of POST /v1/modem/apdu.
type APDURequest struct {
	AID      string   `json:"aid,omitempty"` // hexadecimal; the ISD-R without
	Commands []string `json:"commands"`      // hexadecimal, channel bits 0
	Force    bool     `json:"force,omitempty"`
}

// APDUAnswers are what the card answered.
type APDUAnswers struct {
	AID     string       `json:"aid"`
	Way     string       `json:"way"` // cgla, csim
	Answers []APDUAnswer `json:"answers"`
}

// APDUAnswer is a response APDU; what 61xx announced has been fetched.
type APDUAnswer struct {
	Data      string          `json:"data"`
	SW        string          `json:"sw,omitempty"` // empty when none came
	Text      string          `json:"text,omitempty"`
	Advice    string          `json:"advice,omitempty"`
	OK        bool            `json:"ok"`
	Problem   *status.Problem `json:"problem,omitempty"`
	ElapsedMS float64         `json:"elapsed_ms"`
}

// Kinds of a reset of the modem.
const (
	ResetSIM   = "sim"   // the card's power off and on
	ResetRadio = "radio" // the radio off and on
	ResetModem = "modem" // the modem starts again
	ResetPower = "power" // the modem's power is cut, by a line of the board
)

// ModemResetRequest is the body of POST /v1/modem/reset.
type ModemResetRequest struct {
	Kind    string `json:"kind"`    // sim, radio, modem, power
	Confirm bool   `json:"confirm"` // the link goes down meanwhile
}

// ModemReset is what came back after a reset.
type ModemReset struct {
	Kind      string  `json:"kind"`
	Done      string  `json:"done"` // the commands, "+CFUN=0, +CFUN=1"
	Port      string  `json:"port"`
	SIM       string  `json:"sim"` // state, as in the modem's
	ICCID     string  `json:"iccid,omitempty"`
	ElapsedMS float64 `json:"elapsed_ms"`
}

// TraceLine is one line between the daemon and the modem, without secrets and
// with identities shortened.
type TraceLine struct {
	Seq  uint64    `json:"seq"` // counts up by one; a gap is what a slow reader has missed
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // sent, received, note
	Line string    `json:"line"`
}

func (s *Server) modem(w http.ResponseWriter, r *http.Request) {
	answer(s, w, func() (Modem, error) { return s.daemon.Modem(r.Context()) })
}

func (s *Server) modemPorts(w http.ResponseWriter, r *http.Request) {
	list(s, w, func() ([]ModemPort, error) { return s.daemon.ModemPorts(r.Context()) })
}

func (s *Server) at(w http.ResponseWriter, r *http.Request) {
	var body ATRequest
	if s.read(w, r, &body) {
		access.Forced(r.Context(), "force", body.Force)
		list(s, w, func() ([]ATAnswer, error) { return s.daemon.AT(r.Context(), body) })
	}
}

func (s *Server) apdu(w http.ResponseWriter, r *http.Request) {
	var body APDURequest
	if s.read(w, r, &body) {
		access.Forced(r.Context(), "force", body.Force)
		answer(s, w, func() (APDUAnswers, error) { return s.daemon.APDU(r.Context(), body) })
	}
}

func (s *Server) resetModem(w http.ResponseWriter, r *http.Request) {
	var body ModemResetRequest
	switch {
	case !s.read(w, r, &body):
	case !body.Confirm:
		writeProblem(w, http.StatusPreconditionRequired, &status.Problem{Code: "confirm-reset", Text: "the link goes down while the modem is reset", Advice: `say so: {"kind": "sim", "confirm": true}`})
	default:
		answer(s, w, func() (ModemReset, error) { return s.daemon.ResetModem(r.Context(), body.Kind) })
	}
}

func answer[T any](s *Server, w http.ResponseWriter, get func() (T, error)) {
	v, err := get()
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// trace streams the AT lines as Server-Sent Events.
func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	lines := s.daemon.Trace(r.Context())
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	keepalive := time.NewTicker(30 * time.Second)
	defer keepalive.Stop()
	for {
		if rc.Flush() != nil {
			return
		}
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-keepalive.C:
			if !access.StillKnown(r.Context()) {
				return
			}
			_, err = io.WriteString(w, ":\n\n")
		case l := <-lines:
			var b []byte
			if b, err = json.Marshal(l); err == nil {
				_, err = fmt.Fprintf(w, "id: %d\nevent: at\ndata: %s\n\n", l.Seq, b)
			}
		}
		if err != nil {
			return
		}
	}
}
