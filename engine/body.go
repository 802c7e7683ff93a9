package engine

import (
	"fmt"
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows"
)

// DecodeBody reads a body by its declared type: JSON, a form as a map of texts,
// else text. A body without a type that is JSON is read as JSON.
func DecodeBody(contentType string, raw []byte) (any, error) {
	return decodeBody(contentType, raw, workflows.DecodeJSON)
}

// DecodeBodyPart is DecodeBody that keeps only the wanted parts of JSON.
func DecodeBodyPart(contentType string, raw []byte, want *workflows.Wanted) (any, error) {
	return decodeBody(contentType, raw, func(b []byte) (any, error) { return workflows.DecodeJSONPart(b, want) })
}

func decodeBody(contentType string, raw []byte, decode func([]byte) (any, error)) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	kind := contentType
	if kind != "application/json" {
		var err error
		if kind, _, err = mime.ParseMediaType(contentType); err != nil {
			kind = strings.ToLower(strings.TrimSpace(contentType))
		}
	}
	switch {
	case kind == "application/x-www-form-urlencoded":
		return decodeForm(raw)
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return decode(raw)
	}
	if v, err := decode(raw); err == nil {
		return v, nil
	}
	if !utf8.Valid(raw) {
		return nil, nil
	}
	return string(raw), nil
}

// decodeForm gives each field as text, a repeated one as a list. GitHub and
// Slack put JSON into the field payload, which is read as such beside it.
func decodeForm(raw []byte) (any, error) {
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, fmt.Errorf("reading the form: %w", err)
	}
	out := make(map[string]any, len(form))
	for k, values := range form {
		if len(values) == 1 {
			out[k] = values[0]
			continue
		}
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		out[k] = list
	}
	if p, ok := out["payload"].(string); ok && strings.HasPrefix(strings.TrimSpace(p), "{") {
		if v, err := workflows.DecodeJSON([]byte(p)); err == nil {
			out["payload"] = v
		}
	}
	return out, nil
}
