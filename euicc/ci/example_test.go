package ci_test

import (
	"fmt"

	"dynamod/euicc/ci"
)

func ExampleSelect() {
	card := [][]byte{{0x81, 0x37, 0x0F, 0x51, 0x25, 0xD0, 0xB1, 0xD4, 0x08, 0xD4, 0xC3, 0xB2, 0x32, 0xE6, 0xD2, 0x5E, 0x79, 0x5B, 0xEB, 0xFB}}
	roots, err := ci.Select(ci.Live, card)
	fmt.Println(len(roots), err)
	_, err = ci.Select(ci.Test, card)
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// card lists no test certificate issuer that is known (card: 81370F51); it is a card for live servers
}
