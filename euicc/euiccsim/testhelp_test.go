package euiccsim

import (
	"errors"
	"testing"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

func cancelRequest(tid []byte, reason int64) []byte {
	return new(bertlv.Builder).Open(0xBF41).Put(0x80, tid).Int(0x81, reason).Close().Bytes()
}

func iccidBytes(t testing.TB, iccid string) []byte {
	t.Helper()
	m, err := Metadata{ICCID: iccid}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	e, _ := bertlv.Parse(m)
	return value(e, tagICCID)
}

func switchRequest(t testing.TB, tag bertlv.Tag, iccid string, refresh bool) []byte {
	t.Helper()
	flag := byte(0)
	if refresh {
		flag = 0xFF
	}
	var b bertlv.Builder
	return b.Open(tag).Open(0xA0).Put(0x5A, iccidBytes(t, iccid)).Close().Put(0x81, []byte{flag}).Close().Bytes()
}

func deleteRequest(t testing.TB, iccid string) []byte {
	t.Helper()
	return bertlv.Encode(0xBF33, bertlv.Encode(0x5A, iccidBytes(t, iccid)))
}

func asSE(err error) *apdu.StatusError {
	var se *apdu.StatusError
	errors.As(err, &se)
	return se
}
