package es9p_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"dynamod/euicc/ci"
	"dynamod/euicc/es9p"
)

func ExampleNewClient() {
	client, err := es9p.NewClient(es9p.Config{
		Roots: ci.Pool(ci.Roots(ci.Live)),
		Dial:  func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route to host") },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	_, err = es9p.InitiateAuthentication{Info1: []byte{0xBF, 0x20, 0}, Address: "smdp.example.com"}.Execute(context.Background(), client, "smdp.example.com")
	if e, ok := errors.AsType[*es9p.NetworkError](err); ok {
		fmt.Println(e.Function, e.Server)
	}
	// Output: initiateAuthentication smdp.example.com
}
