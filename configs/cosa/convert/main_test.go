package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"
)

// The file that `make cosa-db` converts.
const installed = "/usr/share/mobile-broadband-provider-info/serviceproviders.xml"

// What is committed is what the converter makes of the file that rejected.txt names.
func TestConvertIsReproducible(t *testing.T) {
	rejected, err := os.ReadFile("../data/rejected.txt")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(installed)
	if err != nil {
		t.Skipf("mobile-broadband-provider-info is not installed: %v", err)
	}
	if sum := fmt.Sprintf("sha256: %x\n", sha256.Sum256(data)); !bytes.Contains(rejected, []byte(sum)) {
		t.Skip("the installed mobile-broadband-provider-info is another version; `make cosa-db` converts it")
	}
	first, _, _ := strings.Cut(string(rejected), "\n")
	version := strings.TrimSuffix(strings.TrimPrefix(first, "source: mobile-broadband-provider-info "), ", serviceproviders.xml")
	gotDB, gotRejected, err := convert(data, version)
	if err != nil {
		t.Fatal(err)
	}
	wantDB, err := os.ReadFile("../data/operators.tsv")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(gotDB, wantDB) || !bytes.Equal(gotRejected, rejected) {
		t.Error("configs/cosa/data is not what the converter makes; run `make cosa-db`")
	}
}

func TestConvertErrors(t *testing.T) {
	if _, _, err := convert([]byte("<html/>"), "1"); err == nil {
		t.Error("HTML was converted")
	}
}
