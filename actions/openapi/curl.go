package openapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// curlArguments are options of curl with a value that has no meaning here.
var curlArguments = []string{"-o", "--output", "-A", "--user-agent", "-e", "--referer", "-m", "--max-time", "--connect-timeout", "-b",
	"--cookie", "-c", "--cookie-jar", "-x", "--proxy", "--cacert", "-E", "--cert", "--key", "-w", "--write-out", "--retry", "-T",
	"--upload-file", "--resolve", "--ciphers", "-r", "--range", "--limit-rate", "-K", "--config"}

var (
	idSegment = regexp.MustCompile(`^(\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{24,}|[a-z]{2,5}_[A-Za-z0-9]{8,})$`)
	hostName  = regexp.MustCompile(`^[A-Za-z0-9.-]+(:\d+)?$`)
)

// curl is a parsed curl command.
type curl struct {
	method, url, user string
	headers           [][2]string
	data, form        []string
	json, get         bool
	auth              *auth
}

// FromCurl creates a connector file from a curl command. The command's credential becomes a field
// of the connection; its value is not written.
func FromCurl(ctx context.Context, command, action string, o Options) (*Result, error) {
	words, err := shellWords(command)
	if err != nil {
		return nil, err
	}
	c, err := parseCurl(words)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(c.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !hostName.MatchString(u.Host) {
		return nil, fmt.Errorf("%q is not an http URL", clean(c.url))
	}
	op := &operation{id: action, status: 200, returns: anyType(), fixedQuery: map[string]string{}, fixedHead: map[string]string{}}
	s := &service{title: u.Host, server: server{url: u.Scheme + "://" + u.Host}, ops: []*operation{op}}
	c.path(op, u)
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range u.Query() {
			if !yield(k) {
				return
			}
		}
	}) {
		if secretWord(k) {
			c.keyIn("query", k)
			continue
		}
		op.inputs = append(op.inputs, &input{sent: k, in: "query", kind: "string", example: u.Query().Get(k), hasExample: true})
	}
	if err := c.content(op); err != nil {
		return nil, err
	}
	c.head(op)
	s.auth = c.auth
	if u.User != nil || c.user != "" {
		s.auth, _ = (&document{}).scheme(&object{vals: map[string]any{"type": "basic"}})
	}
	if key, ok := strings.CutSuffix(c.user, ":"); ok && !strings.Contains(key, ":") {
		// Stripe and others take a key as a user without a password: then the user is the secret.
		s.auth = &auth{text: "auth:\n  basic: {user: \"${{ connection.token }}\"}\n", fields: []string{tokenField + "key}"}}
	}
	return s.result(ctx, o)
}

func secretWord(name string) bool {
	n := strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
	return slices.Contains([]string{"token", "accesstoken", "apikey", "key", "secret", "authtoken", "xapikey", "authorization", "cookie",
		"password", "apitoken", "xauthtoken", "xaccesstoken", "privatetoken"}, n)
}

// keyIn converts a header or a query parameter to a credential.
func (c *curl) keyIn(in, name string) {
	if c.auth == nil {
		c.auth, _ = (&document{}).scheme(&object{vals: map[string]any{"type": "apiKey", "in": in, "name": name}})
	}
}

// path replaces segments that are ids by inputs.
func (c *curl) path(o *operation, u *url.URL) {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, seg := range segments {
		if !idSegment.MatchString(seg) {
			continue
		}
		name := "id"
		if i > 0 && segments[i-1] != "" && !strings.HasPrefix(segments[i-1], "{") {
			name = strings.TrimSuffix(snake(segments[i-1]), "s") + "_id"
		}
		o.inputs = append(o.inputs, &input{sent: name, in: "path", kind: "string", required: true, example: seg, hasExample: true})
		segments[i] = "{" + name + "}"
	}
	if o.path = strings.Join(segments, "/"); o.path == "" {
		o.path = "/"
	}
}

// content reads the body and derives the method.
func (c *curl) content(o *operation) error {
	o.method = strings.ToUpper(c.method)
	data := strings.Join(c.data, "&")
	switch {
	case c.get:
		for _, pair := range strings.Split(data, "&") {
			k, v, _ := strings.Cut(pair, "=")
			o.inputs = append(o.inputs, &input{sent: unescape(k), in: "query", kind: "string", example: unescape(v), hasExample: true})
		}
		data = ""
	case o.method == "" && (data != "" || len(c.form) > 0):
		o.method = "POST"
	}
	if o.method == "" {
		o.method = "GET"
	}
	if !slices.Contains(httpMethods, strings.ToLower(o.method)) {
		return fmt.Errorf("method %s is not known", clean(o.method))
	}
	if (o.method == "GET" || o.method == "HEAD") && (data != "" || len(c.form) > 0) {
		return errors.New("a " + o.method + " request cannot have a body")
	}
	if strings.HasPrefix(data, "@") {
		i := &input{sent: "file", in: "body", kind: "file", required: true}
		o.content, o.inputs = &content{key: "raw_file", whole: i}, append(o.inputs, i)
		return nil
	}
	if len(c.form) > 0 {
		o.content = &content{key: "multipart"}
		for _, f := range c.form {
			k, v, _ := strings.Cut(f, "=")
			i := &input{sent: k, in: "body", kind: "string", example: v, hasExample: true}
			if strings.HasPrefix(v, "@") || strings.HasPrefix(v, "<") {
				i.kind, i.hasExample = "file", false
			}
			o.inputs = append(o.inputs, i)
		}
		return nil
	}
	media := ""
	for _, h := range c.headers {
		if strings.EqualFold(h[0], "Content-Type") {
			media, _, _ = strings.Cut(strings.ToLower(h[1]), ";")
		}
	}
	trimmed := strings.TrimSpace(data)
	isJSON := c.json || strings.HasSuffix(media, "json") || media == "" && (strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "["))
	switch {
	case trimmed == "":
	case isJSON || media != "" && media != "application/x-www-form-urlencoded":
		rawBody(o, data)
		if o.content != nil && !isJSON {
			o.content.media = media
		}
	default:
		o.content = &content{key: "form"}
		for _, pair := range strings.Split(data, "&") {
			k, v, _ := strings.Cut(pair, "=")
			o.inputs = append(o.inputs, &input{sent: unescape(k), in: "body", kind: "string", example: unescape(strings.ReplaceAll(v, "+", " ")),
				hasExample: true})
		}
	}
	return nil
}

