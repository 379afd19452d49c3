package modem

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"dynamod/atcmd/dialect"
)

// cellText writes a cell as one line, for comparison.
func cellText(c Cell) string {
	var parts []string
	add := func(name string, v any) {
		switch v := v.(type) {
		case *int:
			if v != nil {
				parts = append(parts, name+strconv.Itoa(*v))
			}
		case *float64:
			if v != nil {
				parts = append(parts, name+strconv.FormatFloat(*v, 'g', -1, 64))
			}
		}
	}
	parts = append(parts, string(c.RAT), c.MCC+"-"+c.MNC, c.AreaCode+"/"+c.CellID)
	add("pci", c.PCI)
	add("arfcn", c.ARFCN)
	if c.Band != 0 {
		parts = append(parts, "b"+strconv.Itoa(c.Band))
	}
	add("rsrp", c.RSRP)
	add("rsrq", c.RSRQ)
	add("sinr", c.SINR)
	add("rssi", c.RSSI)
	return strings.Join(parts, " ")
}

// Answers as manuals and users of the models have them.
var cellAnswers = []struct{ name, dialect, answer, want string }{
	{"EC25: LTE", "quectel", `+QENG: "servingcell","NOCONN","LTE","FDD",460,01,5F1EA15,12,1650,3,5,5,DE10,-99,-12,-68,11,27`,
		"lte 460-01 DE10/5F1EA15 pci12 arfcn1650 b3 rsrp-99 rsrq-12 rssi-68"},
	{"EC25: a one-digit MNC", "quectel", `+QENG: "servingcell","CONNECT","LTE","FDD",262,1,19BF801,12,1300,3,5,5,5D5,-99,-12,-68,11,-`,
		"lte 262-01 5D5/19BF801 pci12 arfcn1300 b3 rsrp-99 rsrq-12 rssi-68"},
	{"EC25: nothing found", "quectel", `+QENG: "servingcell","SEARCH"`, ""},
	{"EC25: WCDMA", "quectel", `+QENG: "servingcell","NOCONN","WCDMA",460,01,D5D6,80F6FA5,10713,177,1,-91,-4,-,-,-,-,-`,
		"umts 460-01 D5D6/80F6FA5 pci177 arfcn10713"},
	{"EC25: GSM", "quectel", `+QENG: "servingcell","NOCONN","GSM",460,01,550A,2BB9,35,673,1,-71,255,255,0,28,28,1,-,-,-,-,-,-,-,-,-,"-"`,
		"gsm 460-01 550A/2BB9 arfcn673"},
	{"RM500Q: 5G alone", "quectel", `+QENG: "servingcell","NOCONN","NR5G-SA","TDD",460,00,5E0B42003,121,690E13,504990,41,12,-84,-11,26,1,-`,
		"5g 460-00 690E13/5E0B42003 pci121 arfcn504990 b41 rsrp-84 rsrq-11 sinr26"},
	{"RM500Q: 5G beside LTE", "quectel", `+QENG: "servingcell","NOCONN"|+QENG: "LTE","FDD",214,07,90E0201,121,1300,3,5,5,816,-97,-19,-67,8,8,229,-|+QENG: "NR5G-NSA",214,07,434,-79,22,-10,636576,78,8,1`,
		"lte 214-07 816/90E0201 pci121 arfcn1300 b3 rsrp-97 rsrq-19 rssi-67; 5g 214-07 / pci434 arfcn636576 b78 rsrp-79 rsrq-10 sinr22"},
	{"RM500Q: no measurement", "quectel", `+QENG: "servingcell","LIMSRV","LTE","FDD",460,01,FFFFFFF,0,0,-,5,5,FFFF,-32768,-32768,-32768,-32768,-,-,-`,
		"lte 460-01 / pci0 arfcn0"},
	{"SIM7600: tenths", "simcom-7600", "+CPSI: LTE,Online,460-11,0x5A1E,187214780,257,EUTRAN-BAND3,1850,5,5,-94,-850,-545,15",
		"lte 460-11 5A1E/B28ABBC pci257 arfcn1850 b3 rsrp-85 rsrq-9.4 sinr15 rssi-54.5"},
	{"SIM7600 manual: coded levels are left out", "simcom-7600", "+CPSI: LTE,Online,460-01,0x230A,175499523,318,EUTRAN-BAND3,1650,5,0,21,67,255,19",
		"lte 460-01 230A/A75E903 pci318 arfcn1650 b3 sinr19"},
	{"SIM8202: 5G alone", "simcom", "+CPSI: NR5G_SA,Online,242-12,0x765D,4955280,0,NR5G_BAND78,640704,-770,-110,290",
		"5g 242-12 765D/4B9C90 pci0 arfcn640704 b78 rsrp-77 rsrq-11 sinr29"},
	{"SIM8202: 5G beside LTE", "simcom", "+CPSI: LTE,Online,460-11,0x5A1E,187214780,257,EUTRAN-BAND3,1850,5,5,-94,-850,-545,15|+CPSI: NR5G_NSA,644,NR5G_BAND78,627264,-960,-120,95",
		"lte 460-11 5A1E/B28ABBC pci257 arfcn1850 b3 rsrp-85 rsrq-9.4 sinr15 rssi-54.5; 5g - / pci644 arfcn627264 b78 rsrp-96 rsrq-12 sinr9.5"},
	{"SIM7600: no service", "simcom-7600", "+CPSI: NO SERVICE,Online", ""},
	{"LE910C1: no SINR", "telit", `#RFSTS: "286 01",1795,-101,-67,-15,2242,,128,3,1,0,0B5D121,"286016339612498","Turkcell",3,3,108`,
		"lte 286-01 2242/B5D121 arfcn1795 rsrp-101 rsrq-15 rssi-67"},
	{"ME910C1", "telit", `#RFSTS: "222 01",6300,-98,-70,-9,54C2,255,,128,19,1,0B4B010,"222013000000001","TIM",3,20,720,2000,12`,
		"lte 222-01 54C2/B4B010 arfcn6300 b20 rsrp-98 rsrq-9 sinr12 rssi-70"},
	{"LE910: UMTS is not taken for LTE", "telit", `#RFSTS: "222 10",10763,4,-5.0,-73,-72,8F07,46,0,,19,1,4,0,12C4F03,"222101000000001","voda IT",3,1`, ""},
	{"LE910C1: lines without empty columns", "telit", `#RFSTS: "310 410",5230,-101,-82,-11.5,00AF,,32,3,1,ABCDEF01,"310410123456789","AT&T",2,12,100`, ""},
	{"MC7455", "sierra", "!GSTATUS: |Current Time:  22016\t\tTemperature: 40|Reset Counter: 1\t\tMode:        ONLINE         |System mode:   LTE        \tPS state:    Attached     |LTE band:      B2     \t\tLTE bw:      20 MHz  |LTE Rx chan:   800\t\tLTE Tx chan: 18800|LTE CA state:  ACTIVE      \t\tLTE Scell band:B12    |LTE Scell bw:10 MHz  \t\tLTE Scell chan:5110|EMM state:     Registered     \tNormal Service |PCC RxM RSSI:  -45\t\tRSRP (dBm):  -81|PCC RxD RSSI:  -44\t\tRSRP (dBm):  -79|Tx Power:      15\t\tTAC:         8C65 (35666)|RSRQ (dB):     -14.0\t\tCell ID:     0A14666A (169106026)|SINR (dB):     11.2",
		"lte - 8C65/A14666A arfcn800 b2 rsrp-81 rsrq-14 sinr11.2 rssi-45"},
	{"EM9191: 5G alone", "sierra-5g", "!GSTATUS:|Current Time:  423212         Temperature: 36|System mode:   NR5G           PS state:    Not attached|NR5G TAC:        2d6600       NR5G Cell ID:    1C649D138 (7621693752)|NR5G MCC-MNC:    310-260|NR5G band:       n41          NR5G Carrier ID: 0|NR5G Rx chan:    521232|NR5G RSRP (dBm): -104        NR5G RSRQ (dB):  -15|NR5G SINR (dB):   0.5",
		"5g 310-260 2D6600/1C649D138 arfcn521232 b41 rsrp-104 rsrq-15 sinr0.5"},
	{"MC8705: WCDMA", "sierra", "!GSTATUS: |Current Time:  7833862          Temperature: 61|System mode:   WCDMA            PS state:    Attached     |WCDMA channel: 4436             GSM channel: 65535|RX level (dBm):-85",
		"umts - / arfcn4436"},
	{"MC7710: radio off", "sierra", "!GSTATUS: |System mode:   Unknown          PS state:    Not attached ", ""},
	{"SARA-R510", "ublox", "+UCGED: 2|6,4,001,01|2525,5,50,50,e8fe,1a2d001,1,d60814d1,8001,01,28,31,13.75,3,1,10,28,-50,-6,0,255,255,0",
		"lte 001-01 E8FE/1A2D001 pci1 arfcn2525 b5 rsrp-113 rsrq-4.5 sinr13.8"},
	{"SARA-R510: no cell", "ublox", "+UCGED: 2|6,2,fff,fff|65535,255,255,255,ffff,0000000,65535,00000000,ffff,ff,255,255,255,1,255,255,255,255,255,0,255,255,0",
		""},
	{"FM160-CN: LTE", "fibocom", "+GTCCINFO:|LTE service cell:|1,4,460,01,4F50,52BF337,672,1E4,103,100,44,63,63,24|LTE neighbor cell:|2,4,,,,,994,F4,,38,38,0",
		"lte 460-01 4F50/52BF337 pci484 arfcn1650 b3 rsrp-78 rsrq-8"},
	{"FM350-GL: 5G beside LTE", "fibocom-mtk", "+GTCCINFO:|LTE service cell:|1,4,262,1,05D5,0019BF801,1300,358,103,100,13,60,60,22|1,9,,,FFFFFFF,00FFFFFFF,641760,940,5078,450,19,76,76,84|LTE neighbor cell:|2,4,262,1,05D5,0019BF802,1300,359,100,50,52,18",
		"lte 262-01 5D5/19BF801 pci358 arfcn1300 b3 rsrp-81 rsrq-9; 5g - / pci940 arfcn641760 b78 rsrp-81 rsrq-1.5 sinr-14"},
	{"FM350-GL: each line with the tag", "fibocom-mtk", "+GTCCINFO: 1,4,262,1,05D5,0019BF801,1300,358,103,100,13,60,60,22",
		"lte 262-01 5D5/19BF801 pci358 arfcn1300 b3 rsrp-81 rsrq-9"},
	{"E3372: LTE", "huawei", "^MONSC: LTE,250,02,6350,1A2B3C,83,ABCD,-104,-12,-81",
		"lte 250-02 ABCD/1A2B3C pci131 arfcn6350 rsrp-104 rsrq-12 rssi-81"},
	{"MT5700M: 5G", "huawei", "^MONSC: NR,460,00,524910,1,C027F5065,114,14225C,-73,-9,24",
		"5g 460-00 14225C/C027F5065 pci276 arfcn524910 rsrp-73 rsrq-9 sinr24"},
	{"nRF9160", "nrf91", `%XMONITOR: 1,"","","24201","81AE",7,20,"0331C805",281,6400,47,42,"","00100001","00000110","01011111"`,
		"lte 242-01 81AE/331C805 pci281 arfcn6400 b20 rsrp-94 sinr17"},
	{"nRF9160: searching", "nrf91", "%XMONITOR: 2", ""},
}

