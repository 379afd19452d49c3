package lpa

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/es10"
)

// answer is a card that gives one answer.
type answer []byte

func (a answer) StoreData(context.Context, []byte) ([]byte, error) { return a, nil }

// Every result that the ASN.1 of SGP.22's annex H gives a function, from the
// bytes of the card to the code, the retry class and the advice of the error.
func TestEveryResult(t *testing.T) {
	ctx := t.Context()
	run := map[string]func(es10.Channel) error{
		"setDefaultDpAddress":        func(c es10.Channel) error { _, err := es10.SetDefaultDpAddress{}.Execute(ctx, c); return err },
		"prepareDownload":            func(c es10.Channel) error { _, err := es10.PrepareDownload{}.Execute(ctx, c); return err },
		"listNotification":           func(c es10.Channel) error { _, err := es10.ListNotification{}.Execute(ctx, c); return err },
		"retrieveNotificationsList":  func(c es10.Channel) error { _, err := es10.RetrieveNotificationsList{}.Execute(ctx, c); return err },
		"removeNotificationFromList": func(c es10.Channel) error { _, err := es10.RemoveNotificationFromList{}.Execute(ctx, c); return err },
		"authenticateServer":         func(c es10.Channel) error { _, err := es10.AuthenticateServer{}.Execute(ctx, c); return err },
		"cancelSession":              func(c es10.Channel) error { _, err := es10.CancelSession{}.Execute(ctx, c); return err },
		"getProfilesInfo":            func(c es10.Channel) error { _, err := es10.GetProfilesInfo{}.Execute(ctx, c); return err },
		"enableProfile":              func(c es10.Channel) error { _, err := es10.EnableProfile{}.Execute(ctx, c); return err },
		"disableProfile":             func(c es10.Channel) error { _, err := es10.DisableProfile{}.Execute(ctx, c); return err },
		"deleteProfile":              func(c es10.Channel) error { _, err := es10.DeleteProfile{}.Execute(ctx, c); return err },
		"eUICCMemoryReset":           func(c es10.Channel) error { _, err := es10.EuiccMemoryReset{}.Execute(ctx, c); return err },
		"setNickname":                func(c es10.Channel) error { _, err := es10.SetNickname{}.Execute(ctx, c); return err },
	}
	// Response with XX for the number; the results of the ENUMERATED in order.
	const table = `
		setDefaultDpAddress        BF3F038001XX              undefinedError=7F
		prepareDownload            BF2109A107800201020201XX  invalidCertificate=01 invalidSignature=02 unsupportedCurve=03 noSessionContext=04 invalidTransactionId=05 undefinedError=7F
		listNotification           BF28038101XX              undefinedError=7F
		retrieveNotificationsList  BF2B038101XX              noResultAvailable=01 undefinedError=7F
		removeNotificationFromList BF30038001XX              nothingToDelete=01 undefinedError=7F
		authenticateServer         BF3809A107800201020201XX  invalidCertificate=01 invalidSignature=02 unsupportedCurve=03 noSessionContext=04 invalidOid=05 euiccChallengeMismatch=06 ciPKUnknown=07 undefinedError=7F
		cancelSession              BF41038101XX              invalidTransactionId=05 undefinedError=7F
		getProfilesInfo            BF2D038101XX              incorrectInputValues=01 undefinedError=7F
		enableProfile              BF31038001XX              iccidOrAidNotFound=01 profileNotInDisabledState=02 disallowedByPolicy=03 wrongProfileReenabling=04 catBusy=05 undefinedError=7F
		disableProfile             BF32038001XX              iccidOrAidNotFound=01 profileNotInEnabledState=02 disallowedByPolicy=03 catBusy=05 undefinedError=7F
		deleteProfile              BF33038001XX              iccidOrAidNotFound=01 profileNotInDisabledState=02 disallowedByPolicy=03 undefinedError=7F
		eUICCMemoryReset           BF34038001XX              nothingToDelete=01 catBusy=05 undefinedError=7F
		setNickname                BF29038001XX              iccidNotFound=01 undefinedError=7F`
	unknown := euicc.DiagnoseResult("", "")
	for line := range strings.Lines(strings.TrimSpace(table)) {
		f := strings.Fields(line)
		for _, row := range append(f[2:], "99=63") {
			name, number, _ := strings.Cut(row, "=")
			b, err := hex.DecodeString(strings.Replace(f[1], "XX", number, 1))
			if err != nil {
				t.Fatal(err)
			}
			err = run[f[0]](answer(b))
			if !errors.As(err, new(*es10.ResultError)) {
				t.Errorf("%s %s: %v", f[0], name, err)
				continue
			}
			e := diagnose(ctx, euicc.StageInfo, err)
			if e.Code != "es10-"+f[0]+"-"+name || e.Text == "" || e.Advice == "" || e.Retry == "" {
				t.Errorf("%s %s: %+v", f[0], name, e)
			}
			if (e.Text == unknown.Text) != (name == "99") {
				t.Errorf("%s %s has no row of its own: %s", f[0], name, e.Text)
			}
		}
	}
}
