package workflows

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file checks the constant inputs of HTTP steps, so that requests that would fail are reported
// when the file is loaded.

// httpInputs checks a step with an http/ action.
func (s *stepChecker) httpInputs(st *Step) {
	if s.c.stored || st.Spec == nil || st.Spec.Connector != nil || !strings.HasPrefix(st.Uses, "http/") {
		return
	}
	r := s.outgoing(st)
	r.checkURL()
	r.oneContent()
	r.rawBytes()
	r.formType()
	s.jsonText(st)
	s.certificate(st)
	r.ownHeaders()
	s.acceptInput(st)
	s.stepAuth(st.With.Field("auth"))
	s.pagesInput(st)
	s.expectInput(st)
}

// outgoing is a request in a file: that of a step or of a poll.
type outgoing struct {
	src  *source
	with *Value
	// connection is the one that the request names; nil if there is none or it is unknown.
	connection *Connection
}

func (s *stepChecker) outgoing(st *Step) *outgoing {
	return &outgoing{src: s.w.src, with: st.With, connection: s.c.connectionOf(st.With)}
}

// connectionOf returns the connection that a request names.
func (c *checker) connectionOf(with *Value) *Connection {
	name, _ := with.Field("connection").constantText()
	return c.p.Connections[name]
}

// pollRequest checks a poll's request like that of a step.
func (c *checker) pollRequest(t *Trigger, request *Value) {
	if c.stored || request == nil {
		return
	}
	r := &outgoing{src: t.src, with: request, connection: c.connectionOf(request)}
	if url := request.Field("url"); url != nil {
		if want, got := misfit("string", url); want != "" {
			t.src.add(url.pos, "wrong-kind", fmt.Sprintf("url is %s, got %s", want, got), `write url: "https://api.example.com/orders"`)
		}
	}
	r.checkURL()
	r.ownHeaders()
	r.oneContent()
	r.rawBytes()
	r.formType()
}

// foreignInputs maps inputs of other tools to those of http steps.
var foreignInputs = map[string]string{
	"json": "write body: it is sent as JSON", "data": "write body: (JSON) or form:", "payload": "write body:",
	"params": "write query:", "qs": "write query:", "querystring": "write query:", "query_params": "write query:",
	"parameters":     "write query:",
	"authentication": "write auth:", "token": "write auth: {bearer: ...}", "uri": "write url:", "endpoint": "write url:",
	"address": "write url:", "header": "write headers:",
	"content_type": "write headers: {Content-Type: ...}", "paginate": "write pages:",
	"pagination": "write pages:", "timeout": "timeout: belongs to the step, not inside with:",
	"retry": "retry: belongs to the step, not inside with:", "credentials": "write connection: or auth:",
	"file": "write raw_file: (the path of a file) or multipart:", "files": "write multipart: {NAME: {file: PATH}}",
	"output_file": "write save: true", "save_as": "write save: true", "download": "write save: true",
	"stream": "write save: true", "save_to": "write save: true", "responseFormat": "write save: true for a file, or parse:",
}

// checkURL checks the constant beginning of a URL.
func (r *outgoing) checkURL() {
	v := r.with.Field("url")
	if v == nil {
		return
	}
	_, connected := findField(r.with, "connection")
	text, constant := v.constantText()
	if v.kind == textValue {
		if v.parts[0].expr != nil {
			r.urlOfExpression(v, connected)
			return
		}
		text = v.parts[0].text
	} else if !constant {
		return
	}
	problem, hint := urlProblem(text, connected, constant)
	if c := r.connection; problem == "" && c != nil && c.Connector == "http" && c.BaseURL == nil && len(c.Fields) == 0 &&
		strings.HasPrefix(text, "/") {
		problem, hint = fmt.Sprintf("the URL %s has no host: connection %s has no base_url", value.Clip(text, 60),
			c.Name), "write the full URL, or add base_url: https://... to the connection"
	}
	if problem != "" {
		r.src.add(v.pos, "bad-address", problem, hint)
	}
}

