package hook

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook/webhook"
	"dynamod/daemon/status"
)

// describer makes schemas of Go types. What their comments say becomes descriptions,
// constants of a named string type an enum.
type describer struct {
	schemas map[string]any
	sources map[string]*source // by import path
}

// source is what the files of a package tell of its types.
type source struct {
	doc   map[string]string   // TYPE, TYPE.Field
	enums map[string][]string // TYPE
}

func newDescriber() *describer {
	return &describer{schemas: map[string]any{}, sources: map[string]*source{}}
}

// schemaNames are those that are better than package and type together.
var schemaNames = map[reflect.Type]string{
	reflect.TypeFor[activation.Record]():  "Run",
	reflect.TypeFor[activation.APN]():     "ConnectionSettings",
	reflect.TypeFor[status.Snapshot]():    "Status",
	reflect.TypeFor[problem]():            "Problem",
	reflect.TypeFor[defaultSMDPRequest](): "DefaultSMDPRequest",
	reflect.TypeFor[nicknameRequest]():    "NicknameRequest",
}

func schemaName(t reflect.Type) string {
	if name, ok := schemaNames[t]; ok {
		return name
	}
	pkg := filepath.Base(t.PkgPath())
	if pkg == "hook" {
		return t.Name()
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + t.Name()
}

// schema describes t, a struct by reference.
func (d *describer) schema(t *testing.T, typ reflect.Type) map[string]any {
	t.Helper()
	switch typ {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	case reflect.TypeFor[[]byte]():
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return d.schema(t, typ.Elem())
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.String:
		s := map[string]any{"type": "string"}
		if typ.PkgPath() != "" {
			if values := d.source(t, typ.PkgPath()).enums[typ.Name()]; values != nil {
				s["enum"] = values
			}
		}
		return s
	case reflect.Map:
		return map[string]any{"type": "object"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": d.schema(t, typ.Elem())}
	case reflect.Struct:
		name := schemaName(typ)
		if _, ok := d.schemas[name]; !ok {
			d.schemas[name] = nil // it may hold itself
			d.schemas[name] = d.object(t, typ)
		}
		return map[string]any{"$ref": "#/components/schemas/" + name}
	}
	t.Fatalf("%s: %s cannot be described", typ, typ.Kind())
	return nil
}

func (d *describer) object(t *testing.T, typ reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	d.fields(t, typ, properties, &required)
	o := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		o["required"] = required
	}
	if strings.HasSuffix(typ.Name(), "Request") || typ == reflect.TypeFor[activation.APN]() {
		o["additionalProperties"] = false
	}
	if text := d.source(t, typ.PkgPath()).doc[typ.Name()]; text != "" {
		o["description"] = text
	}
	return o
}

func (d *describer) fields(t *testing.T, typ reflect.Type, properties map[string]any, required *[]string) {
	for f := range typ.Fields() {
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && tag == "":
			d.fields(t, f.Type, properties, required)
			continue
		case !f.IsExported() || tag == "-":
			continue
		case tag == "":
			t.Fatalf("%s.%s has no name in JSON", typ, f.Name)
		}
		s := d.schema(t, f.Type)
		if text := d.source(t, typ.PkgPath()).doc[typ.Name()+"."+f.Name]; text != "" {
			s["description"] = text
		}
		properties[tag] = s
		if !strings.Contains(options, "omit") && !slices.Contains(*required, tag) {
			*required = append(*required, tag)
		}
	}
}

// source reads the files of a package of this module.
func (d *describer) source(t *testing.T, pkg string) *source {
	t.Helper()
	if s := d.sources[pkg]; s != nil {
		return s
	}
	s := &source{doc: map[string]string{}, enums: map[string][]string{}}
	d.sources[pkg] = s
	paths, err := filepath.Glob("../../" + strings.TrimPrefix(pkg, "dynamod/") + "/*.go")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no files, %v", pkg, err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if g, ok := decl.(*ast.GenDecl); ok {
				s.read(g)
			}
		}
	}
	return s
}

func (s *source) read(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			s.doc[spec.Name.Name] = text(cmpDoc(spec.Doc, g.Doc))
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range fields.Fields.List {
				for _, name := range f.Names {
					s.doc[spec.Name.Name+"."+name.Name] = text(cmpDoc(f.Comment, f.Doc))
				}
			}
		case *ast.ValueSpec:
			typ, ok := spec.Type.(*ast.Ident)
			if !ok || g.Tok != token.CONST || len(spec.Values) != 1 {
				continue
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				s.enums[typ.Name] = append(s.enums[typ.Name], constant.StringVal(constant.MakeFromLiteral(lit.Value, token.STRING, 0)))
			}
		}
	}
}

