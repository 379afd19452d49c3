package lpa

import (
	"context"
	"fmt"
	"testing"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/bsp"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// function is what went through a channel for one function of the ISD-R.
type function struct {
	tag               string
	commands          int // STORE DATA and GET RESPONSE
	request, response int // bytes of data
}

// meter is a way to a card that notes what goes through it, and what an AT line
// would carry for that (3GPP TS 27.007, 8.43): echo off, one digit of session.
type meter struct {
	apdu.Transport
	opens, closes, commands int
	functions               []function
	atOut, atIn             int // bytes from and to the host
	slow                    func(tag string, line int)
}

// line counts a command of a function, "" for none, and takes its time.
func (m *meter) line(tag string, out, in int) {
	m.atOut += out
	m.atIn += in
	if m.slow != nil {
		m.slow(tag, out+in)
	}
}

func (m *meter) Open(ctx context.Context, aid []byte) (string, error) {
	m.opens++
	m.line("", len("AT+CCHO=\"\"\r")+2*len(aid), len("\r\n+CCHO: 1\r\n\r\nOK\r\n"))
	return m.Transport.Open(ctx, aid)
}

func (m *meter) Close(ctx context.Context, session string) error {
	m.closes++
	m.line("", len("AT+CCHC=1\r"), len("\r\nOK\r\n"))
	return m.Transport.Close(ctx, session)
}

func (m *meter) Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error) {
	resp, err := m.Transport.Transmit(ctx, session, cmd)
	if err != nil {
		return nil, err
	}
	c, err := apdu.ParseCommand(cmd)
	if err != nil {
		return nil, err
	}
	if c.INS == 0xE2 && c.P2 == 0 {
		tag, _, _, err := bertlv.Header(c.Data)
		if err != nil {
			return nil, err
		}
		m.functions = append(m.functions, function{tag: tag.String()})
	}
	f := &m.functions[len(m.functions)-1]
	f.commands++
	f.request += len(c.Data)
	f.response += len(resp) - 2
	m.commands++
	m.line(f.tag, len(fmt.Sprintf("AT+CGLA=1,%d,\"\"\r", 2*len(cmd)))+2*len(cmd), len(fmt.Sprintf("\r\n+CGLA: %d,\"\"\r\n\r\nOK\r\n", 2*len(resp)))+2*len(resp))
	return resp, nil
}

func ceil(n, by int) int { return (n + by - 1) / by }

// profiles that are measured: the three of GSMA TS.48 and a long one.
var measured = []string{"TS48V1-A-UNIQUE", "TS48V2-SAIP2-1-BERTLV-UNIQUE", "TS48V5-SAIP2-3-BERTLV-SUCI-UNIQUE", "60kB"}

func measuredOrder(tb testing.TB, name string) smdpsim.Order {
	if name != "60kB" {
		return smdpsim.Order{UPP: ts48(tb, name)}
	}
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: testICCID, IMSI: "001010000000001", Filler: 59 << 10})
	if err != nil {
		tb.Fatal(err)
	}
	return smdpsim.Order{UPP: upp}
}

// The download procedure, from the challenge to the installation result, takes
// exactly as many APDUs as this formula gives, with commands of 255 bytes, answers
// chained at 256 (GET RESPONSE), protected segments whose 86 are 1,020 bytes in
// all, and replaced session keys:
//
//	2                                           to open and close the channel
//	+ sum over requests  of blocks(request)     GetEUICCChallenge, AuthenticateServer, PrepareDownload
//	+ sum over segments  of blocks(segment)     BF36+BF23, A0+87, A1, each 88, A2+87, A3, each 86
//	+ sum over responses of ceil(response/256)  GET RESPONSE; segments but the last have none
//
// where blocks(n) = ceil(n/255). What preflight reads (EID, EUICCInfo1, the block
// size) is apart.
func TestAPDUFormula(t *testing.T) {
	for _, name := range measured {
		t.Run(name, func(t *testing.T) {
			order := measuredOrder(t, name)
			l := newLab(t, func(c *euiccsim.Config) { c.GetResponse = true })
			m := &meter{Transport: l.card}
			l.cfg.Transport = m
			code := l.order(order)
			c := l.open()
			if _, err := c.Profiles(t.Context()); err != nil || c.BlockSize() != 255 {
				t.Fatal(err, c.BlockSize())
			}
			if _, err := c.Client(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.commands, m.functions = 0, nil
			o, err := c.Authenticate(t.Context(), code)
			if err != nil {
				t.Fatal(err)
			}
			var last Progress
			if r, err := o.Download(t.Context(), "", func(p Progress) { last = p }); err != nil || !r.Success {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			s := c.Stats().HTTP
			if s.Requests != 3 || s.Handshakes != 1 {
				t.Errorf("%d requests on %d handshakes, want 3 on 1", s.Requests, s.Handshakes)
			}

			if n := c.Stats().Buffers; n == 0 || n > 160<<10 {
				t.Errorf("%d bytes of buffers", n)
			}

			// The segments by the sizes of the profile, apart from what was sent.
			full, rest := len(order.UPP)/bsp.MaxPlain, len(order.UPP)%bsp.MaxPlain
			segments86 := 4 * full // 1,020 bytes are four full blocks
			if rest > 0 {
				segments86 += ceil(4+ceil(rest+1, 16)*16+bsp.MACLen, 255)
			}
			blocks, blocks86, responses, segmentBytes := 0, 0, 0, 0
			requests := map[string]int{}
			for i, f := range m.functions {
				n := ceil(f.request, 255)
				blocks += n
				responses += ceil(f.response, 256)
				if f.commands != n+ceil(f.response, 256) {
					t.Errorf("function %d (%s): %d APDUs for %d bytes and %d back", i, f.tag, f.commands, f.request, f.response)
				}
				requests[f.tag]++
				switch f.tag {
				case "86":
					blocks86 += n
					if f.request != 1020 && i != len(m.functions)-1 {
						t.Errorf("an 86 of %d bytes in the middle", f.request)
					}
					segmentBytes += f.request
				case "87", "88", "A0", "A1", "A2", "A3", "BF36":
					segmentBytes += f.request
				}
			}
			for _, tag := range []string{"BF2E", "BF38", "BF21", "BF36", "A0", "A1", "A2", "A3"} {
				if requests[tag] != 1 {
					t.Errorf("%s: %d times", tag, requests[tag])
				}
			}
			if blocks86 != segments86 || segmentBytes != last.TotalBytes {
				t.Errorf("%d blocks of 86, %d by the profile's size; %d bytes of segments, %d of package", blocks86, segments86, segmentBytes, last.TotalBytes)
			}
			want := 2 + blocks + responses
			if got := m.opens + m.closes + m.commands; got != want {
				t.Errorf("%d APDUs, %d by the formula", got, want)
			}
			t.Logf("profile of %d bytes: %d APDUs = 2 + %d blocks (%d of 86) + %d GET RESPONSE", len(order.UPP), want, blocks, blocks86, responses)
		})
	}
}
