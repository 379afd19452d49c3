//go:build !nodemo

package demo

import "encoding/json"

// operatorsFile is the operators.d file of the lab's network.
func operatorsFile() []byte {
	type object = map[string]any
	b, err := json.MarshalIndent([]object{{
		"id": "lab", "name": Operator,
		"targets":     []object{{"mccmnc": []string{PLMN}}},
		"connections": []object{{"apn": APN, "purposes": []string{"internet"}, "ipType": "ipv4"}},
	}}, "", "  ")
	if err != nil {
		panic(err) // only strings
	}
	return append(b, '\n')
}
