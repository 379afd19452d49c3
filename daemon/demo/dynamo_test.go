//go:build linux && !nodemo

package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/dynamo"
	"dynamod/daemon/dynamo/directory"
	"dynamod/daemon/dynamo/moapi"
)

// TestRunDynamo asks `dynamod sim dynamo` as a router does, by the files that it
// leaves for one.
func TestRunDynamo(t *testing.T) {
	const iccid = "8900101000000000019"
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, told := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- RunDynamo(ctx, DynamoSim{Dir: dir, ICCIDs: []string{iccid}, MB: 100, Out: told})
		told.Close()
	}()
	ready := make([]byte, 4096)
	n, err := out.Read(ready) // it is told once the files are there
	if err != nil {
		t.Fatal(err, <-ended)
	}
	go io.Copy(io.Discard, out)
	if text := string(ready[:n]); !strings.Contains(text, "[dynamo]\ndirectory = \"https://127.0.0.1:") {
		t.Error(text)
	}
	var f dynamoFile
	read := func(path string) []byte {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err := json.Unmarshal(read(filepath.Join(dir, "dynamo.json")), &f); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(f.Token); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v %v", info.Mode(), err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(read(f.CA)) {
		t.Fatal("no certificate")
	}
	rt := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer rt.CloseIdleConnections()
	c := directory.NewClient(f.Directory, strings.TrimSpace(string(read(f.Token))), "", rt, dynamo.NewTransactionID, time.Now)
	list, err := c.Balances(ctx, iccid, moapi.BalanceQuery{Limit: 1})
	if err != nil || len(list) != 1 || *list[0].Data != 100 {
		t.Errorf("%+v %v", list, err)
	}
	if l, err := c.Operators(ctx, directory.Query{ESIMCapable: true}); err != nil || len(l.Operators) != 1 || l.Operators[0].Name != "Lab Mobile" {
		t.Errorf("%+v %v", l, err)
	}
	resp, err := (&http.Client{Transport: rt}).Get(f.Portal + "?iccid=" + iccid + "&location=DE&market=DE&transactionId=t")
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || !strings.Contains(string(page), "Top up this line") {
		t.Errorf("%d %s", resp.StatusCode, page)
	}
	if _, err := directory.NewClient(f.Directory, "guess", "", rt, dynamo.NewTransactionID, time.Now).Balances(ctx, iccid, moapi.BalanceQuery{}); err == nil {
		t.Error("any token will do")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "dynamo.json")); !os.IsNotExist(err) {
		t.Errorf("dynamo.json stays: %v", err)
	}
}
