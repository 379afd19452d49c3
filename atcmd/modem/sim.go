package modem

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// Secret is a PIN or a password. It prints as "[secret]" however it is printed;
// the text comes out by a conversion to string.
type Secret string

const redacted = "[secret]"

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SIMState is what the modem says of the card (27.007, 8.3).
type SIMState string

const (
	SIMReady     SIMState = "ready"
	SIMNeedsPIN  SIMState = "pin"
	SIMNeedsPUK  SIMState = "puk"
	SIMLocked    SIMState = "locked"     // another lock, such as SIM PIN2 or network personalisation; see Text
	SIMNoProfile SIMState = "no-profile" // an eUICC with no enabled profile, as some firmwares say
	SIMAbsent    SIMState = "absent"     // +CME ERROR 10; also what some firmwares say without an enabled profile
	SIMFailure   SIMState = "failure"    // +CME ERROR 13 or 15; likewise
	SIMBusy      SIMState = "busy"       // +CME ERROR 14: ask again
	SIMUnknown   SIMState = "unknown"    // see Text
)

// SIM is the card's state. None of them says that the eUICC cannot be reached:
// the ISD-R is open to an LPA also without an enabled profile.
type SIM struct {
	State SIMState
	Text  string // as the modem put it, "SIM PIN"
}

// SIM reads +CPIN?. That no profile is enabled, that a PIN is missing or that
// there is no card are states and not errors.
func (m *Modem) SIM(ctx context.Context) (SIM, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CPIN?"})
	if err != nil {
		return simFromError(err)
	}
	for _, line := range reply.Lines {
		if rest, ok := atcmd.CutTag(line, "+CPIN"); ok {
			return ParseSIM(rest), nil
		}
	}
	return SIM{State: SIMUnknown}, fmt.Errorf("AT+CPIN?: %w", ErrAnswer)
}

func simFromError(err error) (SIM, error) {
	if !answered(err) {
		return SIM{State: SIMUnknown}, err
	}
	sim := SIM{State: SIMUnknown, Text: err.Error()}
	switch cmeCode(err) {
	case 10:
		sim.State = SIMAbsent
	case 11:
		sim.State = SIMNeedsPIN
	case 12:
		sim.State = SIMNeedsPUK
	case 13, 15:
		sim.State = SIMFailure
	case 14:
		sim.State = SIMBusy
	case 17, 18:
		sim.State = SIMLocked
	}
	return sim, nil
}

// ParseSIM reads what follows "+CPIN:", in an answer or in a URC.
func ParseSIM(text string) SIM {
	text = strings.Trim(strings.TrimSpace(text), `"`)
	sim := SIM{State: SIMLocked, Text: text}
	switch strings.ToUpper(text) {
	case "READY":
		sim.State = SIMReady
	case "SIM PIN":
		sim.State = SIMNeedsPIN
	case "SIM PUK":
		sim.State = SIMNeedsPUK
	case "EMPTY_EUICC":
		sim.State = SIMNoProfile
	case "NOT INSERTED", "SIM NOT INSERTED", "SIM REMOVED":
		sim.State = SIMAbsent
	case "NOT READY":
		sim.State = SIMBusy
	case "SIM FAILURE", "SIM ERROR", "ERROR":
		sim.State = SIMFailure
	case "", "UNKNOWN":
		sim.State = SIMUnknown
	}
	return sim
}

var (
	// ErrPIN means that the card refused the PIN. The same PIN is not sent again.
	ErrPIN = errors.New("card refused the PIN")
	// ErrLastTry means that the PIN was not sent because the card would block
	// after one more wrong one.
	ErrLastTry = errors.New("one try of the PIN is left; enter it in a phone, or confirm that it is right")
	// ErrPUK means that the card is blocked and needs the PUK.
	ErrPUK = errors.New("card is blocked and needs the PUK")
)

