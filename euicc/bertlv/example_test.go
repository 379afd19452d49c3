package bertlv_test

import (
	"fmt"

	"dynamod/euicc/bertlv"
)

func ExampleBuilder() {
	var b bertlv.Builder
	b.Open(0xBF2D).Open(0xA0).Int(0x95, 2).Close().Put(0x5C, []byte{0x5A}).Close()
	fmt.Printf("%X\n", b.Bytes())
	// Output: BF2D08A0039501025C015A
}

func ExampleElement_Find() {
	e, err := bertlv.Expect([]byte{0xBF, 0x3E, 4, 0x5A, 2, 0x89, 0x04}, 0xBF3E)
	if err != nil {
		fmt.Println(err)
		return
	}
	eid, ok := e.Find(0x5A)
	fmt.Printf("%X %t\n", eid.Value, ok)
	// Output: 8904 true
}
