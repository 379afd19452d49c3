package es10

import (
	"context"
	"fmt"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// GetRAT reads the Rules Authorisation Table: which operators may set which
// profile policy rules (SGP.22 5.7.22, ES10b; 2.9.2.1).
type GetRAT struct{}

// Rule is one row of the table (SGP.22 ProfilePolicyAuthorisationRule).
type Rule struct {
	PPR             euicc.PPR
	Operators       []euicc.Operator // nibbles E of MCC and MNC stand for any digit
	ConsentRequired bool
}

// GetRATResponse is the answer to GetRAT.
type GetRATResponse struct {
	Rules []Rule
}

// Bytes returns the encoded request.
func (GetRAT) Bytes() []byte { return bertlv.Encode(0xBF43) }

// Execute sends the request to the card.
func (r GetRAT) Execute(ctx context.Context, ch Channel) (*GetRATResponse, error) {
	return execute[GetRATResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *GetRATResponse) UnmarshalBinary(b []byte) error {
	e, err := expect("getRAT", b, 0xBF43)
	if err != nil {
		return err
	}
	table, ok := e.Find(0xA0)
	if !ok {
		return fmt.Errorf("getRAT: response has no data object A0")
	}
	for c, err := range table.Children() {
		if err != nil {
			return fmt.Errorf("getRAT: %w", err)
		}
		rule, err := parseRule(c)
		if err != nil {
			return fmt.Errorf("getRAT: %w", err)
		}
		r.Rules = append(r.Rules, rule)
	}
	return nil
}

func parseRule(e bertlv.Element) (Rule, error) {
	var rule Rule
	for f, err := range e.Children() {
		if err != nil {
			return Rule{}, err
		}
		switch f.Tag {
		case 0x80:
			v, err := bertlv.Bits(f.Value)
			if err != nil {
				return Rule{}, err
			}
			rule.PPR = euicc.PPR(v)
		case 0xA1:
			for o, err := range f.Children() {
				if err != nil {
					return Rule{}, err
				}
				operator, err := euicc.ParseOperator(o.Value)
				if err != nil {
					return Rule{}, err
				}
				rule.Operators = append(rule.Operators, operator)
			}
		case 0x82:
			v, err := bertlv.Bits(f.Value)
			if err != nil {
				return Rule{}, err
			}
			rule.ConsentRequired = v&1 != 0
		}
	}
	return rule, nil
}