func TestCells(t *testing.T) {
	for _, tt := range cellAnswers {
		d := dialect.ByName(tt.dialect)
		q := d.Cells[0]
		cells, err := newScript(t, q.Send, tt.answer).modem(tt.dialect).Cells(t.Context())
		var got []string
		for _, c := range cells {
			got = append(got, cellText(c))
		}
		if err != nil || strings.Join(got, "; ") != tt.want {
			t.Errorf("%s: %v\n got %s\nwant %s", tt.name, err, strings.Join(got, "; "), tt.want)
		}
	}
	if cells, err := newScript(t).modem("generic").Cells(t.Context()); err != nil || cells != nil {
		t.Errorf("no command: %v %v", cells, err)
	}
	if cells, err := newScript(t).modem("quectel").Cells(t.Context()); err != nil || cells != nil {
		t.Errorf("a model without the command: %v %v", cells, err)
	}
}

// FuzzCells holds every dialect's query to the bounds of a cell, and reads back
// what its shapes write.
func FuzzCells(f *testing.F) {
	for i, tt := range cellAnswers {
		f.Add(tt.answer, uint32(i*7919), uint16(i))
	}
	var queries []dialect.CellQuery
	for _, name := range dialect.Names() {
		queries = append(queries, dialect.ByName(name).Cells...)
	}
	f.Fuzz(func(t *testing.T, answer string, n uint32, pick uint16) {
		q := queries[int(pick)%len(queries)]
		for _, c := range ParseCells(strings.Split(answer, "|"), q) {
			checkCell(t, c)
		}
		for _, shape := range q.Lines {
			columns, err := dialect.ParseColumns(shape.Columns)
			if err != nil {
				t.Fatal(err)
			}
			if shape.RAT == "" {
				continue
			}
			want := Cell{RAT: shape.RAT}
			line := q.Tag + ": " + writeCell(columns, &want, n)
			got := ParseCells([]string{line}, q)
			if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
				t.Fatalf("%s\n got %+v\nwant %+v", line, got, want)
			}
		}
	})
}

