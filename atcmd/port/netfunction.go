package port

import (
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"dynamod/atcmd/dialect"
)

// NetFunction is one way in which a modem carries packets to the host, as the
// kernel sees it.
type NetFunction struct {
	Kind      dialect.Kind
	Interface string // the network interface; "" where the kernel has made none
	Driver    string // of the interface: "cdc_ether"; "" where none is bound
}

// drivers are those of Linux, and the makers' own, whose name tells what the
// modem speaks. sierra_net puts Ethernet frames around what AT has started;
// hso is raw IP that AT starts.
var drivers = map[string]dialect.Kind{
	"cdc_ether": dialect.ECM, "cdc_eem": dialect.ECM, "cdc_subset": dialect.ECM, "sierra_net": dialect.ECM,
	"cdc_ncm": dialect.NCM, "huawei_cdc_ncm": dialect.NCM,
	"rndis_host": dialect.RNDIS,
	"cdc_mbim":   dialect.MBIM,
	"qmi_wwan":   dialect.QMI, "qmi_wwan_q": dialect.QMI, "qmi_wwan_f": dialect.QMI, "qmi_wwan_s": dialect.QMI, "GobiNet": dialect.QMI,
	"bam-dmux": dialect.QMI, "ipa": dialect.QMI,
	"hso": dialect.RawIP,
}

// usbClasses are classes of USB's communication devices (USB CDC 1.2, table 4;
// NCM, MBIM; RNDIS as Windows and Linux know it), by which a function is known
// that no driver is bound to. QMI has no class.
var usbClasses = map[string]dialect.Kind{
	"02/06": dialect.ECM, "02/0c": dialect.ECM,
	"02/0d":    dialect.NCM,
	"02/0e":    dialect.MBIM,
	"02/02/ff": dialect.RNDIS, "e0/01/03": dialect.RNDIS, "ef/04/01": dialect.RNDIS,
}

// NetFunctions lists the data functions of the device that an AT port belongs
// to: those with a network interface first, by its name. None means that the
// device has AT ports alone, or that its network interface is elsewhere.
func (t Tree) NetFunctions(path string) []NetFunction {
	var found []NetFunction
	for _, dir := range t.Above(path, 5) {
		for _, glob := range []string{"net/*", "*/net/*", "wwan/*/net/*"} {
			nets, err := filepath.Glob(filepath.Join(dir, glob))
			if err != nil {
				continue // only a bad pattern is an error
			}
			for _, net := range nets {
				f := t.netFunction(path, net)
				if !slices.Contains(found, f) {
					found = append(found, f)
				}
			}
		}
		if len(found) > 0 {
			break
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Interface < found[j].Interface })
	return append(found, t.unbound(path)...)
}

// FunctionOf is the data function behind a network interface, also behind one
// that multiplexes it (qmimux0), and false if it is none of the device's.
func (t Tree) FunctionOf(path, ifname string) (NetFunction, bool) {
	lower, err := filepath.Glob(filepath.Join(t.sys(), "class/net", ifname, "lower_*"))
	if err == nil && len(lower) == 1 {
		ifname = strings.TrimPrefix(filepath.Base(lower[0]), "lower_")
	}
	for _, f := range t.NetFunctions(path) {
		if ifname != "" && f.Interface == ifname {
			return f, true
		}
	}
	return NetFunction{}, false
}

// netFunction tells what a network interface of a device carries: its driver
// names it; else the control ports beside it, which the kernel's wwan class
// has; else AT starts it, and its type says whether it carries frames.
func (t Tree) netFunction(path, net string) NetFunction {
	f := NetFunction{Interface: filepath.Base(net)}
	for dir, n := filepath.Dir(filepath.Dir(net)), 0; n < 4 && len(dir) > len(t.sys()); dir, n = filepath.Dir(dir), n+1 {
		if driver, err := os.Readlink(filepath.Join(dir, "driver")); err == nil {
			f.Driver = filepath.Base(driver)
			break
		}
	}
	f.Kind = drivers[f.Driver]
	if f.Kind == "" {
		f.Kind = t.wwanControl(path)
	}
	if f.Kind == "" {
		f.Kind = dialect.RawIP
		if attribute(net, "type") == "1" { // ARPHRD_ETHER
			f.Kind = dialect.ECM
		}
	}
	return f
}

// wwanControl is the protocol of the control ports that the wwan class has
// beside an AT port, "" where there are none.
func (t Tree) wwanControl(path string) dialect.Kind {
	whole := t.Physical(path)
	ports, err := filepath.Glob(filepath.Join(t.sys(), "class/wwan/wwan*"))
	if err != nil || whole == "" {
		return ""
	}
	var kind dialect.Kind
	for _, port := range ports {
		dir, err := filepath.EvalSymlinks(port)
		if err != nil || !strings.HasPrefix(dir, whole+"/") {
			continue
		}
		switch name := strings.TrimLeft(strings.TrimPrefix(filepath.Base(dir), "wwan"), "0123456789"); {
		case strings.HasPrefix(name, "mbim"):
			kind = dialect.MBIM
		case strings.HasPrefix(name, "qmi") && kind == "":
			kind = dialect.QMI
		}
	}
	return kind
}

// unbound lists the data functions of a USB device that have no network
// interface. Where they have no driver either, the kernel lacks it.
func (t Tree) unbound(path string) (found []NetFunction) {
	interfaces, err := filepath.Glob(filepath.Join(t.Physical(path), "*:*"))
	if err != nil || t.Physical(path) == "" {
		return nil
	}
	for _, dir := range interfaces {
		if nets, err := filepath.Glob(filepath.Join(dir, "net/*")); err != nil || len(nets) > 0 {
			continue
		}
		var driver string
		if to, err := os.Readlink(filepath.Join(dir, "driver")); err == nil {
			driver = filepath.Base(to)
			if drivers[driver] == "" && driver != "cdc_wdm" {
				continue // a serial port of some kind
			}
		}
		class := attribute(dir, "bInterfaceClass") + "/" + attribute(dir, "bInterfaceSubClass")
		kind := usbClasses[class]
		if kind == "" {
			kind = usbClasses[class+"/"+attribute(dir, "bInterfaceProtocol")]
		}
		if f := (NetFunction{Kind: kind, Driver: driver}); kind != "" && !slices.Contains(found, f) {
			found = append(found, f)
		}
	}
	return found
}

func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || len(b) > 64 {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(string(b)))
}
