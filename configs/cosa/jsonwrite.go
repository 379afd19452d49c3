package cosa

import (
	"bytes"
	"encoding/json"
	"io"
)

// The shapes that WriteJSON writes, in the order of the fields in a file. They
// exist so that a password is written only by asking for it here: the records
// themselves print it as "[redacted]".
type (
	jsonProfile struct {
		ID              string            `json:"id"`
		Name            string            `json:"name,omitempty"`
		Country         string            `json:"country,omitempty"`
		Source          string            `json:"source,omitempty"`
		Rank            *int              `json:"rank,omitempty"`
		AllowFallback   *bool             `json:"allowFallback,omitempty"`
		NetworkAssigned *bool             `json:"networkAssigned,omitempty"`
		Targets         []jsonTarget      `json:"targets,omitempty"`
		Connections     []jsonConnection  `json:"connections,omitempty"`
		SIM             *jsonSIM          `json:"sim,omitempty"`
		Portal          *jsonPortal       `json:"portal,omitempty"`
		MOAPI           *jsonMOAPI        `json:"moApi,omitempty"`
		Ext             map[string]string `json:"ext,omitempty"`
	}
	jsonTarget struct {
		MCCMNC  []string  `json:"mccmnc,omitempty"`
		MCC     []string  `json:"mcc,omitempty"`
		ICCID   []any     `json:"iccid,omitempty"`
		IMSI    []any     `json:"imsi,omitempty"`
		GID1    []jsonGID `json:"gid1,omitempty"`
		GID2    []jsonGID `json:"gid2,omitempty"`
		SPN     []string  `json:"spn,omitempty"`
		PNN     []string  `json:"pnn,omitempty"`
		UIName  string    `json:"uiName,omitempty"`
		UIOrder int       `json:"uiOrder,omitempty"`
	}
	jsonRange struct {
		Lo string `json:"lo"`
		Hi string `json:"hi"`
	}
	jsonGID struct {
		Value string `json:"value"`
		Mode  string `json:"mode"`
	}
	jsonConnection struct {
		APN           string            `json:"apn"`
		FriendlyName  string            `json:"friendlyName,omitempty"`
		Purposes      []string          `json:"purposes,omitempty"`
		IPType        string            `json:"ipType,omitempty"`
		RoamingIPType string            `json:"roamingIpType,omitempty"`
		Auth          string            `json:"auth,omitempty"`
		Username      string            `json:"username,omitempty"`
		Password      string            `json:"password,omitempty"`
		AlwaysOn      *bool             `json:"alwaysOn,omitempty"`
		Roaming       *int              `json:"roaming,omitempty"`
		Order         int               `json:"order,omitempty"`
		Enabled       *bool             `json:"enabled,omitempty"`
		AcT           []string          `json:"act,omitempty"`
		MTU           int               `json:"mtu,omitempty"`
		Plan          string            `json:"plan,omitempty"`
		Ext           map[string]string `json:"ext,omitempty"`
	}
	jsonSIM struct {
		AccountURL       string `json:"accountUrl,omitempty"`
		BrandName        string `json:"brandName,omitempty"`
		BrandLogo        string `json:"brandLogo,omitempty"`
		BrandRoaming     *int   `json:"brandRoaming,omitempty"`
		Hotspot          string `json:"hotspot,omitempty"`
		ESIMProvisioning *bool  `json:"esimProvisioning,omitempty"`
	}
)

// WriteJSON writes an operators file that ParseJSON reads back as it was,
// passwords included: the file is for operators.d, not for a log. Origin is
// not part of it, nor is Source db, because a file cannot claim it.
func WriteJSON(w io.Writer, profiles []OperatorProfile) error { return writeJSON(w, profiles, "  ") }

// WriteJSONLines is WriteJSON with a profile on each line, which takes half the
// room.
func WriteJSONLines(w io.Writer, profiles []OperatorProfile) error {
	return writeJSON(w, profiles, "")
}