func cmpDoc(first, second *ast.CommentGroup) *ast.CommentGroup {
	if first != nil {
		return first
	}
	return second
}

// text is a comment on one line.
func text(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

func webhookHeaders() []any {
	var out []any
	for _, h := range [][2]string{
		{"webhook-id", "the same at each try"}, {"webhook-timestamp", "when it was sent, in seconds since 1970"},
		{"webhook-signature", "v1, and the HMAC-SHA256 of ID.TIMESTAMP.BODY in base64"},
	} {
		out = append(out, map[string]any{"name": h[0], "in": "header", "required": true, "description": h[1], "schema": map[string]any{"type": "string"}})
	}
	return out
}

// document puts the operations and the schemas that they use together. summaries are
// by pattern.
func (d *describer) document(t *testing.T, ops map[string]operation, summaries map[string]string) map[string]any {
	t.Helper()
	paths := map[string]map[string]any{}
	problems := map[string]any{
		"description": "It was turned down, or failed: code for programs, detail and advice for people, retry says whether and when to come again.",
		"content":     map[string]any{"application/problem+json": map[string]any{"schema": d.schema(t, reflect.TypeFor[problem]())}},
	}
	for pattern, op := range ops {
		method, path, _ := strings.Cut(pattern, " ")
		o := map[string]any{"summary": summaries[pattern], "operationId": op.id, "security": op.security(pattern)}
		if params := op.parameters(path); len(params) > 0 {
			o["parameters"] = params
		}
		if op.body != nil {
			o["requestBody"] = map[string]any{"required": true, "content": map[string]any{"application/json": map[string]any{"schema": d.schema(t, reflect.TypeOf(op.body))}}}
		}
		ok := map[string]any{"description": op.answers()}
		switch {
		case op.answer != nil:
			ok["content"] = map[string]any{"application/json": map[string]any{"schema": d.schema(t, reflect.TypeOf(op.answer))}}
		case op.media != "":
			ok["content"] = map[string]any{op.media: map[string]any{"schema": map[string]any{"type": "string"}}}
		}
		if op.status == 202 {
			ok["headers"] = map[string]any{"Location": map[string]any{"description": "path of the run", "schema": map[string]any{"type": "string"}}}
		}
		responses := map[string]any{fmt.Sprint(op.code()): ok}
		if op.needs(pattern) != "none" {
			responses["default"] = problems
		}
		o["responses"] = responses
		if op.events != nil {
			events := map[string]any{}
			for name, v := range op.events {
				events[name] = d.schema(t, reflect.TypeOf(v))
			}
			o["x-events"] = events
		}
		if op.socketOnly {
			o["x-socket-only"] = true
		}
		if op.tcpOnly {
			o["x-tcp-only"] = true
		}
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(method)] = o
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "dynamod", "version": "1",
			"description": "From an eSIM activation code to a data link, and never without a way back. docs/hook.md explains it. New fields may come at any time: ignore what you do not know.",
			"license":     map[string]any{"name": licence(t)},
		},
		"servers": []any{
			map[string]any{"url": "https://{router}", "description": "over TCP, where [hook] listen says so", "variables": map[string]any{"router": map[string]any{"default": "192.168.8.1:8443"}}},
			map[string]any{"url": "http://dynamod", "description": "on the unix socket, which the file system guards; no caller has to say who he is"},
		},
		"paths": paths,
		"webhooks": map[string]any{"activation.ended": map[string]any{"post": map[string]any{
			"summary":     "tells the end of a run to the receiver of its request, and to that of the configuration",
			"parameters":  webhookHeaders(),
			"requestBody": map[string]any{"required": true, "content": map[string]any{"application/json": map[string]any{"schema": d.schema(t, reflect.TypeFor[webhook.Event]())}}},
			"responses": map[string]any{
				"2XX":     map[string]any{"description": "It was taken."},
				"410":     map[string]any{"description": "It is not offered again."},
				"default": map[string]any{"description": "It is offered again, for a day."},
			},
		}}},
		"components": map[string]any{
			"schemas": d.schemas,
			"securitySchemes": map[string]any{
				"token":       map[string]any{"type": "http", "scheme": "bearer", "description": "`dynamod token add NAME`"},
				"signature":   map[string]any{"type": "apiKey", "in": "header", "name": "Signature", "description": "RFC 9421 with hmac-sha256, `dynamod token add NAME --sign`"},
				"certificate": map[string]any{"type": "mutualTLS", "description": "of an issuer of [hook] client_ca, `dynamod token add NAME --subject COMMON-NAME`"},
			},
		},
	}
}
