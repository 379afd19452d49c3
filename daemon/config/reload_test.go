package config

import (
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"testing"
	"time"
)

// Each value of a Config either changes with Reload or is named: a field that is
// added later is looked at by this test.
func TestReload(t *testing.T) {
	var walk func(v reflect.Value, name string, visit func(field reflect.Value, name string))
	walk = func(v reflect.Value, name string, visit func(reflect.Value, string)) {
		for i := range v.NumField() {
			f, n := v.Field(i), name+v.Type().Field(i).Name
			if f.Kind() == reflect.Struct {
				walk(f, n+".", visit)
				continue
			}
			visit(f, n)
		}
	}
	var restart []string
	seen := 0
	walk(reflect.ValueOf(Default()).Elem(), "", func(f reflect.Value, name string) {
		if name == "Instance" {
			return // not of the file
		}
		seen++
		old, next := Default(), Default()
		walk(reflect.ValueOf(next).Elem(), "", func(f reflect.Value, n string) {
			if n == name {
				f.Set(other(t, f))
			}
		})
		now, named := old.Reload(next)
		changed := !reflect.DeepEqual(now, old)
		if changed == (len(named) > 0) || len(named) > 1 {
			t.Errorf("%s: changed at once: %v, needs a restart: %v", name, changed, named)
		}
		restart = append(restart, named...)
	})
	slices.Sort(restart)
	if restart = slices.Compact(restart); len(restart) != len(fixed) || seen < 40 {
		t.Errorf("of %d values %d need a restart, the table has %d: %v", seen, len(restart), len(fixed), restart)
	}
	// Twice is as once, and the instance stays.
	lte, err := Default().ForInstance("lte2")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Default().ForInstance("lte2")
	if err != nil {
		t.Fatal(err)
	}
	if now, named := lte.Reload(again); len(named) != 0 || !reflect.DeepEqual(now, lte) {
		t.Errorf("the same file changes %v, needs a restart for %v", now, named)
	}
}

// other is a value that differs from v.
func other(t *testing.T, v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Interface().(type) {
	case *url.URL:
		return reflect.ValueOf(&url.URL{Scheme: "http", Host: "proxy.test"})
	case map[string]netip.AddrPort:
		return reflect.ValueOf(map[string]netip.AddrPort{"x.test": {}})
	case time.Duration:
		out.SetInt(v.Int() + int64(time.Minute))
		return out
	}
	switch v.Kind() {
	case reflect.String:
		out.SetString(v.String() + "x")
	case reflect.Bool:
		out.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64, reflect.Uint8:
		if v.CanInt() {
			out.SetInt(v.Int() + 1)
		} else {
			out.SetUint(v.Uint() + 1)
		}
	case reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len()+1, v.Len()+1))
	default:
		t.Fatalf("no other value of %s", v.Type())
	}
	return out
}
