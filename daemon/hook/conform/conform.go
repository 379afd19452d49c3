// Package conform holds what goes over the API against its description, docs/openapi.json.
// Only tests import it.
//
// Of JSON Schema it knows what the description uses: type, properties, required,
// additionalProperties, items, enum, format date-time, $ref.
package conform

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Document is an OpenAPI 3.1 description.
type Document struct {
	Paths      map[string]map[string]Operation `json:"paths"` // path, method in lower case
	Components struct {
		Schemas map[string]*Schema `json:"schemas"`
	} `json:"components"`

	mux *http.ServeMux // of Patterns
}

// Operation is a method of a path.
type Operation struct {
	Summary    string                `json:"summary"`
	Parameters []Parameter           `json:"parameters"`
	Body       *Body                 `json:"requestBody"`
	Responses  map[string]Body       `json:"responses"`
	Security   []map[string][]string `json:"security"`
	SocketOnly bool                  `json:"x-socket-only"`
	TCPOnly    bool                  `json:"x-tcp-only"`
	Events     map[string]*Schema    `json:"x-events"` // of a stream, by the event's name
}

// Parameter is in a path, a query or a header.
type Parameter struct {
	Name string `json:"name"`
	In   string `json:"in"`
}

// Body is a request's or a response's.
type Body struct {
	Content map[string]struct {
		Schema *Schema `json:"schema"`
	} `json:"content"`
}

// Schema is a JSON Schema.
type Schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"` // "" for anything
	Format     string             `json:"format"`
	Enum       []string           `json:"enum"`
	Items      *Schema            `json:"items"`
	Properties map[string]*Schema `json:"properties"`
	Required   []string           `json:"required"`
	// Additional is false where properties that are not named are errors.
	Additional *bool `json:"additionalProperties"`
}

// Parse reads a description.
func Parse(text []byte) (*Document, error) {
	d := &Document{mux: http.NewServeMux()}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("description: %w", err)
	}
	for _, pattern := range d.Patterns() {
		d.mux.Handle(pattern, http.NotFoundHandler())
	}
	return d, nil
}

// Patterns are the routes as package net/http writes them, "GET /v1/status".
func (d *Document) Patterns() []string {
	var out []string
	for path, methods := range d.Paths {
		for method := range methods {
			out = append(out, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(out)
	return out
}

// Operation returns the route of a pattern.
func (d *Document) Operation(pattern string) (Operation, bool) {
	method, path, _ := strings.Cut(pattern, " ")
	op, ok := d.Paths[path][strings.ToLower(method)]
	return op, ok
}

// find returns the operation that a request is for, by the rules of the server's own mux.
func (d *Document) find(r *http.Request) (Operation, bool) {
	_, pattern := d.mux.Handler(r)
	return d.Operation(pattern)
}

// Check holds a JSON text against a schema. Strict also takes properties that are not
// in the schema for errors, where the schema would allow them.
func (d *Document) Check(s *Schema, text []byte, strict bool) error {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	return d.check(s, v, "$", strict)
}

func (d *Document) check(s *Schema, v any, at string, strict bool) error {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		if s = d.Components.Schemas[name]; s == nil {
			return fmt.Errorf("%s: no schema %s", at, name)
		}
	}
	wrong := func() error { return fmt.Errorf("%s: %.60v is no %s", at, v, s.Type) }
	switch s.Type {
	case "":
		return nil
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrong()
		}
	case "number", "integer":
		if f, ok := v.(float64); !ok || s.Type == "integer" && f != math.Trunc(f) {
			return wrong()
		}
	case "string":
		text, ok := v.(string)
		if !ok {
			return wrong()
		}
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
			return fmt.Errorf("%s: %q is none of %q", at, text, s.Enum)
		}
		if s.Format == "date-time" {
			if _, err := time.Parse(time.RFC3339, text); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		}
	case "array":
		items, ok := v.([]any)
		if !ok {
			return wrong()
		}
		for i, item := range items {
			if err := d.check(s.Items, item, fmt.Sprintf("%s[%d]", at, i), strict); err != nil {
				return err
			}
		}
	case "object":
		object, ok := v.(map[string]any)
		if !ok {
			return wrong()
		}
		return d.checkObject(s, object, at, strict)
	default:
		return fmt.Errorf("%s: the schema has the type %q", at, s.Type)
	}
	return nil
}

func (d *Document) checkObject(s *Schema, object map[string]any, at string, strict bool) error {
	var errs []error
	for _, name := range s.Required {
		if _, ok := object[name]; !ok {
			errs = append(errs, fmt.Errorf("%s: %s is missing", at, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch p, ok := s.Properties[name]; {
		case ok:
			errs = append(errs, d.check(p, object[name], at+"."+name, strict))
		case strict && s.Properties != nil, s.Additional != nil && !*s.Additional:
			errs = append(errs, fmt.Errorf("%s: %s is not in the schema", at, name))
		}
	}
	return errors.Join(errs...)
}
