package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// openEnded splits a path such as /workflows/{id...}/fire.
func openEnded(path string) (head, name, end string, open bool) {
	head, rest, open := strings.Cut(path, "{")
	name, end, _ = strings.Cut(rest, "...}")
	return head, name, end, open && strings.Contains(path, "...}")
}

// byEnd selects the call by the end of its path.
func (c *Console) byEnd(name string, calls map[string]http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for end, h := range calls {
			if id, ok := strings.CutSuffix(r.PathValue(name), end); ok && id != "" {
				r.SetPathValue(name, id)
				h(w, r)
				return
			}
		}
		problem(w, http.StatusNotFound, "not found")
	}
}

// openapi serves the description of the API, generated from the list of its calls and their request
// and response types (OpenAPI 3.1.1).
func (c *Console) openapi(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, c.describe())
}

var pathName = regexp.MustCompile(`\{(\w+)(\.\.\.)?\}`)

func (c *Console) describe() map[string]any {
	s := &schemas{byName: map[string]any{}}
	problemRef := s.of(reflect.TypeFor[problemAnswer]())
	paths := map[string]any{}
	for _, r := range c.api() {
		var params []any
		for _, m := range pathName.FindAllStringSubmatch(r.path, -1) {
			params = append(params, map[string]any{"name": m[1], "in": "path", "required": true,
				"schema": map[string]any{"type": "string"}})
		}
		for _, q := range r.query {
			kind := map[string]any{"type": "string"}
			if q == "limit" {
				kind = map[string]any{"type": "integer", "minimum": 1, "maximum": 1000}
			}
			params = append(params, map[string]any{"name": q, "in": "query", "description": parameters[q], "schema": kind})
		}
		good := map[string]any{"description": "Done."}
		switch {
		case r.id == "stream":
			good["content"] = map[string]any{"text/event-stream": map[string]any{"schema": map[string]any{"type": "string"}}}
		case r.answer != nil:
			good["content"] = content(s.of(reflect.TypeOf(r.answer)))
		}
		op := map[string]any{"operationId": r.id, "summary": r.about, "responses": map[string]any{strconv.Itoa(r.status): good,
			"default": map[string]any{"description": "A description of the error.", "content": content(problemRef)}}}
		if params != nil {
			op["parameters"] = params
		}
		if r.body != nil {
			op["requestBody"] = map[string]any{"required": false, "content": content(s.of(reflect.TypeOf(r.body)))}
		}
		path := pathName.ReplaceAllString(r.path, "{$1}")
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path].(map[string]any)[strings.ToLower(r.method)] = op
	}
	return map[string]any{
		"openapi": "3.1.1", "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
		"info": map[string]any{"title": "Hookloom", "version": "1",
			"description": "Events, runs and refused deliveries, and the actions on them."},
		"paths": paths,
		"components": map[string]any{"schemas": s.byName,
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}}},
		"security": []any{map[string]any{"token": []any{}}, map[string]any{}},
	}
}

func content(schema any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": schema}}
}

// schemas generates the JSON Schema of each Go type once.
type schemas struct{ byName map[string]any }

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
	generic  = regexp.MustCompile(`^Page\[.*?([A-Za-z]+)\]$`)
)

func (s *schemas) of(t reflect.Type) map[string]any {
	switch {
	case t == timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	case t == rawType:
		return map[string]any{} // any JSON
	}
	switch t.Kind() {
	case reflect.Pointer:
		return map[string]any{"anyOf": []any{s.of(t.Elem()), map[string]any{"type": "null"}}}
	case reflect.Slice:
		return map[string]any{"type": []any{"array", "null"}, "items": s.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": []any{"object", "null"}, "additionalProperties": s.of(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Interface:
		return map[string]any{}
	case reflect.Struct:
		return s.object(t)
	}
	return map[string]any{"type": "string"}
}

// object returns a reference to the schema of a struct.
func (s *schemas) object(t reflect.Type) map[string]any {
	name := t.Name()
	if m := generic.FindStringSubmatch(name); m != nil {
		name = m[1] + "Page"
	}
	name = strings.ToUpper(name[:1]) + name[1:]
	ref := map[string]any{"$ref": "#/components/schemas/" + name}
	if _, known := s.byName[name]; known {
		return ref
	}
	s.byName[name] = nil // it may contain itself
	fields, required := map[string]any{}, []any{}
	s.fields(t, fields, &required)
	s.byName[name] = map[string]any{"type": "object", "properties": fields, "required": required, "additionalProperties": false}
	return ref
}

func (s *schemas) fields(t reflect.Type, fields map[string]any, required *[]any) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && tag == "" && f.Type.Kind() == reflect.Pointer:
			s.fields(f.Type.Elem(), fields, &[]any{}) // none of them is there if it is nil
			continue
		case f.Anonymous && tag == "":
			s.fields(f.Type, fields, required)
			continue
		case !f.IsExported() || tag == "-":
			continue
		case tag == "":
			panic(fmt.Sprintf("%s.%s has no name in JSON", t, f.Name))
		}
		fields[tag] = s.of(f.Type)
		if !strings.Contains(options, "omitempty") {
			*required = append(*required, tag)
		}
	}
}
