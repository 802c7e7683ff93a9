package actions

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// defaultMaxResponse is the default maximum size of a response in bytes.
const defaultMaxResponse = 1 << 20

func httpSpec(name, help, method string) workflows.ActionSpec {
	s := workflows.ActionSpec{Name: name, Help: help, SideEffects: true, Outputs: httpOutputs,
		SafeMethods: method == "", Safe: method == "GET" || method == "HEAD" ||
			method == "PUT" || method == "DELETE",
		Example: map[string]any{"status": 200, "headers": map[string]any{}, "body": map[string]any{}, "url": "", "duration_ms": 0}}
	s.Inputs = []workflows.ActionInput{
		{Name: "url", Type: "string", Required: true, Help: "the URL to call; a path if connection: has a base_url", Fill: workflows.FillURL},
		{Name: "query", Type: "object", Help: "parameters added to the URL"},
		{Name: "headers", Type: "object", Fill: workflows.FillNonempty},
		{Name: "body", Type: "any", Help: "sent as JSON; a text that is a JSON object or list is sent unchanged"},
		{Name: "form", Type: "object", Help: "sent as a form"},
		{Name: "form_style", Type: "string", Words: formStyles, Help: "how form and query write lists and maps: a=1&a=2 and a[b]=1; a[]=1 and " +
			"a[b]=1; JSON"},
		{Name: "multipart", Type: "object", Fill: workflows.FillParts,
			Help: "sent as multipart/form-data: names to texts, or to parts {text, raw, body or file; filename, type}"},
		{Name: "text", Type: "string", Help: "sent as plain text"},
		{Name: "raw", Type: "string", Fill: workflows.FillBytes,
			Help: "the bytes to send: base64 text, or the result of fromBase64, fromBase64URL or " +
				"fromHex give"},
		{Name: "raw_file", Type: "any", Help: "a file to send: its path, as a step with save: true returns it"},
		{Name: "auth", Type: "object", Help: "one of {bearer: TOKEN}, {basic: {user, password}}, {header: {name, value}}, {query: " +
			"{name, value}}"},
		{Name: "connection", Type: "string", Help: "a connection of hookloom.yaml"},
		{Name: "idempotency_key", Type: "string", Help: "Idempotency-Key; the run's own by default", Fill: workflows.FillNonempty},
		{Name: "accept", Type: "any", Help: "statuses that count as success, such as [200, 404] or 200-299"},
		{Name: "parse", Type: "string", Words: []string{"auto", "json", "text", "base64"}},
		{Name: "max_response", Type: "size", Help: "1MiB by default, at most 4MiB; with save: true, files.max_file of hookloom.yaml by default " +
			"and at most"},
		{Name: "save", Type: "boolean", Help: "true: the response is written to a file; the output has its path, size, sha256 " +
			"and content_type instead of body"},
		{Name: "follow", Type: "boolean", Help: "true: a 202 response is followed to the end of the operation: its Location is polled " +
			"until the response changes or the step times out"},
		{Name: "cache", Type: "boolean", Help: "true: a GET sends the ETag of its last response; on 304, that response is returned " +
			"again; kept in memory for each workflow and URL"},
		{Name: "redirects", Type: "integer", Help: "how many to follow; 0 by default"},
		{Name: "expect", Type: "any", Literal: workflows.ExpectHint, Help: "the types of the response's body, such as " +
			"{id: string, 'note?': string, tags: [string]}; another body fails with bad_answer"},
		{Name: "proxy", Type: "string", Secret: true, Fill: workflows.FillNonempty, Help: "the HTTP proxy of this request, such as " +
			"http://USER:PASSWORD@proxy.example.com:3128; none by default, whatever the environment says"},
		{Name: "cert", Type: "string", Secret: true, Help: "the client certificate to show, as PEM text"},
		{Name: "key", Type: "string", Secret: true, Help: "the private key of cert, as PEM text"},
		{Name: "ca", Type: "string", Help: "the authorities that may have signed the server's certificate, as PEM text; " +
			"those of the system by default"},
	}
	if method != http.MethodHead {
		s.Inputs = append(s.Inputs, workflows.ActionInput{Name: "pages", Type: "object", Literal: workflows.PagesHint,
			Help: "reads a list page by page, in the words of connector files: {items: response.body.rows, page: {query: page}}; " +
				"the output's body is the list of all items, more is true if it was cut"})
	}
	if method == "" {
		s.Inputs = append(s.Inputs, workflows.ActionInput{Name: "method", Type: "string", Help: "GET by default",
			Words: []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}})
	}
	return s
}

// httpAction is http/request, or with a method one of its short forms.
type httpAction struct {
	method string
	outbound
	// answers is the cache for cache: true; nil caches nothing.
	answers *answers
}

