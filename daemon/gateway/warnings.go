package gateway

import (
	"fmt"
	"slices"
	"strings"

	"dynamod/configs/cosa"
	"dynamod/daemon/config"
	"dynamod/daemon/status"
)

// configuredAPN is the connection of [apn].
func (g *Gateway) configuredAPN() []cosa.Given {
	password := g.warn()
	c, ok := g.config().APN.Connection()
	if !ok {
		return nil
	}
	c.Password = cosa.Secret(password)
	return []cosa.Given{{Connection: c, Origin: "[apn] apn"}}
}

// warn tells what is wrong with the box itself: with the state directory, keys of the
// configuration that this version does not know, or the file with the password of [apn], which it returns. That is read each time, so that a file
// that was missing is used once it is there. Until then the APN is tried without: a
// router that would not start for it could not be reached to mend it.
func (g *Gateway) warn() (password string) {
	var warnings []string
	if err := g.journal.Unwritable(); err != nil {
		warnings = append(warnings, fmt.Sprintf("%v; the link is not affected, activations are refused", err))
	}
	for _, err := range g.lame {
		warnings = append(warnings, err.Error())
	}
	for _, e := range g.config().Unknown {
		warnings = append(warnings, strings.ReplaceAll(e.Error(), "\nhint: ", "; ")+"; it is left out")
	}
	if file := g.config().APN.PasswordFile; file != "" {
		var err error
		if password, err = config.ReadSecret(file); err != nil {
			warnings = append(warnings, fmt.Sprintf("[apn] password_file: %v; the APN is tried without a password", err))
		}
	}
	g.status.Update(func(s *status.Snapshot) {
		if len(warnings) > 0 && !slices.Equal(s.Warnings, warnings) {
			g.log.Error(strings.Join(warnings, "; "))
		}
		s.Warnings = warnings
	})
	return password
}
