//go:build linux && !nodemo

package demo

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dynamod/euicc/smdpsim"
)

// ctlOrder is what an added order is told to be; addOrder fills in the rest.
type ctlOrder struct {
	smdpsim.Order
	upp, icon string
	discover  string
	confirm   bool
	pin       bool
}

// orderFields are the keys of order add.
var orderFields = map[string]func(o *ctlOrder, value string) error{
	"upp":  func(o *ctlOrder, v string) error { o.upp = v; return nil },
	"icon": func(o *ctlOrder, v string) error { o.icon = v; return nil },
	"name": func(o *ctlOrder, v string) error { o.Metadata.Name = strings.ReplaceAll(v, "_", " "); return nil },
	"eid":  func(o *ctlOrder, v string) error { o.EID = v; return nil },
	"discover": func(o *ctlOrder, v string) error {
		o.discover = v
		return oneOf(v, "inside", "outside")
	},
	"confirm": func(o *ctlOrder, v string) error { return boolean(&o.confirm, v) },
	"pin":     func(o *ctlOrder, v string) error { return boolean(&o.pin, v) },
	"held": func(o *ctlOrder, v string) error {
		held := false
		err := boolean(&held, v)
		if held {
			o.State = smdpsim.StateConfirmed
		}
		return err
	},
	"oid":          func(o *ctlOrder, v string) error { return boolean(&o.OIDInCode, v) },
	"session-keys": func(o *ctlOrder, v string) error { return boolean(&o.SessionKeys, v) },
	"rebind": func(o *ctlOrder, v string) error {
		if o.Rebind = smdpsim.Rebind(v); v == "reuse" {
			o.Rebind = smdpsim.RebindReuse
		}
		return oneOf(v, "reuse", "new", "same-key", "final")
	},
	"attempts":      func(o *ctlOrder, v string) error { return positive(&o.Attempts, v) },
	"confirmations": func(o *ctlOrder, v string) error { return positive(&o.Confirmations, v) },
	"expires": func(o *ctlOrder, v string) error {
		d, err := time.ParseDuration(v)
		o.Expires = time.Now().Add(d)
		return err
	},
	"class": func(o *ctlOrder, v string) error {
		o.Metadata.Class = map[string]smdpsim.Class{"test": smdpsim.ClassTest, "provisioning": smdpsim.ClassProvisioning, "operational": smdpsim.ClassOperational}[v]
		return oneOf(v, "test", "provisioning", "operational")
	},
	"ppr": func(o *ctlOrder, v string) error {
		return rules(&o.Metadata.Rules, v)
	},
}

// ctlAdded is what order add answers. The lab makes the confirmation code, so
// that no secret stands in a command line.
type ctlAdded struct {
	Number           int    `json:"number"`
	ICCID            string `json:"iccid"`
	Code             string `json:"code"`
	CodeLocal        string `json:"code_local"`
	ConfirmationCode string `json:"confirmation_code,omitempty"`
}

// addOrder puts a profile up for download; dir is where relative files are.
func (w *World) addOrder(dir string, args []string) (any, string, error) {
	o := ctlOrder{Order: smdpsim.Order{Metadata: smdpsim.Metadata{Provider: Operator, Name: "Lab profile", Owner: owner}}}
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		set, ok := orderFields[key]
		if !ok {
			return nil, "", &ctlError{fmt.Sprintf("order add: unknown key %q", key), ctlHelp}
		}
		if err := set(&o, value); err != nil {
			return nil, "", &ctlError{fmt.Sprintf("order add: %s: %v", a, err), ctlHelp}
		}
	}
	if o.EID == "card" || o.EID == "" && o.discover != "" {
		o.EID = w.Card.EID()
	}
	switch o.discover {
	case "inside":
		o.Discover = SMDP
	case "outside":
		o.Discover = w.outside
	}
	var err error
	if o.UPP, err = w.orderPackage(dir, o.upp, o.pin); err != nil {
		return nil, "", fmt.Errorf("order add: %w", err)
	}
	if o.icon != "" {
		if o.Metadata.Icon, err = os.ReadFile(within(dir, o.icon)); err != nil {
			return nil, "", fmt.Errorf("order add: %w", err)
		}
		if bytes.HasPrefix(o.Metadata.Icon, []byte("\x89PNG")) {
			o.Metadata.IconType = smdpsim.IconPNG
		}
	}
	if o.confirm {
		n, err := rand.Int(rand.Reader, big.NewInt(1_0000))
		if err != nil {
			return nil, "", err
		}
		o.ConfirmationCode = fmt.Sprintf("%04d", n)
	}
	p, err := w.offer(o.upp, o.Order)
	if err != nil {
		return nil, "", fmt.Errorf("order add: %w", err)
	}
	local, err := w.Server.ActivationCode(p.ID, w.outside)
	if err != nil {
		return nil, "", err
	}
	if err := w.publish(labProfile{p.File, p.ICCID, p.Size, p.SHA256, p.Code, local}); err != nil {
		return nil, "", err
	}
	added := ctlAdded{len(w.Server.Orders()), p.ICCID, p.Code, local, o.ConfirmationCode}
	text := fmt.Sprintf("order %d, ICCID %s\ncode         %s\ncode_local   %s\n", added.Number, added.ICCID, added.Code, added.CodeLocal)
	if added.ConfirmationCode != "" {
		text += "confirmation " + added.ConfirmationCode + "\n"
	}
	return added, text, nil
}

// orderPackage reads a profile package, or makes one.
func (w *World) orderPackage(dir, file string, locked bool) ([]byte, error) {
	switch {
	case file != "" && locked:
		return nil, errors.New("pin=yes is for the lab's own profiles: whether a package's PIN is enabled stands in it")
	case file != "":
		return os.ReadFile(within(dir, file))
	case locked:
		return w.newProfile(PIN)
	}
	return w.newProfile("")
}

// within is a file's path seen from the client's directory.
func within(dir, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}
