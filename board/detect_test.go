package board

import (
	"reflect"
	"testing"

	"dynamod/board/boardsim"
)

// What boxes say of themselves, as their files have it.
func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  Identity
	}{
		{"Teltonika RUT955, OpenWrt", map[string]string{
			"proc/device-tree/model":      "Teltonika RUT955\x00",
			"proc/device-tree/compatible": "teltonika,rut955\x00teltonika,rut9xx\x00qca,ar9344\x00",
			"etc/board.json":              `{"model": {"id": "teltonika,rut955", "name": "Teltonika RUT955"}, "led": {}}`,
		}, Identity{Model: "Teltonika RUT955", Compatible: []string{"teltonika,rut955", "teltonika,rut9xx", "qca,ar9344"}}},
		{"OpenWrt on x86: no device tree", map[string]string{
			"etc/board.json":                  `{"model": {"id": "pc-engines-apu2", "name": "PC Engines apu2"}}`,
			"sys/class/dmi/id/sys_vendor":     "PC Engines\n",
			"sys/class/dmi/id/board_name":     "apu2\n",
			"sys/class/dmi/id/product_name":   "apu2\n",
			"sys/class/dmi/id/product_serial": "4711\n",
		}, Identity{Model: "PC Engines apu2", Compatible: []string{"pc-engines-apu2"}, DMI: "PC Engines/apu2/apu2"}},
		{"a PC", map[string]string{
			"sys/class/dmi/id/sys_vendor":   "LENOVO\n",
			"sys/class/dmi/id/product_name": "20L6\n",
		}, Identity{Model: "LENOVO 20L6", DMI: "LENOVO//20L6"}},
		{"nothing", map[string]string{}, Identity{}},
		{"a board.json that is broken, and control characters", map[string]string{
			"proc/device-tree/model":      "X\x1b[31m",
			"proc/device-tree/compatible": "a,b\x00\x1b\x00\x00",
			"etc/board.json":              `{"model": {"id": `,
		}, Identity{Compatible: []string{"a,b"}}},
	} {
		dir := boardsim.Tree(t.TempDir())
		for path, text := range tt.files {
			if err := dir.Write(path, text); err != nil {
				t.Fatal(err)
			}
		}
		if got := Read(string(dir)); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestFind(t *testing.T) {
	list := []*Board{
		{Name: "pi", Compatible: []string{"raspberrypi,*"}},
		{Name: "pi-4", Compatible: []string{"raspberrypi,4-model-b"}},
		{Name: "apu", DMI: []string{"PC Engines/apu2"}},
		{Name: "apu-old", DMI: []string{"PC Engines/*/APU1"}},
		{Name: "soc", Compatible: []string{"brcm,bcm2711"}},
		{Name: "by-name-only"},
	}
	for _, tt := range []struct {
		name string
		id   Identity
		want string
		why  string
	}{
		{"the closest name of a device tree comes first", Identity{Compatible: []string{"raspberrypi,4-model-b", "brcm,bcm2711"}}, "pi-4", "raspberrypi,4-model-b"},
		{"a pattern", Identity{Compatible: []string{"raspberrypi,5-model-b", "brcm,bcm2712"}}, "pi", "raspberrypi,5-model-b"},
		{"another maker's box with the same chip", Identity{Compatible: []string{"x,y", "brcm,bcm2711"}}, "soc", "brcm,bcm2711"},
		{"by DMI, whatever its product is called", Identity{DMI: "PC Engines/apu2/apu2d4"}, "apu", "PC Engines/apu2/apu2d4"},
		{"by DMI with its product", Identity{DMI: "PC Engines/APU/apu1"}, "apu-old", "PC Engines/APU/apu1"},
		{"none", Identity{Model: "LENOVO", DMI: "LENOVO//20L6"}, "", ""},
		{"says nothing", Identity{}, "", ""},
	} {
		b, why := Find(list, tt.id)
		got := ""
		if b != nil {
			got = b.Name
		}
		if got != tt.want || why != tt.why {
			t.Errorf("%s: %q by %q, want %q by %q", tt.name, got, why, tt.want, tt.why)
		}
	}
}

func TestFits(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"2c7c:*", "2C7C:0125", true},
		{"2c7c:*", "12d1:0125", false},
		{"*", "", true},
		{"", "", true},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*c", "a-c-b", false},
		{"a*b*c", "a-b-b-c", true},
	} {
		if Fits(tt.pattern, tt.text) != tt.want {
			t.Errorf("%q and %q: want %v", tt.pattern, tt.text, tt.want)
		}
	}
}
