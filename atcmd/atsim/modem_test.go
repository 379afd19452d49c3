package atsim

import (
	"strings"
	"testing"
)

// TestCommands checks each command against the text of its standard.
func TestCommands(t *testing.T) {
	rows := []struct{ section, line, want string }{
		{"V.250 5.2.1 empty line", "AT", "OK"},
		{"V.250 5.2.1 lower case", "at", "OK"},
		{"V.250 5.2.3 concatenation", "ATE0V1+CMEE=1;X4;&C1;+CMEE?", "+CMEE: 1\nOK"},
		{"V.250 5.3.2 S register", "ATS3?", "013\nOK"},
		{"V.250 5.3.2 S register set", "ATS7=30S7?", "030\nOK"},
		{"V.250 5.4.3 unknown", "AT+NOSUCH", "ERROR"},
		{"V.250 5.4.3 unknown leaves the rest", "AT+NOSUCH;+CSQ", "ERROR"},
		{"V.250 6.1.9 GCAP", "AT+GCAP", "+GCAP: +CGSM\nOK"},
		{"27.007 5.1", "AT+CGMI", "Generic\nOK"},
		{"27.007 5.1 test", "AT+CGMI=?", "OK"},
		{"27.007 5.2", "AT+CGMM", "LTE-27007\nOK"},
		{"27.007 5.3", "AT+CGMR", "1.0\nOK"},
		{"27.007 5.4", "AT+CGSN", "490154203237518\nOK"},
		{"27.007 5.4 IMEI", "AT+CGSN=1", "+CGSN: \"490154203237518\"\nOK"},
		{"27.007 5.6", "AT+CIMI", "001010000000001\nOK"},
		{"27.007 5.5", "AT+CSCS?", "+CSCS: \"IRA\"\nOK"},
		{"27.007 5.5 set", `AT+CSCS="UCS2";+CSCS?;+CSCS="IRA"`, "+CSCS: \"0055004300530032\"\nOK"},
		{"27.007 7.2", "AT+CREG?", "+CREG: 0,1\nOK"},
		{"27.007 7.2 n=2", "AT+CREG=2;+CREG?", "+CREG: 2,1,\"0001\",\"01A2D001\",7\nOK"},
		{"27.007 10.1.20 on E-UTRAN", "AT+CGREG=2;+CGREG?", "+CGREG: 2,4\nOK"},
		{"27.007 10.1.22", "AT+CEREG=3;+CEREG?", "+CEREG: 3,1,\"0001\",\"01A2D001\",7\nOK"},
		{"27.007 10.1.22 range", "AT+CEREG=9", "+CME ERROR: 50"},
		{"27.007 10.1.47", "AT+C5GREG?", "+C5GREG: 0,4\nOK"},
		{"27.007 7.3", "AT+COPS=3,0;+COPS?", "+COPS: 0,0,\"Test Network\",7\nOK"},
		{"27.007 7.3 short", "AT+COPS=3,1;+COPS?", "+COPS: 0,1,\"Test Net\",7\nOK"},
		{"27.007 7.3 numeric", "AT+COPS=3,2;+COPS?", "+COPS: 0,2,\"00101\",7\nOK"},
		{"27.007 5.5 name in UCS2", `AT+CSCS="UCS2";+COPS=3,1;+COPS?;+CSCS="IRA"`, "+COPS: 0,1,\"00540065007300740020004E00650074\",7\nOK"},
		{"27.007 7.3 test", "AT+COPS=?", "+COPS: (2,\"Test Network\",\"Test Net\",\"00101\",7),,(0-4),(0-2)\nOK"},
		{"27.007 7.3 automatic", "AT+COPS=0", "OK"},
		{"27.007 7.4", `AT+CLCK="SC",2`, "+CLCK: 0\nOK"},
		{"27.007 8.1", "AT+CPAS", "+CPAS: 0\nOK"},
		{"27.007 8.2", "AT+CFUN?", "+CFUN: 1\nOK"},
		{"27.007 8.2 range", "AT+CFUN=77", "+CME ERROR: 50"},
		{"27.007 8.3", "AT+CPIN?", "+CPIN: READY\nOK"},
		{"27.007 8.3 not asked for", `AT+CPIN="1234"`, "+CME ERROR: 3"},
		{"27.007 8.5", "AT+CSQ", "+CSQ: 23,99\nOK"},
		{"27.007 8.69", "AT+CESQ", "+CESQ: 99,99,255,255,21,54\nOK"},
		{"27.007 8.15", "AT+CCLK?", "+CCLK: \"26/03/04,05:06:07+04\"\nOK"},
		{"27.007 8.17 SELECT MF", `AT+CSIM=14,"00A40004023F00"`, "+CSIM: 16,\"620483023F009000\"\nOK"},
		{"27.007 8.17 wrong length", `AT+CSIM=12,"00A40004023F00"`, "+CME ERROR: 50"},
		{"27.007 8.17 without quotes", `AT+CSIM=14,00A40004023F00`, "+CSIM: 16,\"620483023F009000\"\nOK"},
		{"27.007 8.18 EF_ICCID", "AT+CRSM=176,12258,0,0,10", "+CRSM: 144,0,\"980010000000000010F2\"\nOK"},
		{"27.007 8.18 EF_IMSI", "AT+CRSM=176,28423,0,0,9", "+CRSM: 144,0,\"080910100000000010\"\nOK"},
		{"27.007 8.18 pathid", `AT+CRSM=176,28423,0,0,9,,"3F007FFF"`, "+CRSM: 144,0,\"080910100000000010\"\nOK"},
		{"27.007 8.18 absent file", "AT+CRSM=176,28486,0,0,17", "+CRSM: 144,0,\"006C6162FFFFFF\"\nOK"},
		{"27.007 8.18 not there", "AT+CRSM=176,28599,0,0,15", "+CRSM: 106,130\nOK"},
		{"27.007 8.18 GET RESPONSE", "AT+CRSM=192,12258,0,0,0", "+CRSM: 144,0,\"620483022FE2\"\nOK"},
		{"27.007 8.18 EF_DIR", "AT+CRSM=178,12032,1,4,20", "+CRSM: 144,0,\"61124F10A0000000871002FF33FF018900000100\"\nOK"},
		{"27.007 8.65", `AT+CPINR="SIM PIN"`, "+CPINR: SIM PIN,3,3\nOK"},
		{"27.007 9.1", "AT+CMEE=2;+CFUN=77", "+CME ERROR: Incorrect parameters"},
		{"27.007 9.1 off", "AT+CMEE=0;+CFUN=77", "ERROR"},
		{"27.007 9.1 on", "AT+CMEE=1;+CFUN=77", "+CME ERROR: 50"},
		{"27.007 10.1.1", "AT+CGDCONT?", "+CGDCONT: 1,\"IP\",\"\",\"\",0,0\nOK"},
		{"27.007 10.1.1 define", `AT+CGDCONT=2,"IPV4V6","lab.test";+CGDCONT?`, "+CGDCONT: 1,\"IP\",\"\",\"\",0,0\n+CGDCONT: 2,\"IPV4V6\",\"lab.test\",\"\",0,0\nOK"},
		{"27.007 10.1.1 undefine", "AT+CGDCONT=1;+CGDCONT?", "+CGDCONT: 2,\"IPV4V6\",\"lab.test\",\"\",0,0\nOK"},
		{"27.007 10.1.1 type", `AT+CGDCONT=3,"X25","a"`, "+CME ERROR: 50"},
		{"27.007 10.1.31", `AT+CGAUTH=2,1,"user","pass";+CGAUTH?`, "+CGAUTH: 2,1,\"user\",\"pass\"\nOK"},
		{"27.007 10.1.9", "AT+CGATT?", "+CGATT: 1\nOK"},
		{"27.007 10.1.10", "AT+CGACT?", "+CGACT: 2,0\nOK"},
		{"27.007 10.1.10 activate", "AT+CGACT=1,2;+CGACT?", "+CGACT: 2,1\nOK"},
		{"27.007 10.1.10 undefined", "AT+CGACT=1,9", "+CME ERROR: 21"},
		{"27.007 10.1.14", "AT+CGPADDR=2", "+CGPADDR: 2,\"10.64.0.2\"\nOK"},
		{"27.007 10.1.14 test", "AT+CGPADDR=?", "+CGPADDR: (2)\nOK"},
		{"27.007 10.1.23", "AT+CGCONTRDP=2", "+CGCONTRDP: 2,6,\"lab.test\",\"10.64.0.2.255.255.255.252\",\"10.64.0.1\",\"10.64.0.1\",\"9.9.9.9\",,,0,0,1430\nOK"},
		{"27.007 10.1.23 test", "AT+CGCONTRDP=?", "+CGCONTRDP: (2)\nOK"},
		{"27.007 10.1.10 deactivate", "AT+CGACT=0,2;+CGACT?", "+CGACT: 2,0\nOK"},
		{"27.007 10.1.14 inactive", "AT+CGPADDR=2", "+CGPADDR: 2\nOK"},
		{"27.007 10.1.23 inactive", "AT+CGCONTRDP=2", "OK"},
		{"27.007 10.1.40", "AT+CGPIAF=1,1,0,1;+CGPIAF?", "+CGPIAF: 1,1,0,1\nOK"},
		{"27.005 3.2.3", "AT+CMGF=0", "OK"},
		{"27.005 3.2.3 text mode", "AT+CMGF=1", "+CMS ERROR: 303"},
		{"27.005 3.2.2", "AT+CPMS?", "+CPMS: \"ME\",0,25,\"ME\",0,25,\"ME\",0,25\nOK"},
		{"27.005 4.1 empty", "AT+CMGL=4", "OK"},
		{"27.005 4.2 no such message", "AT+CMGR=3", "+CMS ERROR: 321"},
		{"27.007 6.2 no voice", "ATD123;", "NO CARRIER"},
		{"27.007 7.15", "AT+CUSD=1", "OK"},
		{"27.007 5.9", "AT+WS46=?", "+WS46: (12,22,25,28,30,31)\nOK"},
	}
	b := newBench(t, nil)
	b.ok("AT+CMEE=1")
	for _, r := range rows {
		t.Run(r.section, func(t *testing.T) {
			b.lineClient.t = t
			b.want(r.line, r.want)
		})
	}
	b.lineClient.t = t
	if list := b.ok("AT+CLAC"); !strings.Contains(list, "+CGLA\n") {
		t.Errorf("+CLAC lacks +CGLA: %q", list)
	}
}
