package config

import "reflect"

// fixed are the keys that only a new start can change: what they name is open, or
// in the kernel, under their old value.
var fixed = []struct {
	key string
	at  func(*Config) any // pointer to the value
}{
	{"board.name", func(c *Config) any { return &c.Board.Name }},
	{"board.dir", func(c *Config) any { return &c.Board.Dir }},
	{"modem.port", func(c *Config) any { return &c.Modem.Port }},
	{"modem.baud", func(c *Config) any { return &c.Modem.Baud }},
	{"modem.dialect", func(c *Config) any { return &c.Modem.Dialect }},
	{"modem.dialects", func(c *Config) any { return &c.Modem.Dialects }},
	{"modem.sim_slot", func(c *Config) any { return &c.Modem.SIMSlot }},
	{"bearer.ppp", func(c *Config) any { return &c.Bearer.PPP }},
	{"uplink.interface", func(c *Config) any { return &c.Uplink.Interface }},
	{"uplink.apply", func(c *Config) any { return &c.Uplink.Apply }},
	{"uplink.metric", func(c *Config) any { return &c.Uplink.Metric }},
	{"uplink.table", func(c *Config) any { return &c.Uplink.Table }},
	{"uplink.default_route", func(c *Config) any { return &c.Uplink.DefaultRoute }},
	{"uplink.dns_file", func(c *Config) any { return &c.Uplink.DNSFile }},
	{"uplink.mtu", func(c *Config) any { return &c.Uplink.MTU }},
	{"activation.deadline", func(c *Config) any { return &c.Activation.Deadline }},
	{"activation.hold", func(c *Config) any { return &c.Activation.Hold }},
	{"activation.limits", func(c *Config) any { return &c.Activation.Limits }},
	{"state.dir", func(c *Config) any { return &c.State.Dir }},
	{"state.run", func(c *Config) any { return &c.State.Run }},
	{"operators.dir", func(c *Config) any { return &c.Operators.Dir }},
	{"hook.socket", func(c *Config) any { return &c.Hook.Socket }},
	{"hook.group", func(c *Config) any { return &c.Hook.Group }},
	{"hook.listen", func(c *Config) any { return &c.Hook.Listen }},
	{"hook.certificate", func(c *Config) any { return &c.Hook.Certificate }},
	{"hook.key", func(c *Config) any { return &c.Hook.Key }},
	{"hook.client_ca", func(c *Config) any { return &c.Hook.ClientCA }},
	{"hook.hosts", func(c *Config) any { return &c.Hook.Hosts }},
	{"log.format", func(c *Config) any { return &c.Log.Format }},
}

// Reload returns what a daemon that began with c runs with after its file became
// next: next, but for the keys that need a restart. Those of them that differ are
// named, as in "uplink.metric".
func (c *Config) Reload(next *Config) (now *Config, restart []string) {
	merged := *next
	merged.Instance = c.Instance
	for _, f := range fixed {
		have, want := reflect.ValueOf(f.at(c)).Elem(), reflect.ValueOf(f.at(&merged)).Elem()
		if !reflect.DeepEqual(have.Interface(), want.Interface()) {
			restart = append(restart, f.key)
			want.Set(have)
		}
	}
	return &merged, restart
}
