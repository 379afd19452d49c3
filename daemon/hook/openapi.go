package hook

import (
	_ "embed"
	"net/http"

	"dynamod/daemon/hook/gzipped"
	"dynamod/daemon/status"
)

// description is docs/openapi.json, packed.
//
//go:generate go test -run ^TestDescription$ . -args -update
//go:embed openapi.json.gz
var description []byte

func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := gzipped.Write(w, r, description); err != nil {
		writeProblem(w, http.StatusInternalServerError, &status.Problem{Code: "internal", Text: err.Error(), Advice: "install dynamod again"})
	}
}
