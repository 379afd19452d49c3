package apdu_test

import (
	"context"
	"errors"
	"fmt"

	"dynamod/euicc/apdu"
)

// reader is a Transport to a card that refuses everything but SELECT.
type reader struct{}

func (reader) Open(context.Context, []byte) (string, error) { return "1", nil }
func (reader) Transmit(context.Context, string, []byte) ([]byte, error) {
	return []byte{0x69, 0x85}, nil
}
func (reader) Close(context.Context, string) error { return nil }

func ExampleOpen() {
	ctx := context.Background()
	ch, err := apdu.Open(ctx, reader{}, []byte("ISD-R"), apdu.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ch.Close()
	_, err = ch.StoreData(ctx, []byte{0xBF, 0x3E, 3, 0x5C, 1, 0x5A})
	if e, ok := errors.AsType[*apdu.StatusError](err); ok {
		fmt.Println(e.SW, err)
	}
	// Output: 6985 card answered 6985 to block 0 of STORE DATA
}

func ExampleCommand() {
	fmt.Printf("%X\n", apdu.Command{CLA: 0x80, INS: 0xE2, P1: 0x91, Data: []byte{0xBF, 0x20, 0}}.Bytes())
	// Output: 80E2910003BF2000
}
