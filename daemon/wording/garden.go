package wording

import "dynamod/daemon/status"

// Garden says where a line without credit is topped up, and what the router does
// meanwhile.
func Garden(g *status.Garden) []string {
	what := ""
	switch {
	case g.Interface != "":
		what = "nothing else leaves by " + g.Interface
	case g.Error != "":
		what = "the walled garden does not stand: " + g.Error
	}
	return []string{g.Name, g.Portal, what}
}
