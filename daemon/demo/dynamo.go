//go:build linux && !nodemo

package demo

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/durable"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/dynamo/directory"
	"dynamod/daemon/dynamo/dynamosim"
	"dynamod/daemon/dynamo/moapi"
)

// DynamoSim says how to run an operator's API and portal, and the directory service
// in front of them, for outside clients.
type DynamoSim struct {
	Dir      string   // for the files that clients need
	Listen   string   // host:port of the service; "" picks a port on 127.0.0.1
	ICCIDs   []string // lines of the operator
	MB       float64  // what each has left
	Postpaid bool
	Out      io.Writer
	Log      *slog.Logger
}

// dynamoFile is dynamo.json.
type dynamoFile struct {
	Directory string   `json:"directory"`
	Token     string   `json:"token_file"`
	CA        string   `json:"ca"`
	Portal    string   `json:"portal"` // to be opened with the parameters of docs/dynamo.md
	Lines     []string `json:"lines"`
	PID       int      `json:"pid"`
}

// lineName is the common name of the service's certificate for the operator.
const lineName = "directory.lab.test"

// RunDynamo keeps them running until ctx ends.
func RunDynamo(ctx context.Context, s DynamoSim) (err error) {
	if s.Dir == "" {
		return &ExitError{Code: 2, Err: errors.New("sim dynamo needs a directory"), Text: "dynamod sim dynamo --dir DIR"}
	}
	if s.Dir, err = filepath.Abs(s.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	host, _, err := net.SplitHostPort(cmp.Or(s.Listen, "127.0.0.1:0"))
	if err != nil {
		return &ExitError{Code: 2, Err: errors.New("the address to listen on is not HOST:PORT"), Text: "such as 127.0.0.1:8443"}
	}
	server, ca, err := selfSigned("127.0.0.1", host)
	if err != nil {
		return err
	}
	service, _, err := selfSigned(lineName)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	token := rand.Text()

	operator := dynamosim.New(Operator, time.Now)
	operator.ClientName = lineName
	operator.NewProfile = func(string) (string, string, error) {
		return "", "", errors.New("this operator has no SM-DP+: buy for a line that is there")
	}
	plan := dynamosim.Prepaid
	if s.Postpaid {
		plan = dynamosim.Postpaid
	}
	record := &cosa.OperatorProfile{
		ID: "lab", Name: Operator, Source: cosa.SourceLocal, Rank: cosa.DefaultRank,
		Portal: cosa.Portal{URL: PortalURL, CallbackHosts: []string{PortalHost}, MCCMNC: []string{PLMN}},
	}
	for _, iccid := range s.ICCIDs {
		operator.AddLine(iccid, plan, s.MB, 30*24*time.Hour)
		record.Portal.ICCIDRanges = append(record.Portal.ICCIDRanges, cosa.Range{Lo: iccid, Hi: iccid})
	}

	var servers []*http.Server
	failed := make(chan error, 3)
	defer func() {
		for _, srv := range servers {
			srv.Close()
		}
	}()
	serve := func(addr string, h http.Handler, clients tls.ClientAuthType) (string, error) {
		l, err := net.Listen("tcp", cmp.Or(addr, "127.0.0.1:0"))
		if err != nil {
			return "", err
		}
		srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: clients, MinVersion: tls.VersionTLS12}}
		servers = append(servers, srv)
		go func() { failed <- srv.ServeTLS(l, "", "") }()
		return "https://" + l.Addr().String(), nil
	}
	api, err := serve("", operator.API(), tls.RequestClientCert)
	if err != nil {
		return err
	}
	portal, err := serve("", operator.Portal(), tls.NoClientCert)
	if err != nil {
		return err
	}
	record.MOAPI.BaseURL = api + "/v1"
	rt := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{service}, MinVersion: tls.VersionTLS12}}
	defer rt.CloseIdleConnections()
	mo := moapi.New(record.MOAPI, rt, dynamo.NewTransactionID, time.Now)
	front := directoryOf(record, mo, token, s.Log)
	base, err := serve(s.Listen, front.Handler(), tls.NoClientCert)
	if err != nil {
		return err
	}

	file := dynamoFile{Directory: base, Token: filepath.Join(s.Dir, "token"), CA: filepath.Join(s.Dir, "dynamo-ca.pem"), Portal: portal + "/mp", Lines: s.ICCIDs, PID: os.Getpid()}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	for _, f := range []struct {
		path string
		text []byte
		perm os.FileMode
	}{{file.CA, ca, 0o644}, {file.Token, []byte(token + "\n"), 0o600}, {filepath.Join(s.Dir, "dynamo.json"), append(text, '\n'), 0o644}} {
		if err := durable.WriteFile(f.path, f.text, f.perm); err != nil {
			return err
		}
	}
	defer os.Remove(filepath.Join(s.Dir, "dynamo.json"))
	fmt.Fprintf(s.Out, "an operator and a directory service are running until interrupted; for a router's configuration:\n\n[dynamo]\ndirectory = %q\ntoken_file = %q\nca = %q\n\nportal: %s\n", file.Directory, file.Token, file.CA, file.Portal)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// directoryOf is the directory service of one operator, for one router.
func directoryOf(record *cosa.OperatorProfile, api *moapi.Client, token string, log *slog.Logger) *directory.Service {
	return &directory.Service{
		Operators: []*cosa.OperatorProfile{record}, Environment: "staging",
		Router: func(shown string) string {
			if subtle.ConstantTimeCompare([]byte(shown), []byte(token)) == 1 {
				return "router"
			}
			return ""
		},
		Countries: func(string) []string { return nil },
		Network:   func(string) (string, string) { return PLMN, "prefix" },
		Ask:       func(*cosa.OperatorProfile) *moapi.Client { return api },
		Log:       log, Now: time.Now,
	}
}

// selfSigned makes a certificate for names and addresses that is its own issuer, for
// a week. Its subject is the first of them.
func selfSigned(hosts ...string) (pair tls.Certificate, cert []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair, nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: hosts[0]}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(7 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else if host != "" {
			tmpl.DNSNames = append(tmpl.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return pair, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
