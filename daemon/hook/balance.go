package hook

import (
	"net/http"
	"strings"

	"dynamod/daemon/activation"
)

func (s *Server) balance(w http.ResponseWriter, r *http.Request) {
	b, err := s.daemon.Balance(r.Context())
	if err != nil {
		if p := activation.Problem("", err); strings.HasPrefix(p.Code, "balance-") {
			writeProblem(w, http.StatusBadGateway, p) // somebody was asked
			return
		}
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, b)
}
