package signature

import (
	"bytes"
	"context"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
)

// Request is the part of a received request that a scheme may read.
type Request struct {
	Method string
	Header http.Header
	Query  url.Values
	// PublicURL is the URL as the sender knows it; CallbackURL is the URL registered there, exactly
	// as written.
	PublicURL, CallbackURL string
	// Body holds the bytes as received, before any content decoding.
	Body []byte
	// JSON returns a scalar of the body at a dot path, as written there; Form is the parsed form,
	// Pairs its fields in body order; Each returns the elements of a list in the body, as functions
	// like JSON. Any of them may be nil.
	JSON  func(path string) (string, bool)
	Form  func() (url.Values, error)
	Pairs func() ([][2]string, error)
	Each  func(path string) []func(path string) (string, bool)
	// MediaType is the Content-Type used to parse the body; empty for the header's.
	MediaType string
	// Params are further configuration values.
	Params map[string]string
	// Fetch fetches a document with public keys; nil if there is no network.
	Fetch func(ctx context.Context, r *http.Request) ([]byte, error)
	// Context limits Fetch.
	Context context.Context
}

// read returns the text at a place. A repeated header with different values is refused, since it is
// unknown which one the sender meant.
func (r *Request) read(p *Place) (string, bool) {
	switch {
	case p.Header != "":
		values := r.Header[p.Header]
		if len(values) == 0 {
			return "", false
		}
		for _, v := range values[1:] {
			if v != values[0] {
				return "", false
			}
		}
		return values[0], true
	case p.Query != "":
		return r.Query.Get(p.Query), r.Query.Has(p.Query)
	case p.JSON != "" && r.JSON != nil:
		return r.JSON(p.JSON)
	case p.Form != "" && r.Form != nil:
		f, err := r.Form()
		return f.Get(p.Form), err == nil && f.Has(p.Form)
	case p.Body:
		return strings.TrimSpace(string(r.Body)), len(r.Body) > 0
	case p.XML != "":
		return readXML(r.Body, p.XML)
	}
	return "", false
}

// Read returns the text at a place, for callers without a scheme.
func (r *Request) Read(p Place) (string, bool) {
	p = canonical(p)
	return r.read(&p)
}

// texts returns all candidate texts at a place: several only if the place is several headers, a
// list format that may be repeated, or the URL.
func (r *Request) texts(p *Place, repeatable bool) []string {
	switch {
	case len(p.Headers) > 0:
		var out []string
		for _, n := range p.Headers {
			out = append(out, r.Header[n]...)
		}
		return out
	case p.URL:
		return r.urlTexts()
	case p.Header != "" && repeatable:
		return r.Header[p.Header]
	}
	if s, ok := r.read(p); ok {
		return []string{s}
	}
	return nil
}

// urlTexts returns what may be a secret in the URL: every query value and the last path segment.
func (r *Request) urlTexts() []string {
	var out []string
	for _, values := range r.Query {
		out = append(out, values...)
	}
	if u, err := url.Parse(r.PublicURL); err == nil {
		path := strings.TrimRight(u.Path, "/")
		out = append(out, path[strings.LastIndexByte(path, '/')+1:])
	}
	return out
}

// readXML returns the text of the first element at a path of local names. Entities
// beyond the five of XML are errors in encoding/xml, so none can expand.
func readXML(body []byte, path string) (string, bool) {
	want := strings.Split(path, "/")
	d := xml.NewDecoder(bytes.NewReader(body))
	var at []string
	for {
		t, err := d.RawToken()
		if err != nil {
			return "", false
		}
		switch x := t.(type) {
		case xml.StartElement:
			at = append(at, x.Name.Local)
			if len(at) > 64 {
				return "", false
			}
		case xml.EndElement:
			if len(at) > 0 {
				at = at[:len(at)-1]
			}
		case xml.CharData:
			if s := strings.TrimSpace(string(x)); s != "" && equalPath(at, want) {
				return s, true
			}
		case xml.Directive:
			return "", false // no document types, which declare entities
		}
	}
}

func equalPath(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// publicURLs returns the forms of the public URL that a sender may have signed: unchanged, and with
// or without its scheme's default port (Twilio's documentation requires both).
func (r *Request) publicURLs() []string {
	out := []string{r.PublicURL}
	u, err := url.Parse(r.PublicURL)
	if err != nil || u.Host == "" {
		return out
	}
	implied := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	if implied == "" {
		return out
	}
	head := u.Scheme + "://" + u.Host
	i := strings.Index(r.PublicURL, u.Host)
	if i < 0 || !strings.HasSuffix(head, u.Host) {
		return out
	}
	rest := r.PublicURL[i+len(u.Host):]
	switch u.Port() {
	case "":
		out = append(out, r.PublicURL[:i]+u.Host+":"+implied+rest)
	case implied:
		out = append(out, r.PublicURL[:i]+strings.TrimSuffix(u.Host, ":"+implied)+rest)
	}
	return out
}