// Do implements engine.Action.
func (a httpAction) Do(ctx context.Context, in engine.Input) (any, error) {
	o, accepted, err := a.order(in)
	if err != nil {
		return nil, err
	}
	client, done, err := route(in, a.client, &o)
	if err != nil {
		return nil, err
	}
	defer done()
	a.client = client
	o.maySave, o.files = true, in.Files
	if save, _ := in.With["save"].(bool); save {
		saves(&o, in, accepted)
	} else {
		o.limit = min(o.limit, value.MaxSize)
	}
	if in.With["pages"] != nil {
		r, more, err := a.list(ctx, in, o, accepted)
		if err == nil {
			err = expected(in, r)
		}
		if err != nil {
			return nil, err
		}
		out := r.output()
		out["more"] = more
		return out, nil
	}
	r, err := a.sendKept(o, in, func(o order) (*reply, error) { return send(ctx, a.client, o) })
	if err != nil {
		return nil, err
	}
	if follow, _ := in.With["follow"].(bool); follow {
		if r, err = followed(ctx, a.client, o, r); err != nil {
			return nil, err
		}
	}
	if !accepted(r.status) {
		e := r.failed(reasonOf(r.body))
		e.Message = r.asked + " " + e.Message
		return nil, e
	}
	if err := expected(in, r); err != nil {
		return nil, err
	}
	return r.output(), nil
}

// output returns the output of a step with an http/ action.
func (r *reply) output() map[string]any {
	out := map[string]any{"status": r.status, "headers": r.headers, "url": r.url, "duration_ms": int(r.took.Milliseconds())}
	if r.saved == nil {
		out["body"] = r.body
		return out
	}
	maps.Copy(out, r.saved)
	return out
}

// Connection implements engine.Connected.
func (a httpAction) Connection(in engine.Input) string {
	name, _ := in.With["connection"].(string)
	return name
}

// Destination implements engine.Destined.
func (a httpAction) Destination(in engine.Input) string {
	conn, err := pick(in, value.Shown(in.With["connection"]))
	if err != nil {
		return ""
	}
	return destination(conn.base, value.Shown(in.With["url"]))
}

// destination returns scheme://host:port of a URL, or of the base against which a path is resolved;
// without the port if it is the scheme's default. For a host shared by many receivers it includes
// the beginning of the path.
func destination(base, raw string) string {
	if base != "" && strings.HasPrefix(raw, "/") {
		raw = strings.TrimRight(base, "/") + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	return engine.DestinationOf(origin(u), u.EscapedPath())
}

// below joins the path of a link to a base URL. A link relative to the host, as in responses (RFC
// 3986, 4.2, absolute-path reference), already contains the base's path.
func below(base, path string) string {
	base = strings.TrimRight(base, "/")
	_, rest, _ := strings.Cut(base, "://")
	host, own, found := strings.Cut(rest, "/")
	if own = "/" + own; found {
		if after, ok := strings.CutPrefix(path, own); ok && (after == "" || strings.ContainsRune("/?", rune(after[0]))) {
			return base[:len(base)-len(rest)] + host + path
		}
	}
	return base + path
}

func (a httpAction) order(in engine.Input) (order, func(int) bool, error) {
	o := order{method: a.method, header: http.Header{}, limit: defaultMaxResponse, parse: "auto"}
	if m, ok := in.With["method"].(string); ok && a.method == "" {
		o.method = strings.ToUpper(m)
	}
	if o.method == "" {
		o.method = http.MethodGet
	}
	if p, ok := in.With["parse"].(string); ok {
		o.parse = p
	}
	o.mayRedirect, o.mayAskMore = true, true
	if n, ok := in.With["redirects"].(int); ok {
		o.redirects = max(0, min(n, 10))
	}
	if s, ok := in.With["max_response"].(string); ok {
		n, err := workflows.ParseSize(s)
		if err != nil {
			return o, nil, plan.Permanent("invalid_request", "max_response: %v", err)
		}
		o.limit = n
	}
	accepted, err := acceptance(in.With["accept"])
	if err != nil {
		return o, nil, err
	}
	conn, err := pick(in, value.Shown(in.With["connection"]))
	if err != nil {
		return o, nil, err
	}
	if o.url, err = conn.resolve(value.Shown(in.With["url"]), in.Link, in.With["query"], value.Shown(in.With["form_style"])); err != nil {
		return o, nil, err
	}
	if err := conn.apply(&o, a.auth); err != nil {
		return o, nil, err
	}
	if err := a.content(&o, in); err != nil {
		return o, nil, err
	}
	return o, accepted, a.headers(&o, in)
}

// headers sets the step's own headers last, so that they take precedence.
func (a httpAction) headers(o *order, in engine.Input) error {
	key := in.Key
	if k, ok := in.With["idempotency_key"].(string); ok {
		key = k
	}
	if o.method != http.MethodGet && o.method != http.MethodHead && o.method != http.MethodOptions && key != "" {
		if err := setHeader(o.header, "Idempotency-Key", key); err != nil {
			return err
		}
	}
	if m, ok := in.With["auth"].(map[string]any); ok {
		if err := authHeaders(o, m); err != nil {
			return err
		}
	}
	h, _ := in.With["headers"].(map[string]any)
	for k, v := range h {
		if err := setHeader(o.header, k, v); err != nil {
			return err
		}
	}
	return nil
}

func authHeaders(o *order, m map[string]any) error {
	for kind, v := range m {
		switch kind {
		case "bearer":
			return setHeader(o.header, "Authorization", "Bearer "+value.Shown(v))
		case "basic":
			b, _ := v.(map[string]any)
			user := value.Shown(b["user"])
			if strings.Contains(user, ":") { // RFC 7617, section 2: the user ends at the first colon
				return plan.Permanent("invalid_request",
					"the user of basic authentication contains a colon: write the part after it as password, or set the header Authorization")
			}
			return setHeader(o.header, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+value.Shown(b["password"]))))
		case "header", "api_key":
			h, _ := v.(map[string]any)
			return setHeader(o.header, value.Shown(h["name"]), h["value"])
		case "query":
			q, _ := v.(map[string]any)
			var err error
			o.url, err = addQuery(o.url, map[string]any{value.Shown(q["name"]): q["value"]}, "")
			return err
		default:
			return plan.Permanent("invalid_request", "auth %q is not known: bearer, basic, header or query", kind)
		}
	}
	return nil
}

