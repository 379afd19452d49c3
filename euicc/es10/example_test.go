package es10_test

import (
	"context"
	"errors"
	"fmt"

	"dynamod/euicc/es10"
)

// card answers everything with the same bytes, in the place of an *apdu.Channel.
type card []byte

func (c card) StoreData(context.Context, []byte) ([]byte, error) { return c, nil }

func ExampleGetProfilesInfo() {
	ch := card("\xBF\x2D\x16\xA0\x14\xE3\x12\x5A\x0A\x98\x44\x74\x68\x00\x00\x54\x37\x21\xF8\x9F\x70\x01\x01\x92\x00")
	r, err := es10.GetProfilesInfo{}.Execute(context.Background(), ch)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range r.Profiles {
		fmt.Println(p.ICCID, p.State)
	}
	// Output: 8944478600004573128 enabled
}

func ExampleResultError() {
	_, err := es10.EnableProfile{}.Execute(context.Background(), card("\xBF\x31\x03\x80\x01\x05"))
	fmt.Println(err)
	fmt.Println(errors.Is(err, es10.ErrCATBusy))
	// Output:
	// enableProfile: card answered catBusy (5)
	// true
}

// A request by itself, for who has a transport of his own.
func ExampleGetEID_Bytes() {
	fmt.Printf("%X\n", es10.GetEID{}.Bytes())
	// Output: BF3E035C015A
}
