package signature

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
)

// canonicalForm returns the forms that need computation. Their names describe what they do; schemes
// select them in their data.
func (s *scope) canonicalForm(p *piece) (string, bool) {
	switch p.variable {
	case "body_sha256_hex":
		sum := sha256.Sum256(s.req.Body)
		return hex.EncodeToString(sum[:]), true
	case "body_sha256_base64":
		sum := sha256.Sum256(s.req.Body)
		return base64.StdEncoding.EncodeToString(sum[:]), true
	case "body_sha256_raw":
		sum := sha256.Sum256(s.req.Body)
		return string(sum[:]), true
	case "body_crc32_decimal":
		return strconv.FormatUint(uint64(crc32.ChecksumIEEE(s.req.Body)), 10), true
	case "form_sorted":
		return sortedForm(s.req)
	case "form_serialized":
		return serializedForm(s.req, p.name)
	case "form_json":
		return jsonForm(s.req)
	case "query_sorted":
		return s.req.Query.Encode(), true
	case "path_query_encoded":
		return encodedPathQuery(s.url), true
	case "json_lines":
		return s.jsonLines(p.name)
	case "header_lines":
		return s.headerLines(p.name)
	case "url_params_sorted":
		return urlParamsSorted(s.req, s.url)
	}
	return s.httpSignatureLines() // of http_signature
}

// decodeSomeEscapes decodes the escapes that HubSpot's v3 signature decodes: only the fixed set of
// its documentation.
var decodeSomeEscapes = strings.NewReplacer("%3A", ":", "%3a", ":", "%2F", "/", "%2f", "/", "%3F", "?", "%3f", "?", "%40", "@", "%21",
	"!", "%24", "$", "%27", "'",
	"%28", "(", "%29", ")", "%2A", "*", "%2a", "*", "%2C", ",", "%2c", ",", "%3B", ";", "%3b", ";")

// isForm reports whether the body is a URL-encoded form.
func isForm(r *Request) bool {
	kind := r.MediaType
	if kind == "" {
		kind = r.Header.Get("Content-Type")
	}
	kind, _, _ = strings.Cut(kind, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
}

// sortedForm concatenates the fields sorted by name, each distinct value preceded by its name.
// Source: twilio-node 6.2.0, webhooks; Mandrill's is the same.
func sortedForm(req *Request) (string, bool) {
	if req.Form == nil || !isForm(req) {
		// A body that is not a form would not be covered by the signature.
		return "", len(req.Body) == 0
	}
	form, err := req.Form()
	if err != nil {
		return "", false
	}
	var b strings.Builder
	for _, n := range sortedKeys(form) {
		for _, v := range slices.Compact(slices.Sorted(slices.Values(form[n]))) {
			b.WriteString(n + v)
		}
	}
	return b.String(), true
}

func sortedKeys(v url.Values) []string {
	names := make([]string, 0, len(v))
	for n := range v {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// serializedForm returns the fields, except the one named without, sorted, in PHP's serialize
// format of an array of strings.
func serializedForm(req *Request, without string) (string, bool) {
	if req.Form == nil {
		return "", false
	}
	form, err := req.Form()
	if err != nil {
		return "", false
	}
	var b strings.Builder
	n := 0
	for _, k := range sortedKeys(form) {
		if k != without {
			v := form.Get(k)
			fmt.Fprintf(&b, "s:%d:\"%s\";s:%d:\"%s\";", len(k), k, len(v), v)
			n++
		}
	}
	return fmt.Sprintf("a:%d:{%s}", n, b.String()), true
}

// jsonForm returns the fields in body order in the format of Python's json.dumps: ", " and ": " as
// separators, non-ASCII escaped.
func jsonForm(req *Request) (string, bool) {
	if req.Pairs == nil {
		return "", false
	}
	pairs, err := req.Pairs()
	if err != nil {
		return "", false
	}
	b := []byte("{")
	for i, p := range pairs {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendASCIIJSON(append(b, '"'), p[0])
		b = appendASCIIJSON(append(b, `": "`...), p[1])
		b = append(b, '"')
	}
	return string(append(b, '}')), true
}

// appendJSONText escapes text for a JSON string like JSON.stringify.
func appendJSONText(b []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\b':
			b = append(b, `\b`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < 0x20:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = append(b, string(r)...)
		}
	}
	return b
}

func appendASCIIJSON(b []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r < 0x7f:
			b = appendJSONText(b, string(r))
		default:
			b = appendEscaped(b, r)
		}
	}
	return b
}

