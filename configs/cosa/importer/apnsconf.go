package importer

import (
	"encoding/xml"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"dynamod/configs/cosa"
)

// apnsConf reads Android's apns-conf.xml, in AOSP's form (one file) and in
// LineageOS' (a file for each country, named by its code). Rows of one MCC+MNC
// and one MVNO key make up a profile, in the file's order.
//
// What Android's matcher does with an MVNO key (ApnSetting.mvnoMatches): spn
// without case; imsi a prefix in which x is any digit; gid a prefix of GID1
// without case; iccid a list of prefixes.
type apnsConf struct {
	*reader
	file    *File
	country string
	index   map[string]int // key of the rows to the profile's place
	named   map[int]bool   // profiles that have the name of a row for the internet
}

func readAPNsConf(rd *reader, file *File) error {
	a := &apnsConf{reader: rd, file: file, index: map[string]int{}, named: map[int]bool{}}
	stem := strings.TrimSuffix(filepath.Base(file.Report.File), filepath.Ext(file.Report.File))
	if len(stem) == 2 {
		a.country = strings.ToLower(stem)
	}
	for {
		tok, err := a.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if start, ok := tok.(xml.StartElement); ok && strings.EqualFold(start.Name.Local, "apn") && a.depth == 2 {
			if err := a.row(start.Attr); err != nil {
				return err
			}
		}
	}
}

func (a *apnsConf) row(attrs []xml.Attr) error {
	line := a.line
	get := func(name string) string { return strings.TrimSpace(attrOf(attrs, name)) }
	mcc, mnc, carrier := get("mcc"), get("mnc"), oneLine(get("carrier"))
	what := fmt.Sprintf("%s-%s, %s: apn %q", mcc, mnc, carrier, attrOf(attrs, "apn"))
	refuse := func(why string) error {
		a.file.Report.refuse(line, what, why)
		return a.file.bounded()
	}

	if !isDigits(mcc, 3, 3) || !isDigits(mnc, 2, 3) {
		return refuse("mcc and mnc are not three digits and two or three digits")
	}
	var lost []string
	target := cosa.Target{MCCMNC: []string{mcc + mnc}}
	mvno, data := strings.ToLower(get("mvno_type")), get("mvno_match_data")
	switch {
	case mvno == "" && data != "":
		lost = append(lost, "mvno_match_data without mvno_type")
	case mvno == "imsi" && data != "" && strings.HasPrefix(mcc+mnc, data):
		lost = append(lost, "the IMSI prefix says no more than mcc and mnc: taken as the network's own row")
		mvno = ""
	}
	if why := mvnoKey(&target, mvno, data); why != "" {
		return refuse(why)
	}
	if why := target.Check(); why != "" {
		return refuse(why)
	}

	c, why := androidConnection(attrs, &lost)
	c.FriendlyName = carrier
	if why == "" {
		why = c.Check()
	}
	if why != "" {
		return refuse(why)
	}

	id := "apns:" + a.country + "/" + mcc + mnc
	if mvno != "" {
		id += "/" + mvno + "=" + strings.ToLower(data)
	}
	if len(id) > 150 { // a long list of card numbers
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(id))
		id = fmt.Sprintf("%s...%016x", strings.ToValidUTF8(id[:100], ""), hash.Sum64())
	}
	at, there := a.index[id]
	if !there {
		p := cosa.OperatorProfile{
			ID: id, Name: carrier, Country: a.country, Source: cosa.SourceLocal, Origin: a.file.Report.File,
			Rank: cosa.DefaultRank, Targets: []cosa.Target{target},
		}
		if why := p.Check(); why != "" {
			return refuse(why)
		}
		if err := a.file.add(p); err != nil {
			return err
		}
		at = len(a.file.Profiles) - 1
		a.index[id] = at
	}
	if why, err := a.file.addConnection(at, c); err != nil || why != "" {
		if why != "" {
			return refuse(why)
		}
		return err
	}
	// The operator's name is that of its first row for the internet: others say
	// "MMS" or "Emergency".
	if c.For(cosa.Internet) && !a.named[at] {
		a.file.Profiles[at].Name, a.named[at] = carrier, true
	}
	for _, l := range lost {
		a.file.Report.lose(line, what, l)
	}
	return nil
}