// urlOfExpression reports a URL that begins with an expression followed by text: inserted values
// are encoded, so http:// would become http:%2F%2F.
func (r *outgoing) urlOfExpression(v *Value, connected bool) {
	if len(v.parts) < 2 || strings.HasPrefix(v.parts[1].text, "://") {
		return
	}
	rest := ""
	for _, p := range v.parts[1:] {
		if p.expr != nil {
			rest += "${{ " + p.expr.Text + " }}"
		}
		rest += p.text
	}
	hint := "give a connection in hookloom.yaml the base_url, and write connection: NAME and url: " + rest
	if connected {
		hint = "the connection's base_url is added before it: write url: " + rest
	}
	if !strings.HasPrefix(rest, "/") {
		hint = "write the host literally: url: https://api.example.com/..."
	}
	r.src.add(v.pos, "url-expression",
		"a URL cannot begin with an expression: what is inserted is encoded, and http:// becomes http:%2F%2F", hint)
}

// urlProblem returns what is wrong with a URL, or with its beginning if the rest comes from
// expressions.
func urlProblem(text string, connected, whole bool) (problem, hint string) {
	switch {
	case strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//"):
		if connected {
			return "", ""
		}
		return fmt.Sprintf("the URL %s has no host",
			value.Clip(text, 60)), "write the full URL, or use connection: NAME, a connection of hookloom.yaml with base_url"
	case strings.HasPrefix(text, "//"):
		return fmt.Sprintf("the URL %s has no scheme", value.Clip(text, 60)), "write https:" + text
	}
	scheme, _, found := strings.Cut(text, "://")
	if !found || strings.ContainsAny(scheme, "/.?#") {
		if connected {
			return fmt.Sprintf("the URL %s is not a path", value.Clip(text, 60)), "write /" + strings.TrimLeft(text, "/")
		}
		problem := fmt.Sprintf("the URL %s has no scheme", value.Clip(text, 60))
		for _, s := range []string{"https:", "http:"} {
			if rest, cut := strings.CutPrefix(text, s); cut {
				return problem, "write " + s + "//" + strings.TrimLeft(rest, "/")
			}
		}
		return problem, "write " + schemeFor(text) + text
	}
	if s := strings.ToLower(scheme); s != "http" && s != "https" {
		return fmt.Sprintf("%s is not an http URL", value.Clip(text, 60)), "write https://..."
	}
	if !whole {
		return "", ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return fmt.Sprintf("the URL %s cannot be read", value.Clip(text, 60)), "write https://host/path"
	}
	return "", ""
}

// schemeFor guesses http for loopback addresses, https for others.
func schemeFor(host string) string {
	name, _, _ := strings.Cut(host, "/")
	name, _, _ = strings.Cut(name, ":")
	if loopbackHost(name) {
		return "http://"
	}
	return "https://"
}

// oneContent reports a request with two bodies.
func (r *outgoing) oneContent() {
	var have []string
	for _, f := range r.with.fields() {
		if slices.Contains([]string{"body", "form", "multipart", "text", "raw", "raw_file"}, f.name) {
			if v, constant := f.value.IsConstant(); !constant || v != nil {
				have = append(have, f.name)
			}
		}
	}
	if len(have) > 1 {
		v := r.with.Field(have[1])
		r.src.add(v.keyPos(r.src, have[1]), "exclusive-keys", fmt.Sprintf("%s are mutually exclusive: a request has one body",
			strings.Join(have, " and ")), "keep one of them")
	}
}

// rawBytes reports a constant raw: that is not base64.
func (r *outgoing) rawBytes() {
	v := r.with.Field("raw")
	text, constant := v.constantText()
	if v == nil || !constant {
		return
	}
	if _, err := base64.StdEncoding.DecodeString(text); err != nil {
		r.src.add(v.pos, "not-base64", "raw holds bytes as base64, and this is not base64",
			"send text with text:, and JSON with body:")
	}
}

// formType reports a map that would be sent as JSON with the media type of a form.
func (r *outgoing) formType() {
	if r.with.Field("body") == nil {
		return
	}
	for _, f := range r.with.Field("headers").fields() {
		text, _ := f.value.constantText()
		kind, _, _ := strings.Cut(text, ";")
		if !strings.EqualFold(f.name, "content-type") {
			continue
		}
		if k := strings.ToLower(strings.TrimSpace(kind)); k == "application/x-www-form-urlencoded" {
			v := r.with.Field("body")
			r.src.add(v.keyPos(r.src, "body"), "form-body", "body is sent as JSON, and the header says it is a form",
				"write form: instead, and drop the header")
		} else if k == "multipart/form-data" {
			v := r.with.Field("body")
			r.src.add(v.keyPos(r.src, "body"), "form-body", "body is sent as JSON, and the header says it has several parts",
				"write multipart: instead, and drop the header")
		}
	}
}

