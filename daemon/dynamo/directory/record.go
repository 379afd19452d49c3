package directory

import (
	"bytes"
	"encoding/json"
	"fmt"

	"dynamod/configs/cosa"
)

// Prefix begins the IDs of records that came from a directory service.
const Prefix = "directory:"

// maxOperators is how many a list may have.
const maxOperators = 500

// public is what of a record a router is told: who sells, and where. How to connect
// and how the operator's API is asked stays here.
func public(p *cosa.OperatorProfile) cosa.OperatorProfile {
	return cosa.OperatorProfile{
		ID: p.ID, Name: p.Name, Country: p.Country, Source: cosa.SourceOperator, Rank: cosa.DefaultRank, Portal: p.Portal,
		SIM: cosa.SIMSettings{AccountURL: p.SIM.AccountURL, BrandName: p.SIM.BrandName, BrandLogo: p.SIM.BrandLogo},
	}
}

// encode writes records as operators.d has them.
func encode(list []*cosa.OperatorProfile) (json.RawMessage, error) {
	out := make([]cosa.OperatorProfile, len(list))
	for i, p := range list {
		out[i] = public(p)
	}
	var b bytes.Buffer
	if err := cosa.WriteJSONLines(&b, out); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// decode reads them. A record that is not valid here, one without a portal and what
// a router is not to be told are left out: skipped has a line for each record. The
// IDs begin with "directory:", so that none hides one of the router's own.
func decode(raw json.RawMessage) (list []cosa.OperatorProfile, skipped []string, err error) {
	var each []json.RawMessage
	if err := json.Unmarshal(raw, &each); err != nil {
		return nil, nil, fmt.Errorf("the list of operators cannot be decoded: %w", err)
	}
	if len(each) > maxOperators {
		return nil, nil, fmt.Errorf("%d operators, at most %d", len(each), maxOperators)
	}
	seen := map[string]bool{}
	for i, one := range each {
		name := fmt.Sprintf("operator %d", i+1)
		found, problems := cosa.ParseJSON(name, one)
		switch {
		case len(problems) > 0:
			skipped = append(skipped, name+": "+problems[0].Msg)
		case len(found) != 1 || found[0].Portal.URL == "":
			skipped = append(skipped, name+": no portal")
		case seen[found[0].ID]:
			skipped = append(skipped, name+": its id is there twice")
		default:
			seen[found[0].ID] = true
			p := public(&found[0])
			p.ID, p.Origin = Prefix+p.ID, "the directory service"
			list = append(list, p)
		}
	}
	return list, skipped, nil
}
