package port

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dynamod/atcmd/dialect"
)

// usbInterface is one of a fake device: what lsusb and sysfs tell of it.
type usbInterface struct{ class, driver, net string } // class as "02/06/00"

// interfaces adds them to a device that is plugged in, from the given number on.
func (f *fakeTree) interfaces(device string, first int, list []usbInterface) {
	for i, u := range list {
		dir := usbRoot + "/" + device + "/" + device + ":1." + string(rune('0'+first+i))
		for j, part := range strings.Split(u.class, "/") {
			f.write(part+"\n", dir, []string{"bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol"}[j])
		}
		if u.driver != "" {
			f.link("../../../../bus/usb/drivers/"+u.driver, dir, "driver")
		}
		if u.net != "" {
			f.write("1\n", dir, "net", u.net, "type")
			f.link("../../../"+strings.TrimPrefix(usbRoot, "sys/")+"/"+filepath.Join(device, filepath.Base(dir), "net", u.net), "sys/class/net", u.net)
		}
	}
}

func TestNetFunctionsUSB(t *testing.T) {
	for _, tt := range []struct {
		name string
		list []usbInterface
		want []NetFunction
	}{
		{"Quectel EC25, usbnet 0", []usbInterface{{"ff/ff/ff", "qmi_wwan", "wwan0"}}, []NetFunction{{dialect.QMI, "wwan0", "qmi_wwan"}}},
		{"Quectel RM500Q, the maker's driver", []usbInterface{{"ff/ff/ff", "qmi_wwan_q", "wwan0"}}, []NetFunction{{dialect.QMI, "wwan0", "qmi_wwan_q"}}},
		{"Quectel EC25, usbnet 1", []usbInterface{{"02/06/00", "cdc_ether", "usb0"}, {"0a/00/00", "cdc_ether", ""}}, []NetFunction{{dialect.ECM, "usb0", "cdc_ether"}}},
		{"Quectel EM06, usbnet 2", []usbInterface{{"02/0e/00", "cdc_mbim", "wwan0"}, {"0a/00/02", "cdc_mbim", ""}}, []NetFunction{{dialect.MBIM, "wwan0", "cdc_mbim"}}},
		{"Quectel EC200A, usbnet 3", []usbInterface{{"e0/01/03", "rndis_host", "usb0"}, {"0a/00/00", "rndis_host", ""}}, []NetFunction{{dialect.RNDIS, "usb0", "rndis_host"}}},
		{"Quectel RM500U, usbnet 5", []usbInterface{{"02/0d/00", "cdc_ncm", "usb0"}, {"0a/00/01", "cdc_ncm", ""}}, []NetFunction{{dialect.NCM, "usb0", "cdc_ncm"}}},
		{"Huawei MS2372h", []usbInterface{{"ff/02/16", "huawei_cdc_ncm", "wwan0"}}, []NetFunction{{dialect.NCM, "wwan0", "huawei_cdc_ncm"}}},
		{"Sierra MC7700, DirectIP", []usbInterface{{"ff/ff/ff", "sierra_net", "wwan0"}}, []NetFunction{{dialect.ECM, "wwan0", "sierra_net"}}},
		{"QMI and ECM in one composition", []usbInterface{{"ff/ff/ff", "qmi_wwan", "wwan0"}, {"02/06/00", "cdc_ether", "usb0"}}, []NetFunction{{dialect.ECM, "usb0", "cdc_ether"}, {dialect.QMI, "wwan0", "qmi_wwan"}}},
		{"serial ports alone", []usbInterface{{"ff/00/00", "option", ""}, {"02/02/ff", "cdc_acm", ""}}, nil},
		{"ECM, and a kernel without its driver", []usbInterface{{"02/06/00", "", ""}, {"0a/00/00", "", ""}}, []NetFunction{{Kind: dialect.ECM}}},
		{"RNDIS, and a kernel without its driver", []usbInterface{{"02/02/ff", "", ""}}, []NetFunction{{Kind: dialect.RNDIS}}},
		{"a driver that nobody knows", []usbInterface{{"ff/ff/ff", "acme_net", "eth1"}}, []NetFunction{{dialect.ECM, "eth1", "acme_net"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeTree(t)
			f.plug("1-1.2", map[int]string{2: "ttyUSB2"})
			f.interfaces("1-1.2", 4, tt.list)
			f.plug("1-1.3", map[int]string{2: "ttyUSB6"}) // another modem, whose interfaces are its own
			f.interfaces("1-1.3", 4, []usbInterface{{"02/0e/00", "cdc_mbim", "wwan9"}})
			port := f.path("dev", "ttyUSB2")
			if got := f.Tree.NetFunctions(port); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			for _, want := range tt.want {
				if got, ok := f.Tree.FunctionOf(port, want.Interface); ok != (want.Interface != "") || ok && got != want {
					t.Errorf("%s: %v, %v", want.Interface, got, ok)
				}
			}
			if got, ok := f.Tree.FunctionOf(port, "wwan9"); ok {
				t.Errorf("another modem's interface is taken for %v", got)
			}
		})
	}
}

// TestNetFunctionsPCI: the driver of a PCI modem's interface is that of the
// whole device, and the ports beside it tell what it speaks.
func TestNetFunctionsPCI(t *testing.T) {
	for _, tt := range []struct {
		name, driver, link string // type of the interface
		ports              []string
		want               NetFunction
	}{
		{"Fibocom FM350, mtk_t7xx", "mtk_t7xx", "65534", []string{"wwan0at0", "wwan0mbim0"}, NetFunction{dialect.MBIM, "wwan0", "mtk_t7xx"}},
		{"Quectel RM520N, mhi", "mhi-pci-generic", "65534", []string{"wwan0at0", "wwan0qmi0", "wwan0qcdm0"}, NetFunction{dialect.QMI, "wwan0", "mhi-pci-generic"}},
		{"Fibocom L850, iosm: AT alone", "iosm", "65534", []string{"wwan0at0", "wwan0at1"}, NetFunction{dialect.RawIP, "wwan0", "iosm"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeTree(t)
			const pci = "sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.0"
			f.write("0x14c3\n", pci, "vendor")
			f.link("../../../../bus/pci/drivers/"+tt.driver, pci, "driver")
			for _, p := range tt.ports {
				f.dir(pci, "wwan/wwan0", p)
				f.link("../../wwan0", pci, "wwan/wwan0", p, "device")
				f.link("../../devices/"+strings.TrimPrefix(pci, "sys/devices/")+"/wwan/wwan0/"+p, "sys/class/wwan", p)
				f.write("", "dev", p)
			}
			f.write(tt.link+"\n", pci, "wwan/wwan0/net/wwan0/type")
			if got := f.Tree.NetFunctions(f.path("dev/wwan0at0")); !slices.Equal(got, []NetFunction{tt.want}) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestFunctionOfMux: an interface that multiplexes another one, as the kernel
// makes them for QMAP, is what the other one is.
func TestFunctionOfMux(t *testing.T) {
	f := newFakeTree(t)
	f.plug("1-1.2", map[int]string{2: "ttyUSB2"})
	f.interfaces("1-1.2", 4, []usbInterface{{"ff/ff/ff", "qmi_wwan", "wwan0"}})
	f.link("../wwan0", "sys/class/net/qmimux0/lower_wwan0")
	if got, ok := f.Tree.FunctionOf(f.path("dev/ttyUSB2"), "qmimux0"); !ok || got.Kind != dialect.QMI {
		t.Errorf("got %v, %v", got, ok)
	}
}