// head keeps the headers that are not credentials.
func (c *curl) head(o *operation) {
	for _, h := range c.headers {
		switch lower := strings.ToLower(h[0]); {
		case lower == "authorization":
			c.auth = authorization(h[1])
		case slices.Contains(secretHeaders, lower) || secretWord(h[0]):
			c.keyIn("header", h[0])
		case lower == "content-type" || lower == "accept" || lower == "content-length" || lower == "host" || lower == "user-agent":
		case strings.Contains(lower, "idempotency-key"):
			o.idempotencyHeader = h[0]
		case headerName.MatchString(h[0]):
			o.fixedHead[h[0]] = clean(h[1])
		}
	}
}

// authorization returns the auth for the value of an Authorization header.
func authorization(header string) *auth {
	kind, value, _ := strings.Cut(header, " ")
	s := &object{vals: map[string]any{"type": "apiKey", "in": "header", "name": "Authorization",
		"description": "the full value of Authorization, with its scheme"}}
	if strings.EqualFold(kind, "bearer") {
		s = &object{vals: map[string]any{"type": "http", "scheme": "bearer"}}
	} else if _, err := base64.StdEncoding.DecodeString(value); err == nil && strings.EqualFold(kind, "basic") {
		s = &object{vals: map[string]any{"type": "basic"}}
	}
	out, _ := (&document{}).scheme(s)
	return out
}

func parseCurl(words []string) (*curl, error) {
	if len(words) == 0 || words[0] != "curl" && !strings.HasSuffix(words[0], "/curl") {
		return nil, errors.New("the command does not begin with curl")
	}
	c := &curl{}
	for i := 1; i < len(words); i++ {
		w := words[i]
		value := func() (string, bool) {
			if long, v, ok := strings.Cut(w, "="); ok && strings.HasPrefix(w, "--") {
				w = long
				return v, true
			}
			if len(w) > 2 && w[0] == '-' && w[1] != '-' {
				v := w[2:]
				w = w[:2]
				return v, true
			}
			if i+1 < len(words) {
				i++
				return words[i], true
			}
			return "", false
		}
		if !strings.HasPrefix(w, "-") || w == "-" {
			if c.url == "" {
				c.url = w
			}
			continue
		}
		if err := c.option(w, value); err != nil {
			return nil, err
		}
	}
	if c.url == "" {
		return nil, errors.New("the command has no URL")
	}
	if !strings.Contains(c.url, "://") {
		c.url = "https://" + c.url
	}
	return c, nil
}

// option parses one option; value returns its argument.
func (c *curl) option(w string, value func() (string, bool)) error {
	name, _, _ := strings.Cut(w, "=")
	if len(w) > 2 && w[1] != '-' {
		name = w[:2]
	}
	take := func(to func(string)) error {
		v, ok := value()
		if !ok {
			return fmt.Errorf("%s has no value", name)
		}
		to(v)
		return nil
	}
	switch name {
	case "-X", "--request":
		return take(func(v string) { c.method = v })
	case "--url":
		return take(func(v string) { c.url = v })
	case "-u", "--user":
		return take(func(v string) { c.user = v })
	case "-H", "--header":
		return take(func(v string) {
			k, v, _ := strings.Cut(v, ":")
			c.headers = append(c.headers, [2]string{strings.TrimSpace(k), strings.TrimSpace(v)})
		})
	case "-d", "--data", "--data-raw", "--data-ascii", "--data-binary", "--data-urlencode":
		return take(func(v string) { c.data = append(c.data, v) })
	case "--json":
		return take(func(v string) { c.data, c.json = append(c.data, v), true })
	case "-F", "--form", "--form-string":
		return take(func(v string) { c.form = append(c.form, v) })
	case "-G", "--get":
		c.get = true
	case "-I", "--head":
		c.method = "HEAD"
	}
	if slices.Contains(curlArguments, name) {
		return take(func(string) {})
	}
	return nil
}

// shellWords splits a command like a POSIX shell: quotes, backslashes, $'...'. It expands nothing.
func shellWords(s string) ([]string, error) {
	var out []string
	var b strings.Builder
	in, quote := false, rune(0)
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote == '\'' && r == '\'', quote == '"' && r == '"':
			quote = 0
		case quote == '\'':
			b.WriteRune(r)
		case r == '\\' && i+1 < len(runes):
			i++
			switch {
			case runes[i] == '\n':
			case quote == '"' && !strings.ContainsRune("\"\\$`", runes[i]):
				b.WriteRune('\\')
				b.WriteRune(runes[i])
			default:
				in = true
				b.WriteRune(runes[i])
			}
		case quote == '"':
			b.WriteRune(r)
		case r == '$' && i+1 < len(runes) && runes[i+1] == '\'':
			// ANSI-C quoting, which browsers copy, is treated as plain quoting.
		case r == '\'' || r == '"':
			in, quote = true, r
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if in {
				out = append(out, b.String())
				b.Reset()
			}
			in = false
		default:
			in = true
			b.WriteRune(r)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a %c is not closed", quote)
	}
	if in {
		out = append(out, b.String())
	}
	return out, nil
}
