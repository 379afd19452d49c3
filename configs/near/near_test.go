package near

import "testing"

func TestName(t *testing.T) {
	names := []string{"run", "status", "profiles", "activate", "apn", "log", "allowFallback"}
	for _, row := range []struct{ name, s, want string }{
		{"a letter too few", "profile", "profiles"},
		{"a letter too many", "logs", "log"},
		{"neighbours exchanged", "stauts", "status"},
		{"the beginning", "acti", "activate"},
		{"and more behind it", "statuses", "status"},
		{"another case", "allowfallback", "allowFallback"},
		{"nothing like it", "frobnicate", ""},
		{"nothing", "", ""},
		{"one letter", "x", ""},
	} {
		if got := Name(row.s, names); got != row.want {
			t.Errorf("%s: Name(%q) = %q, want %q", row.name, row.s, got, row.want)
		}
	}
}
