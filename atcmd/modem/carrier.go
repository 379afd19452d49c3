package modem

import (
	"context"
	"errors"
)

// ErrNoCarrierConfig means that the dialect knows no command for carrier
// configurations.
var ErrNoCarrierConfig = errors.New("no known command for carrier configurations")

// CarrierConfig is the carrier configuration that the modem's firmware uses.
type CarrierConfig struct {
	Name string // as the modem writes it
	// Auto: the SIM chooses it, so that it follows a change of profile.
	Auto bool
	// Generic: it suits every operator.
	Generic bool
}

// Stale reports whether the configuration was chosen by hand for one operator
// and may be another's than the card's.
func (c CarrierConfig) Stale() bool { return !c.Auto && !c.Generic }

// CarrierConfig reads it; see dialect.Carrier.
func (m *Modem) CarrierConfig(ctx context.Context) (CarrierConfig, error) {
	d := &m.d.Carrier
	if d.Query.Send == "" {
		return CarrierConfig{}, ErrNoCarrierConfig
	}
	var c CarrierConfig
	name, err := m.query(ctx, d.Query)
	if err != nil {
		return c, err
	}
	c.Name, c.Generic = name, d.SuitsAll(name)
	if d.Auto.Send == "" {
		return c, nil
	}
	auto, err := m.query(ctx, d.Auto)
	if err != nil && !answered(err) {
		return c, err
	}
	c.Auto = err == nil && auto == d.AutoOn
	return c, nil
}