// mvnoKey adds the condition of an MVNO row to the target.
func mvnoKey(t *cosa.Target, mvno, data string) (why string) {
	if mvno != "" && data == "" {
		return "mvno_type " + strconv.Quote(mvno) + " without mvno_match_data"
	}
	switch mvno {
	case "":
	case "spn":
		t.SPN = []string{data}
	case "imsi":
		for p := range strings.SplitSeq(data, ",") {
			t.IMSIPattern = append(t.IMSIPattern, cosa.Pattern(strings.ToLower(strings.TrimSpace(p))))
		}
	case "gid":
		for p := range strings.SplitSeq(data, ",") {
			t.GID1 = append(t.GID1, cosa.GID{Hex: strings.ToUpper(strings.TrimSpace(p)), Prefix: true})
		}
	case "iccid":
		for p := range strings.SplitSeq(data, ",") {
			p = strings.TrimSpace(p)
			t.ICCID = append(t.ICCID, cosa.Range{Lo: p, Hi: p})
		}
	default:
		return "mvno_type " + strconv.Quote(mvno) + " is not known"
	}
	return ""
}

// Android's APN types. Those without a purpose here serve nothing that a
// router has: they are for the phone's own services.
var androidTypes = map[string]cosa.Purposes{
	"default": cosa.Purposes(cosa.Internet), "hipri": cosa.Purposes(cosa.Internet), "dun": cosa.Purposes(cosa.Tethering),
	"mms": cosa.Purposes(cosa.MMS), "supl": cosa.Purposes(cosa.SUPL), "ims": cosa.Purposes(cosa.IMS), "ia": cosa.Purposes(cosa.Attach),
	"fota": cosa.Purposes(cosa.Admin), "cbs": cosa.Purposes(cosa.Application), "emergency": cosa.Purposes(cosa.Emergency),
	// All but the attach (ApnSetting.TYPE_ALL).
	"*": cosa.Purposes(cosa.Internet | cosa.Tethering | cosa.MMS | cosa.SUPL | cosa.IMS | cosa.Admin | cosa.Application),
}

// What is kept in Ext, and serves nobody here.
var androidExtras = []string{
	"mmsc", "mmsproxy", "mmsport", "proxy", "port", "server", "carrier_id", "profile_id", "apn_set_id",
	"skip_464xlat", "max_conns", "wait_time", "max_conns_time", "modem_cognitive", "infrastructure_bitmask", "mtu_v6",
}

// Of those, the ones whose loss changes what a data connection does.
var androidLosses = map[string]string{
	"proxy": "a proxy is not used", "skip_464xlat": "there is no 464XLAT", "infrastructure_bitmask": "satellite and cellular are not told apart",
}

