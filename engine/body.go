package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
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
	var params map[string]string
	if kind != "application/json" {
		var err error
		if kind, params, err = mime.ParseMediaType(contentType); err != nil {
			kind = strings.ToLower(strings.TrimSpace(contentType))
		}
	}
	switch {
	case kind == "multipart/form-data" && params["boundary"] != "":
		return decodeMultipart(raw, params["boundary"])
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

// maxParts bounds the parts of a multipart body.
const maxParts = 1000

// decodeMultipart gives each field as text; of a file, what it is called and how
// long it is: its bytes stay in the raw body.
func decodeMultipart(raw []byte, boundary string) (any, error) {
	form := url.Values{}
	out := map[string]any{}
	r := multipart.NewReader(bytes.NewReader(raw), boundary)
	for n := 0; ; n++ {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the form: %w", err)
		}
		if n == maxParts {
			return nil, fmt.Errorf("reading the form: more than %d parts", maxParts)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return nil, fmt.Errorf("reading the form: %w", err)
		}
		if p.FileName() != "" || !utf8.Valid(b) {
			out[p.FormName()] = map[string]any{"filename": p.FileName(), "content_type": p.Header.Get("Content-Type"), "size": len(b)}
			continue
		}
		form.Add(p.FormName(), string(b))
	}
	for k, v := range formFields(form) {
		out[k] = v
	}
	return out, nil
}

// decodeForm gives each field as text, a repeated one as a list. GitHub and
// Slack put JSON into the field payload, which is read as such beside it.
func decodeForm(raw []byte) (any, error) {
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, fmt.Errorf("reading the form: %w", err)
	}
	return formFields(form), nil
}

func formFields(form url.Values) map[string]any {
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
	return out
}