// content encodes the body.
func (a httpAction) content(o *order, in engine.Input) error {
	with, n := in.With, 0
	for _, k := range []string{"body", "form", "multipart", "text", "raw", "raw_file"} {
		if with[k] != nil {
			n++
		}
	}
	if n > 1 {
		return plan.Permanent("invalid_request", "body, form, multipart, text, raw and raw_file are mutually exclusive")
	}
	var err error
	switch {
	case with["form"] != nil:
		form := url.Values{}
		if err = addValues(form, with["form"], value.Shown(with["form_style"])); err == nil {
			o.body = []byte(form.Encode())
		}
		o.header.Set("Content-Type", "application/x-www-form-urlencoded")
	case with["multipart"] != nil:
		err = multipartBody(o, with["multipart"], in)
	case with["text"] != nil:
		o.body = []byte(value.Shown(with["text"]))
		o.header.Set("Content-Type", "text/plain; charset=utf-8")
	case with["raw"] != nil:
		if o.body, err = base64.StdEncoding.DecodeString(value.Shown(with["raw"])); err != nil {
			err = plan.Permanent("invalid_request", "raw is not valid base64")
		}
		o.header.Set("Content-Type", "application/octet-stream")
	case with["raw_file"] != nil:
		var p part
		media := ""
		if p, media, err = filePart(in.Files, "raw_file", with["raw_file"]); err == nil {
			o.parts = []part{p}
			o.header.Set("Content-Type", cmp.Or(media, "application/octet-stream"))
		}
	case with["body"] != nil:
		if t, ok := with["body"].(string); ok && isJSONText(t) {
			o.body = []byte(t)
			o.header.Set("Content-Type", "application/json")
			break
		}
		err = jsonBody(o, with["body"])
	}
	return err
}

// isJSONText reports whether a text is a JSON object or list: encoding it again would produce a
// JSON string, which no API expects.
func isJSONText(t string) bool {
	t = strings.TrimSpace(t)
	return (strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[")) && json.Valid([]byte(t))
}

// maxRequest is the maximum size of the JSON that is sent: a request is not stored, so it may be as
// large as the largest event.
const maxRequest = 32 << 20

func jsonBody(o *order, v any) error {
	b, err := value.AppendJSON(nil, v, maxRequest)
	if err != nil {
		return notEncoded("body", err)
	}
	o.body = b
	o.header.Set("Content-Type", "application/json")
	return nil
}

// acceptance parses accept: 200, "200-299", or a list of them.
func acceptance(v any) (func(int) bool, error) {
	if v == nil {
		return success, nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	type span struct{ from, to int }
	var spans []span
	for _, x := range list {
		s := value.Shown(x)
		lo, hi, isRange := strings.Cut(s, "-")
		from, err := strconv.Atoi(strings.TrimSpace(lo))
		to := from
		if err == nil && isRange {
			to, err = strconv.Atoi(strings.TrimSpace(hi))
		}
		if err != nil || from < 100 || to > 599 || to < from {
			return nil, plan.Permanent("invalid_request", "accept: %q is not an HTTP status; write 200, 404 or 200-299", s)
		}
		spans = append(spans, span{from, to})
	}
	return func(status int) bool {
		for _, s := range spans {
			if status >= s.from && status <= s.to {
				return true
			}
		}
		return false
	}, nil
}
