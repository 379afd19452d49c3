package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"sort"
	"strings"

	"dynamod/configs/cosa"
)

var apnListCommand = command{
	name:    "apn list",
	summary: "list the operators that the settings know",
	about: `Operators without a condition match no SIM and are there to be copied. Passwords
are left out; what is used for which SIM is told by lookup. A long FOR or APN is
cut off, with "..."; --json gives them whole.`,
	example: "dynamod apn list --country de\ndynamod apn list --json",
	setup: func(fs *flag.FlagSet) action {
		var o operatorFlags
		o.declare(fs)
		country := fs.String("country", "", "only this `COUNTRY`, two letters (ISO 3166-1): de, us")
		asJSON := fs.Bool("json", false, "print a JSON array")
		return func(_ context.Context, args []string, s std) error {
			if err := noArgs("apn list", args); err != nil {
				return err
			}
			code, err := countryCode(*country)
			if err != nil {
				return err
			}
			db, err := o.load(s)
			if err != nil {
				return err
			}
			list := apnOperators(db, code)
			if *asJSON {
				if err := printJSON(s.out, list); err != nil {
					return err
				}
				if len(list) == 0 {
					return fault{code: exitFailed}
				}
				return nil
			}
			if len(list) == 0 {
				return fault{exitFailed, "no operator settings for country " + code, "add a file to operators.d, or set [apn] apn"}
			}
			writeOperators(s.out, list)
			return nil
		}
	},
}

// countryCode is what --country says, in the database's lower case; "" for all.
func countryCode(said string) (string, error) {
	code := strings.ToLower(said)
	if code != "" && !cosa.IsCountry(code) {
		return "", usageError{errors.New("--country is not two letters"), "ISO 3166-1 alpha-2, for example --country de"}
	}
	return code, nil
}

// apnOperator is one record of `apn list`.
type apnOperator struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Country     string          `json:"country,omitempty"`
	Source      string          `json:"source"`
	Origin      string          `json:"origin"`
	For         []string        `json:"for"` // a line for each target; none matches no SIM
	Connections []apnConnection `json:"connections"`
}

// apnConnection is a connection of a record as it stands there, without its
// password. A field that is not there is unset.
type apnConnection struct {
	APN           string `json:"apn"`
	Name          string `json:"name,omitempty"`
	Purposes      string `json:"purposes"`
	IPType        string `json:"ip_type,omitempty"`
	RoamingIPType string `json:"roaming_ip_type,omitempty"`
	Auth          string `json:"auth,omitempty"`
	Username      string `json:"username,omitempty"`
	Plan          string `json:"plan,omitempty"`
}

// newAPNOperator is a record without its passwords.
func newAPNOperator(p *cosa.OperatorProfile) apnOperator {
	o := apnOperator{
		ID: p.ID, Name: p.Name, Country: p.Country, Source: p.Source.String(), Origin: p.Origin,
		For: []string{}, Connections: []apnConnection{},
	}
	for i := range p.Targets {
		o.For = append(o.For, p.Targets[i].String())
	}
	for i := range p.Connections {
		c := &p.Connections[i]
		o.Connections = append(o.Connections, apnConnection{
			APN: c.APN, Name: c.FriendlyName, Purposes: cmp.Or(c.Purposes.String(), cosa.Internet.String()),
			IPType: c.IPType.String(), RoamingIPType: c.RoamingIPType.String(), Auth: c.Auth.String(), Username: c.Username, Plan: c.Plan,
		})
	}
	return o
}

// apnOperators lists the records by country, name and id.
func apnOperators(db *cosa.DB, country string) []apnOperator {
	out := []apnOperator{}
	for p := range db.Profiles() {
		if country != "" && p.Country != country {
			continue
		}
		out = append(out, newAPNOperator(p))
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		return cmp.Or(strings.Compare(a.Country, b.Country), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) < 0
	})
	return out
}

// writeOperators writes a line for each record; behind an APN that is not for
// the internet alone stands what it is for.
func writeOperators(w io.Writer, list []apnOperator) {
	rows := [][]string{{"COUNTRY", "OPERATOR", "FOR", "APN", "SOURCE"}}
	for _, o := range list {
		var apns []string
		for _, c := range o.Connections {
			apns = append(apns, apnShown(c.APN)+onlyIf(c.Purposes != cosa.Internet.String(), "("+c.Purposes+")"))
		}
		rows = append(rows, []string{o.Country, o.Name, cmp.Or(firstWords(strings.Join(o.For, "; "), 60), "no SIM"), firstWords(strings.Join(apns, " "), 60), o.Source})
	}
	writeTable(w, rows)
}

// firstWords cuts a list off at the last blank within limit characters.
func firstWords(list string, limit int) string {
	chars := []rune(list)
	if len(chars) <= limit {
		return list
	}
	cut := string(chars[:limit+1])
	if at := strings.LastIndexByte(cut, ' '); at > 0 {
		return strings.TrimRight(cut[:at], ";,") + " ..."
	}
	return string(chars[:limit]) + "..."
}