// PINTries returns how many wrong PINs the card still takes, and false when the
// modem does not tell.
func (m *Modem) PINTries(ctx context.Context) (int, bool, error) {
	for _, q := range m.d.PINTries {
		v, err := m.query(ctx, q)
		if err != nil {
			if !answered(err) {
				return 0, false, err
			}
			continue
		}
		if n, ok := number(v, 99); ok {
			return n, true, nil
		}
	}
	return 0, false, nil
}

// PINMemory knows which PINs were sent to which cards and not accepted, and
// holds neither. The zero value is ready.
type PINMemory struct {
	// Keep, if not nil, is told of a PIN that the card has refused, to be known by
	// Kept after a restart, which would cost one try each otherwise. digest stands
	// for card and PIN, and is to be kept under a key: a PIN is easily guessed.
	// left is how many tries the card had then, -1 if the modem does not tell.
	Keep func(digest []byte, left int)
	Kept func(digest []byte) (left int, ok bool)

	mu   sync.Mutex
	sent map[[sha256.Size]byte]bool
}

// claim reports whether a PIN may be sent to a card that has so many tries, -1 if
// that is not known: not twice. What an earlier process has kept is void where the
// card has more tries than then, since it has accepted one elsewhere.
func (p *PINMemory) claim(key [sha256.Size]byte, tries int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent[key] {
		return false
	}
	if p.Kept != nil {
		if left, ok := p.Kept(key[:]); ok && (left < 0 || tries <= left) {
			return false
		}
	}
	if p.sent == nil {
		p.sent = map[[sha256.Size]byte]bool{}
	}
	p.sent[key] = true
	return true
}

func (p *PINMemory) refused(key [sha256.Size]byte, left int) {
	if p.Keep != nil {
		p.Keep(key[:], left)
	}
}

func (p *PINMemory) forget(key [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sent, key)
}

// SharePINs makes the modem remember PINs where others do that are or were the
// same modem, opened again. It goes before EnterPIN.
func (m *Modem) SharePINs(p *PINMemory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pins = p
}

// EnterPIN unlocks a card that asks for PIN1 and does nothing to one that does
// not. It sends the PIN at most once, and not at all when it was sent to this
// card before and not accepted, or not answered (SharePINs; see PINMemory.Keep),
// or, unless lastTry is set, when one try is left. Its errors are ErrPIN,
// ErrLastTry, ErrPUK or those of the session; none holds the PIN.
func (m *Modem) EnterPIN(ctx context.Context, pin Secret, lastTry bool) error {
	if n := len(pin); n < 4 || n > 8 || !digits(string(pin)) {
		return errors.New("a PIN has 4 to 8 digits")
	}
	sim, err := m.SIM(ctx)
	if err != nil {
		return err
	}
	switch sim.State {
	case SIMNeedsPIN:
	case SIMReady:
		return nil
	case SIMNeedsPUK:
		return ErrPUK
	default:
		return fmt.Errorf("card does not ask for a PIN: %s", sim.State)
	}
	// The ICCID can be read without the PIN; a card that hides it counts as
	// one and the same.
	iccid, err := m.ICCID(ctx)
	if err != nil && !answered(err) && !isStatus(err) {
		return err
	}
	tries, known, err := m.PINTries(ctx)
	switch {
	case err != nil:
		return err
	case known && tries == 0:
		return ErrPUK
	case known && tries == 1 && !lastTry:
		return ErrLastTry
	}
	m.mu.Lock()
	memory := m.pins
	m.mu.Unlock()
	key := sha256.Sum256([]byte(iccid + " " + string(pin)))
	if !known {
		tries = -1
	}
	if !memory.claim(key, tries) {
		return ErrPIN
	}
	_, err = m.s.Do(ctx, atcmd.Command{Text: `+CPIN="` + string(pin) + `"`, Timeout: 30 * time.Second, Secret: true})
	if err == nil || errors.Is(err, atcmd.ErrNotSent) {
		memory.forget(key)
		return err
	}
	if !answered(err) {
		// Whether the card saw it is unknown; a second try could be one too many.
		return fmt.Errorf("PIN sent, outcome unknown: %w", err)
	}
	if cmeCode(err) == cmePUK {
		memory.refused(key, 0)
		return ErrPUK
	}
	// Also a bare ERROR counts as a refusal: guessing otherwise costs tries. But
	// a card that was busy and counts as many tries as before has not seen it.
	left, counted, _ := m.PINTries(ctx)
	wrong := cmeCode(err) == cmeWrongPassword
	if !wrong && known && counted && left == tries {
		memory.forget(key)
		return fmt.Errorf("PIN did not reach the card: %w", err)
	}
	if !counted {
		left = -1
	}
	if wrong || known && counted && left < tries { // and no guess
		memory.refused(key, left)
	}
	if counted {
		return fmt.Errorf("%w, %s left", ErrPIN, plural(left, "try", "tries"))
	}
	return ErrPIN
}