// appendEscaped writes a character as \uXXXX, those beyond 16 bits as a surrogate pair.
func appendEscaped(b []byte, r rune) []byte {
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(b, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// encodedPathQuery returns the path, and the query escaped once more as a whole. Source:
// @contentful/node-apps-toolkit 3.16.1, requests/utils.
func encodedPathQuery(raw string) string {
	if _, address, absolute := strings.Cut(raw, "://"); absolute {
		_, path, _ := strings.Cut(address, "/")
		raw = "/" + path
	}
	path, query, found := strings.Cut(raw, "?")
	if found && query != "" {
		path += "?" + escapeAgain(escapeRFC3986(query, "!'()*"))
	}
	return path
}

// escapeAgain is encodeURI of text that was already escaped.
func escapeAgain(s string) string { return strings.ReplaceAll(s, "%", "%25") }

// escapeRFC3986 percent-encodes everything but unreserved characters and those in keep.
func escapeRFC3986(s, keep string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~"+keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// jsonLines returns name LF value LF for each named field that is present, in the given order.
// Source: sns-validator 0.3.5. Only the first value may contain a line feed, and the second must be
// present, so that the lines can be parsed in only one way: otherwise someone who controls the
// message, in a topic of their own, could put the expected topic into it and hide the real one in a
// later field.
func (s *scope) jsonLines(names string) (string, bool) {
	var b strings.Builder
	for i, n := range strings.Split(names, ",") {
		v, ok := s.req.read(&Place{JSON: n})
		if !ok && i == 1 || ok && i > 0 && strings.Contains(v, "\n") {
			return "", false
		}
		if ok {
			b.WriteString(n + "\n" + v + "\n")
		}
	}
	return b.String(), b.Len() != 0
}

// nextHeader matches what would look like the next header in a list of them.
var nextHeader = regexp.MustCompile(`;[a-zA-Z0-9-]+:`)

// headerLines returns name:value joined by ; for the headers that a header lists, in lower case and
// sorted. The list itself must be among them; otherwise a header could be removed from the signed
// content unnoticed.
func (s *scope) headerLines(list string) (string, bool) {
	names, ok := s.req.read(&Place{Header: http.CanonicalHeaderKey(list)})
	if !ok || len(names) > 4096 {
		return "", false
	}
	var sorted []string
	for _, n := range strings.Split(names, ",") {
		sorted = append(sorted, strings.ToLower(strings.TrimSpace(n)))
	}
	sort.Strings(sorted)
	if !slices.Contains(sorted, strings.ToLower(list)) {
		return "", false
	}
	var out []string
	for _, n := range sorted {
		v, ok := s.req.read(&Place{Header: http.CanonicalHeaderKey(n)})
		if !ok || nextHeader.MatchString(v) {
			return "", false
		}
		out = append(out, n+":"+strings.TrimSpace(v))
	}
	return strings.Join(out, ";"), true
}

// urlParamsSorted returns the URL with its query sorted, followed by the form's sorted fields,
// names and values concatenated. Source: plivo-node 4.79.0, v3Security.
func urlParamsSorted(req *Request, raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", false
	}
	form := url.Values{}
	if req.Form != nil && isForm(req) {
		if form, err = req.Form(); err != nil {
			return "", false
		}
	} else if len(req.Body) != 0 {
		return "", false // it would not be covered by the signature
	}
	query := u.Query()
	if req.Method == http.MethodGet {
		for k, v := range form {
			query[k] = append(query[k], v...)
		}
		form = url.Values{}
	}
	var pairs []string
	for _, k := range sortedKeys(query) {
		values := slices.Clone(query[k])
		sort.Strings(values)
		for _, v := range values {
			pairs = append(pairs, k+"="+v)
		}
	}
	out := u.Scheme + "://" + u.Host + u.EscapedPath()
	if len(pairs) != 0 || len(form) != 0 {
		out += "?" + strings.Join(pairs, "&")
	}
	if len(pairs) != 0 && len(form) != 0 {
		out += "."
	}
	for _, k := range sortedKeys(form) {
		values := slices.Clone(form[k])
		sort.Strings(values)
		for _, v := range values {
			out += k + v
		}
	}
	return out, true
}

// httpSignatureLines returns the lines of draft-cavage-http-signatures-12, section 2.3, for the
// headers that the signature lists. The digest of the body must be among them.
func (s *scope) httpSignatureLines() (string, bool) {
	names, ok := s.signatureField("headers")
	if !ok || len(names) > 4096 {
		return "", false
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return "", false
	}
	var lines []string
	digested := false
	for _, n := range strings.Fields(strings.ToLower(names)) {
		switch n {
		case "(request-target)":
			lines = append(lines, n+": "+strings.ToLower(s.req.Method)+" "+u.RequestURI())
			continue
		case "host":
			lines = append(lines, "host: "+u.Host)
			continue
		case "digest":
			digested = true
		}
		v, ok := s.req.read(&Place{Header: http.CanonicalHeaderKey(n)})
		if !ok {
			return "", false
		}
		lines = append(lines, n+": "+strings.TrimSpace(v))
	}
	return strings.Join(lines, "\n"), digested
}

// canonicalRequest returns METHOD&path&query of the Atlassian query string hash. Source:
// atlassian-jwt 2.0.3.
func canonicalRequest(method, raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	path := strings.TrimSuffix(strings.ReplaceAll(u.EscapedPath(), "&", "%26"), "/")
	if path == "" {
		path = "/"
	}
	query := u.Query()
	query.Del("jwt")
	var pairs []string
	for _, k := range sortedKeys(query) {
		values := slices.Clone(query[k])
		sort.Strings(values)
		for i := range values {
			values[i] = escapeRFC3986(values[i], "")
		}
		pairs = append(pairs, escapeRFC3986(k, "")+"="+strings.Join(values, ","))
	}
	return strings.ToUpper(method) + "&" + path + "&" + strings.Join(pairs, "&")
}

// EscapeNonASCII escapes every non-ASCII character in JSON text as \uXXXX.
func EscapeNonASCII(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for _, r := range string(b) {
		switch {
		case r < 0x80:
			out = append(out, byte(r))
		default:
			out = appendEscaped(out, r)
		}
	}
	return out
}