// androidConnection maps the attributes of a row.
func androidConnection(attrs []xml.Attr, lost *[]string) (c cosa.Connection, why string) {
	get := func(name string) string { return strings.TrimSpace(attrOf(attrs, name)) }
	lose := func(format string, args ...any) { *lost = append(*lost, fmt.Sprintf(format, args...)) }

	raw := attrOf(attrs, "apn")
	if raw == "" && !slices.ContainsFunc(attrs, func(a xml.Attr) bool { return strings.EqualFold(a.Name.Local, "apn") }) {
		return c, "no apn: one that is empty lets the network assign it"
	}
	if c.APN = strings.TrimSpace(raw); c.APN != raw {
		lose("blanks around the APN removed")
	}
	types := get("type")
	if types == "" {
		types = "*"
	}
	for t := range strings.SplitSeq(types, ",") {
		t = strings.ToLower(strings.TrimSpace(t))
		if p, ok := androidTypes[t]; ok {
			c.Purposes |= p
		} else if t != "" {
			lose("type %s has no purpose here", t)
		}
	}
	if get("esim_bootstrap_provisioning") == "true" || get("esim_bootstrap_provisioning") == "1" {
		c.Purposes = cosa.Purposes(cosa.ESIMProvisioning)
	}
	if c.Purposes == 0 {
		return c, "type " + strconv.Quote(types) + " serves nothing that a router has"
	}

	var ok bool
	if c.IPType, ok = androidProtocol(get("protocol")); !ok {
		return c, "protocol " + strconv.Quote(get("protocol")) + " carries no IP"
	}
	if c.RoamingIPType, ok = androidProtocol(get("roaming_protocol")); !ok {
		lose("roaming_protocol %q carries no IP", get("roaming_protocol"))
	}
	if c.AcT, why = androidAcT(get("bearer"), get("bearer_bitmask"), get("network_type_bitmask")); why != "" {
		return c, why
	}

	c.Username, c.Password = get("user"), cosa.Secret(attrOf(attrs, "password"))
	switch auth := get("authtype"); auth {
	case "", "-1":
	case "0":
		c.Auth = cosa.AuthNone
	case "1":
		c.Auth = cosa.PAP
	case "2":
		c.Auth = cosa.CHAP
	case "3":
		c.Auth = cosa.PAPOrCHAP
	default:
		lose("authtype %q is not known", auth)
	}
	if c.Auth > cosa.AuthNone && c.Username == "" && c.Password == "" {
		lose("authtype %s without user and password", get("authtype"))
		c.Auth = cosa.AuthUnset
	}

	flags := func(name string, to *cosa.Flag) {
		switch v := strings.ToLower(get(name)); v {
		case "":
		case "true", "1":
			*to = cosa.FlagOn
		case "false", "0":
			*to = cosa.FlagOff
		default:
			lose("%s %q is neither true nor false", name, v)
		}
	}
	flags("carrier_enabled", &c.Enabled)
	flags("always_on", &c.AlwaysOn)
	for _, name := range []string{"mtu", "mtu_v4"} {
		if s := get(name); s != "" && s != "0" && c.MTU == 0 {
			if n, err := strconv.Atoi(s); err == nil && n >= cosa.MinMTU && n <= cosa.MaxMTU {
				c.MTU = n
			} else {
				lose("%s %q is not in %d..%d", name, s, cosa.MinMTU, cosa.MaxMTU)
			}
		}
	}
	for _, name := range androidExtras {
		s := oneLine(get(name))
		if s == "" || s == "0" || len(s) > maxExtra {
			continue
		}
		c.Ext = append(c.Ext, cosa.ExtField{Key: name, Value: s})
		if loss := androidLosses[name]; loss != "" && (name != "proxy" || c.Purposes.Has(cosa.Internet)) {
			lose("%s", loss)
		}
	}
	c.Ext.Sort()
	return c, ""
}

// maxExtra bounds what is kept of an attribute that nobody here uses.
const maxExtra = 200

func androidProtocol(s string) (cosa.IPType, bool) {
	switch strings.ToUpper(s) {
	case "":
		return cosa.IPTypeUnset, true
	case "IP", "IPV4":
		return cosa.IPv4, true
	case "IPV6":
		return cosa.IPv6, true
	case "IPV4V6":
		return cosa.IPv4v6, true
	}
	return cosa.IPTypeUnset, false
}

// Android names access technologies by two lists of numbers: `bearer` and
// `bearer_bitmask` by those of ServiceState (RIL_RADIO_TECHNOLOGY_*),
// `network_type_bitmask` by those of TelephonyManager (NETWORK_TYPE_*). Numbers
// that are not here are CDMA, iDEN or Wi-Fi.
var (
	radioTechnology = map[string]cosa.AcT{
		"1": cosa.GSM, "2": cosa.GSM, "16": cosa.GSM,
		"3": cosa.UMTS, "9": cosa.UMTS, "10": cosa.UMTS, "11": cosa.UMTS, "15": cosa.UMTS, "17": cosa.UMTS,
		"14": cosa.LTE, "19": cosa.LTE, "20": cosa.NR,
	}
	networkType = map[string]cosa.AcT{
		"1": cosa.GSM, "2": cosa.GSM, "16": cosa.GSM,
		"3": cosa.UMTS, "8": cosa.UMTS, "9": cosa.UMTS, "10": cosa.UMTS, "15": cosa.UMTS, "17": cosa.UMTS,
		"13": cosa.LTE, "19": cosa.LTE, "20": cosa.NR,
	}
)

// androidAcT returns the access technologies, none where all of ours are named.
func androidAcT(bearer, bearers, types string) (set cosa.AcTs, why string) {
	list, names := strings.Split(bearers, "|"), radioTechnology
	switch {
	case types != "":
		list, names = strings.Split(types, "|"), networkType
	case bearers == "" && (bearer == "" || bearer == "0"):
		return 0, ""
	case bearers == "":
		list = []string{bearer}
	}
	for _, n := range list {
		n = strings.TrimSpace(n)
		if n == "0" {
			return 0, ""
		}
		set |= cosa.AcTs(names[n])
	}
	if set == 0 {
		return 0, "only for CDMA or Wi-Fi"
	}
	if set == cosa.AllAcTs {
		return 0, ""
	}
	return set, ""
}