func checkCell(t *testing.T, c Cell) {
	t.Helper()
	within := func(name string, v *float64, low, high float64) {
		if v != nil && !(*v >= low && *v <= high) {
			t.Errorf("%s %v", name, *v)
		}
	}
	within("RSRP", c.RSRP, -157, -30)
	within("RSRQ", c.RSRQ, -43.5, 0)
	within("SINR", c.SINR, -30, 50)
	within("RSSI", c.RSSI, -125, -15)
	if c.RAT == "" || c.Band < 0 || c.Band > 512 || c.PCI != nil && (*c.PCI < 0 || *c.PCI > 1007) ||
		c.MCC != "" && (len(c.MCC) != 3 || !digits(c.MCC)) || c.MNC != "" && (len(c.MNC) < 2 || len(c.MNC) > 3 || !digits(c.MNC)) ||
		strings.Trim(c.AreaCode+c.CellID, "0123456789ABCDEF") != "" || len(c.CellID) > 9 || len(c.AreaCode) > 6 {
		t.Errorf("%+v", c)
	}
}

// writeCell writes a line of the shape with values made from n, and notes in c
// what it must be read as.
func writeCell(columns []dialect.Column, c *Cell, n uint32) string {
	var out []string
	whole := func(column dialect.Column, v int) string {
		if column.Hex {
			return strconv.FormatInt(int64(v), 16)
		}
		return strconv.Itoa(v)
	}
	level := func(column dialect.Column, to **float64, v int) string {
		f := float64(v)
		*to = &f
		return strconv.FormatFloat((f-column.Offset)/column.Factor, 'f', -1, 64)
	}
	for _, column := range columns {
		text := "1"
		switch column.Name {
		case "":
			if column.Equal != "" {
				text = column.Equal
			}
		case "imsi":
			text = `"001010123456789"`
		case "mcc":
			c.MCC = fmt.Sprintf("%03d", n%1000)
			text = c.MCC
		case "mnc":
			c.MNC = fmt.Sprintf("%02d", n%100)
			text = c.MNC
		case "plmn":
			c.MCC, c.MNC = fmt.Sprintf("%03d", n%1000), fmt.Sprintf("%02d", n%100)
			text = `"` + c.MCC + " " + c.MNC + `"`
		case "tac":
			v := int(n%0xFFFE) + 1
			c.AreaCode = fmt.Sprintf("%X", v)
			text = whole(column, v)
		case "ci":
			v := int(n%0xFFFE) + 1
			c.CellID = fmt.Sprintf("%X", v)
			text = whole(column, v)
		case "pci":
			v := int(n % 504)
			c.PCI = &v
			text = whole(column, v)
		case "arfcn":
			v := int(n % 65535)
			c.ARFCN = &v
			text = whole(column, v)
		case "band":
			c.Band = int(n%88) + 1
			text = column.Cut + strconv.Itoa(c.Band-int(column.Offset))
		case "rsrp":
			text = level(column, &c.RSRP, -140+int(n%97))
		case "rsrq":
			text = level(column, &c.RSRQ, -19+int(n%17))
		case "sinr":
			text = level(column, &c.SINR, -20+int(n%50))
		case "rssi":
			text = level(column, &c.RSSI, -113+int(n%60))
		}
		out = append(out, text)
	}
	return strings.Join(out, ",")
}
