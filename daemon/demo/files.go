//go:build !nodemo

package demo

import "encoding/json"

// operatorsFile is the operators.d file of the lab's network. As operators do, it
// says what the attach is to use, for modems that carry no other context.
func operatorsFile() []byte {
	type object = map[string]any
	b, err := json.MarshalIndent([]object{{
		"id": "lab", "name": Operator,
		"targets":     []object{{"mccmnc": []string{PLMN}}},
		"connections": []object{{"apn": APN, "purposes": []string{"internet", "attach"}, "ipType": "ipv4"}},
	}}, "", "  ")
	if err != nil {
		panic(err) // only strings
	}
	return append(b, '\n')
}
