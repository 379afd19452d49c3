//go:build !linux

package uplink

import "errors"

func (d Dialer) bind(string, uintptr) error {
	if d.Interface != "" {
		return errors.New("binding a socket to an interface works on Linux only")
	}
	return nil
}
