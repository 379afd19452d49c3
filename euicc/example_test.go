package euicc_test

import (
	"errors"
	"fmt"

	"dynamod/euicc"
)

func ExampleParseActivationCode() {
	code, err := euicc.ParseActivationCode("lpa:1$SMDP.example.com$TOKEN$$1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(code.Address, code.ConfirmationRequired)
	fmt.Println(code) // what prints it hides the token
	// Output:
	// smdp.example.com true
	// LPA:1$smdp.example.com$(redacted)$$1
}

func ExampleParseLaterActivationCode() {
	text := "LPA:1$smdp.example.com$TOKEN$$$something new"
	_, err := euicc.ParseActivationCode(text)
	fmt.Println(errors.Is(err, euicc.ErrSurplusFields))
	_, surplus, err := euicc.ParseLaterActivationCode(text)
	fmt.Println(surplus, err)
	// Output:
	// true
	// 1 <nil>
}

func ExampleDiagnoseStatus() {
	d := euicc.DiagnoseStatus("8.2.6", "3.8")
	fmt.Println(d.Text)
	fmt.Println(d.Retry, "-", d.Advice)
	// Output:
	// the server refuses the matching ID
	// new-code - the code is mistyped, used or withdrawn; do not try again, tries are counted
}

func ExampleParseICCID() {
	id, err := euicc.ParseICCID("8944478600004573128F") // as modems print it
	fmt.Printf("%s %X %v\n", id, id[:], err)
	fmt.Println(id.Short())
	// Output:
	// 8944478600004573128 984474680000543721F8 <nil>
	// 8944…3128
}