func findField(v *Value, name string) (*Value, bool) {
	for _, f := range v.fields() {
		if f.name == name {
			return f.value, true
		}
	}
	return nil, false
}

// authForms shows how each kind of auth is written.
var authForms = map[string]string{
	"bearer": "auth: {bearer: TOKEN}", "basic": "auth: {basic: {user: NAME, password: PASSWORD}}",
	"header": "auth: {header: {name: X-Api-Key, value: KEY}}", "query": "auth: {query: {name: key, value: KEY}}",
}

// foreignAuth maps words of other tools in auth:.
var foreignAuth = map[string]string{
	"username": "basic", "user": "basic", "password": "basic", "token": "bearer", "api_key": "header",
	"apikey": "header", "digest": "basic", "key": "header",
}

// connectionOnly are the kinds of auth that store a token, which a step cannot do.
var connectionOnly = map[string]bool{"oauth2": true, "jwt_bearer": true, "aws_sigv4": true, "tls": true}

// stepAuth checks auth: of a step like that of connections and triggers.
func (s *stepChecker) stepAuth(auth *Value) {
	if auth == nil {
		return
	}
	src := s.w.src
	if auth.kind == exprValue {
		return
	}
	fields := auth.fields()
	kinds := slices.Sorted(maps.Keys(authForms))
	if len(fields) == 0 {
		src.add(auth.pos, "wrong-kind", "auth is a map", authForms["bearer"])
		return
	}
	for _, f := range fields {
		if !slices.Contains(kinds, f.name) && f.name != "api_key" {
			hint := spelling.Suggest(f.name, kinds)
			if connectionOnly[f.name] {
				hint = fmt.Sprintf("it belongs in a connection: add connections: {NAME: {connector: http, auth: {%s: ...}}} to hookloom.yaml, "+
					"and connection: NAME to the step", f.name)
			} else if form, ok := foreignAuth[f.name]; ok {
				hint = "write " + authForms[form]
			} else if word, _ := f.value.constantText(); f.name == "type" && authForms[word] != "" {
				hint = "write " + authForms[word]
			} else if hint == "" {
				hint = "known are " + strings.Join(kinds, ", ")
			}
			src.add(f.value.keyPos(src, f.name), "unknown-key", fmt.Sprintf("unknown key %q in auth", f.name), hint)
			return
		}
	}
	if len(fields) > 1 {
		src.add(auth.pos, "exclusive-keys", "auth takes exactly one of "+strings.Join(kinds, ", "), "")
		return
	}
	s.authParts(fields[0])
}

// authParts checks the keys of one kind of auth.
func (s *stepChecker) authParts(f namedValue) {
	src := s.w.src
	form := "write " + authForms[f.name]
	if f.name == "api_key" {
		form = "write " + authForms["header"]
	}
	v, constant := f.value.IsConstant()
	if f.name == "bearer" {
		if _, isText := v.(string); constant && !isText || f.value.kind == mapValue || f.value.kind == listValue {
			src.add(f.value.pos, "wrong-type", "bearer is the token's text", form)
		}
		return
	}
	if f.value.kind == exprValue {
		return
	}
	parts := f.value.fields()
	known := []string{"name", "value"}
	if f.name == "basic" {
		known = []string{"user", "password"}
	}
	for _, p := range parts {
		if !slices.Contains(known, p.name) {
			src.add(p.value.keyPos(src, p.name), "unknown-key", fmt.Sprintf("unknown key %q in %s", p.name, f.name), form)
			return
		}
		if user, _ := p.value.constant.(string); p.name == "user" && strings.Contains(user, ":") {
			src.add(p.value.pos, "bad-name", basicUserColon, basicUserHint)
		}
	}
	for _, name := range known {
		if !hasField(parts, name) && name != "password" {
			src.add(f.value.pos, "missing-key", fmt.Sprintf("%s needs %s:", f.name, name), form)
			return
		}
	}
}

// certificate reports a client certificate without its key, or a key without its certificate.
func (s *stepChecker) certificate(st *Step) {
	for _, half := range [][2]string{{"cert", "key"}, {"key", "cert"}} {
		if given := st.With.Field(half[0]); given != nil && st.With.Field(half[1]) == nil {
			s.w.src.add(given.keyPos(s.w.src, half[0]), "missing-input", fmt.Sprintf("%s needs %s: a client certificate is both", half[0], half[1]),
				fmt.Sprintf(`add to with: %s: "${{ secrets.CLIENT_%s }}"`, half[1], strings.ToUpper(half[1])))
		}
	}
}
