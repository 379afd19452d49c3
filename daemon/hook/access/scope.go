// Package access decides who may do what over TCP: callers with a bearer token
// (RFC 6750), a signed request (RFC 9421) or a client certificate, each with a
// scope, each held to a rate, and what they change written down.
//
// The unix socket needs none of this; the file system guards it.
package access

import (
	"fmt"
	"slices"
	"strings"
)

// Scope is what a caller may do. A greater one includes the smaller.
type Scope int

// The scopes.
const (
	None     Scope = iota // of a stranger: nothing but to say who he is
	Read                  // look at everything that the API shows
	Activate              // and begin, answer and cancel runs, and enable profiles
	Admin                 // and everything else
)

var scopeNames = []string{"none", "read", "activate", "admin"}

func (s Scope) String() string { return scopeNames[s] }

// ParseScope reads "read", "activate" or "admin".
func ParseScope(text string) (Scope, error) {
	if i := slices.Index(scopeNames, text); i > int(None) {
		return Scope(i), nil
	}
	return None, fmt.Errorf("scope %q is none of %s", text, strings.Join(scopeNames[1:], ", "))
}