// writeJSON writes one profile after the other, so that the whole text is never
// in memory.
func writeJSON(w io.Writer, profiles []OperatorProfile, indent string) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(indent, indent)
	between := "[\n" + indent
	for i := range profiles {
		b.WriteString(between)
		if err := enc.Encode(profiles[i].toJSON()); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // Encode ends the line
		if _, err := b.WriteTo(w); err != nil {
			return err
		}
		between = ",\n" + indent
	}
	end := "\n]\n"
	if len(profiles) == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

func (p *OperatorProfile) toJSON() jsonProfile {
	j := jsonProfile{
		ID: p.ID, Name: p.Name, Country: p.Country,
		AllowFallback: p.AllowFallback.pointer(), NetworkAssigned: p.NetworkAssigned.pointer(),
		Ext: p.Ext.toMap(),
	}
	if p.Source != SourceDatabase && p.Source != SourceModem {
		j.Source = p.Source.String()
	}
	if p.Rank != DefaultRank {
		j.Rank = &p.Rank
	}
	for k := range p.Targets {
		j.Targets = append(j.Targets, p.Targets[k].toJSON())
	}
	for k := range p.Connections {
		j.Connections = append(j.Connections, p.Connections[k].toJSON())
	}
	if s := p.SIM; s != (SIMSettings{}) {
		j.SIM = &jsonSIM{AccountURL: s.AccountURL, BrandName: s.BrandName, BrandLogo: s.BrandLogo, Hotspot: s.Hotspot.String(), ESIMProvisioning: s.ESIMProvisioning.pointer()}
		if s.BrandRoaming != BrandUnset {
			code := int(s.BrandRoaming) - 1
			j.SIM.BrandRoaming = &code
		}
	}
	j.Portal, j.MOAPI = p.Portal.toJSON(), p.MOAPI.toJSON()
	return j
}

func (t *Target) toJSON() jsonTarget {
	j := jsonTarget{
		MCCMNC: t.MCCMNC, MCC: t.MCC, SPN: t.SPN, PNN: t.PNN, UIName: t.UIName, UIOrder: t.UIOrder,
		ICCID: rangesToJSON(t.ICCID), GID1: gidsToJSON(t.GID1), GID2: gidsToJSON(t.GID2),
	}
	for _, r := range t.IMSI {
		j.IMSI = append(j.IMSI, jsonRange(r))
	}
	for _, p := range t.IMSIPattern {
		j.IMSI = append(j.IMSI, string(p))
	}
	return j
}

func rangesToJSON(list []Range) (out []any) {
	for _, r := range list {
		if r.Lo == r.Hi {
			out = append(out, r.Lo)
		} else {
			out = append(out, jsonRange(r))
		}
	}
	return out
}

func gidsToJSON(list []GID) (out []jsonGID) {
	for _, g := range list {
		mode := "exact"
		if g.Prefix {
			mode = "prefix"
		}
		out = append(out, jsonGID{g.Hex, mode})
	}
	return out
}

func (c *Connection) toJSON() jsonConnection {
	j := jsonConnection{
		APN: c.APN, FriendlyName: c.FriendlyName, IPType: c.IPType.String(), RoamingIPType: c.RoamingIPType.String(),
		Auth: c.Auth.String(), Username: c.Username, Password: c.Password.Reveal(),
		AlwaysOn: c.AlwaysOn.pointer(), Order: c.Order, Enabled: c.Enabled.pointer(), AcT: c.AcT.names(),
		MTU: c.MTU, Plan: c.Plan, Ext: c.Ext.toMap(),
	}
	for _, e := range purposeNames {
		if c.Purposes.Has(e.p) {
			j.Purposes = append(j.Purposes, e.name)
		}
	}
	if c.Roaming != RoamingUnset {
		code := c.Roaming.Code()
		j.Roaming = &code
	}
	return j
}

func (f Flag) pointer() *bool {
	if f == FlagUnset {
		return nil
	}
	b := f == FlagOn
	return &b
}

func (e Ext) toMap() map[string]string {
	if len(e) == 0 {
		return nil
	}
	m := make(map[string]string, len(e))
	for _, f := range e {
		m[f.Key] = f.Value
	}
	return m
}
