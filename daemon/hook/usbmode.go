package hook

import (
	"net/http"

	"dynamod/daemon/status"
)

// USBMode is the modem's data function, which its USB mode decides.
type USBMode struct {
	Mode   string              `json:"mode"`             // ecm, ncm, rndis, raw-ip, qmi, mbim, ppp, none; "" where the modem does not tell
	Value  string              `json:"value,omitempty"`  // as the modem's family numbers it
	Data   *status.NetFunction `json:"data,omitempty"`   // what the kernel made of it
	Modes  []USBModeChoice     `json:"modes"`            // that it can be given
	Before string              `json:"before,omitempty"` // the mode that an undo goes back to
	// NoUndo is why a change cannot be undone, and what to do in place of it; "" where
	// an undo will go back.
	NoUndo string `json:"no_undo,omitempty"`
}

// USBModeChoice is a mode that the modem can be given.
type USBModeChoice struct {
	Mode     string   `json:"mode"`
	Commands []string `json:"commands"` // that do it
	Dials    bool     `json:"dials"`    // AT commands start data on it
}

// USBModeRequest is the body of POST /v1/modem/usb-mode: Mode, or Undo.
type USBModeRequest struct {
	Mode    string `json:"mode,omitempty"`
	Undo    bool   `json:"undo,omitempty"`
	Confirm bool   `json:"confirm"` // that the modem restarts
}

func (s *Server) usbMode(w http.ResponseWriter, r *http.Request) {
	m, err := s.daemon.USBMode(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, m)
}

func (s *Server) setUSBMode(w http.ResponseWriter, r *http.Request) {
	var body USBModeRequest
	switch {
	case !s.read(w, r, &body):
	case (body.Mode == "") != body.Undo:
		writeProblem(w, http.StatusUnprocessableEntity, &status.Problem{Code: "bad-mode", Text: "the body names neither a mode nor an undo, or both", Advice: `{"mode": "ecm", "confirm": true}`})
	case !body.Confirm:
		writeProblem(w, http.StatusPreconditionRequired, &status.Problem{
			Code: "confirm-usb-mode", Text: "the modem restarts with other ports, and the link goes down meanwhile", Advice: `{"mode": "ecm", "confirm": true}`,
		})
	default:
		m, err := s.daemon.SetUSBMode(r.Context(), body)
		if err != nil {
			s.fail(w, err)
			return
		}
		writeJSON(w, http.StatusOK, m)
	}
}