// Codes of +CME ERROR (27.007, 9.2.1).
const (
	cmePUK           = 12
	cmeWrongPassword = 16
)

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// ErrNoSlots means that the dialect knows no way to read or change the SIM slot.
var ErrNoSlots = errors.New("no known command for SIM slots")

// Slot returns the active SIM slot, counted as the vendor counts.
func (m *Modem) Slot(ctx context.Context) (int, error) {
	if m.d.Slots.Active.Send == "" {
		return 0, ErrNoSlots
	}
	v, err := m.query(ctx, m.d.Slots.Active)
	if err != nil {
		return 0, err
	}
	if name, ok := m.d.Slots.Names[v]; ok {
		v = name
	}
	n, ok := number(v, 9)
	if !ok {
		return 0, fmt.Errorf("SIM slot: %w", ErrAnswer)
	}
	return n, nil
}

// SelectSlot switches to another SIM slot. The card is read again afterwards,
// which takes up to 90 s on some modems; the port may vanish meanwhile.
func (m *Modem) SelectSlot(ctx context.Context, slot int) error {
	if len(m.d.Slots.Select) == 0 {
		return ErrNoSlots
	}
	v := dialect.Values{"slot": strconv.Itoa(slot)}
	if slot == 0 || slot == 1 {
		v["other"] = strconv.Itoa(1 - slot)
	}
	_, err := m.run(ctx, m.d.Slots.Select, 0, v)
	if err != nil {
		if answered(err) { // the steps before may have switched the radio off
			if err := m.SetFunctionality(ctx, Full); err != nil {
				m.log.Debug("radio stays off after a slot was refused", "error", err)
			}
		}
		return fmt.Errorf("cannot select SIM slot %d: %w", slot, err)
	}
	return nil
}

// query runs a dialect's query and returns its value.
func (m *Modem) query(ctx context.Context, q dialect.Query) (string, error) {
	tags := strings.Split(q.Tag, "|")
	reply, err := m.s.Do(ctx, atcmd.Command{Text: q.Send, Tags: tags, Bare: true})
	if err != nil {
		return "", err
	}
	for _, line := range reply.Lines {
		var f []string
		ok := false
		for i := 0; i < len(tags) && !ok; i++ {
			f, ok = atcmd.Fields(line, tags[i])
		}
		if !ok {
			if strings.HasPrefix(line, "+") || q.Key != "" || q.Field != 0 || q.CRSM {
				continue
			}
			f, ok = atcmd.Fields(tags[0]+": "+line, tags[0]) // a bare line
		}
		if !ok || q.Key != "" && !strings.EqualFold(at(f, 0), q.Key) {
			continue
		}
		if n, is, ok := strings.Cut(q.Where, "="); ok {
			if i, ok := number(n, 63); !ok || at(f, i) != is {
				continue
			}
		}
		if q.CRSM {
			_, sw, err := parseCRSM(f)
			if err != nil {
				return "", err
			}
			if !sw.ok() {
				return "", fmt.Errorf("AT+CRSM: %w", sw)
			}
		}
		if v := at(f, q.Field); v != "" {
			return v, nil
		}
	}
	return "", fmt.Errorf("AT%s: %w", atcmd.Command{Text: q.Send}.Name(), ErrAnswer)
}
