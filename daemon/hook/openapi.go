package hook

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"net/http"
	"strings"

	"dynamod/daemon/status"
)

// description is docs/openapi.json, packed.
//
//go:generate go test -run ^TestDescription$ . -args -update
//go:embed openapi.json.gz
var description []byte

// Description is the OpenAPI description of the API, in JSON.
func Description() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(description))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) {
	body := description
	w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
	} else {
		var err error
		if body, err = Description(); err != nil {
			writeProblem(w, http.StatusInternalServerError, &status.Problem{Code: "internal", Text: err.Error(), Advice: "install dynamod again"})
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body) // an error here is the client's going away
}
