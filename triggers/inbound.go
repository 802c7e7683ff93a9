package triggers

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// inbound is one received request with its whole body.
type inbound struct {
	method, path string
	header       http.Header
	query        url.Values
	publicURL    string
	// body is the raw body: senders sign these bytes.
	body []byte
	at   time.Time
	// undiagnosed reports whether the body is cut.
	undiagnosed bool
	want        *value.FieldSet
	// whole reports that the entire body is decoded, since rules read it next. A large body is
	// decoded separately for the rules, when there is memory for it.
	whole bool
	// unread are the names that no expression reads before the delivery is stored.
	unread map[string]bool
	// readHeaders are those that are read; nil for all.
	readHeaders []string
	// maxBody is the largest size of a decompressed body, in bytes.
	maxBody int64
	// mediaTypes are those that the sender is known to send; readAs is the one that
	// was chosen, see contentType.
	mediaTypes []string
	readAs     string
	// claims are those of the token that verified the request; claimed reports that they have
	// replaced the body.
	claims  json.RawMessage
	claimed bool

	request signature.Request
	// proof is the scheme that verified the request, with its result; nil without
	// verification.
	proof   *proof
	verdict signature.Verdict

	// invalid is why an event of the request does not fit the trigger's schema; nil when all do.
	invalid error

	// memory is the budget for the decoded body, of which reserved bytes are taken. gone is the
	// reason why they could not be taken. See memory.go.
	memory   *memory.Budget
	reserved int64
	gone     error

	unpacked   []byte
	unpackErr  error
	isUnpacked bool
	decoded    any
	// text is the body as a string, if it was decoded as a whole: the strings of decoded share its memory.
	text       string
	decodeErr  error
	isDecoded  bool
	literal    any
	isLiteral  bool
	form       []content.Field
	formErr    error
	isFormRead bool
}

// decodedWhole is the size in bytes up to which a body is decoded only once, for the key and the
// rules, unless it needs a share of the memory budget (smallDecoding), as one of many small values
// does.
const decodedWhole = 4 << 10

// prepare makes the request as signature schemes see it.
func (in *inbound) prepare(r *route) {
	callback := r.webhook.CallbackURL
	if callback == "" {
		callback = in.publicURL
		if in.method == http.MethodGet {
			// A handshake adds its challenge to the URL that was registered.
			callback, _, _ = strings.Cut(callback, "?")
		}
	}
	in.want, in.unread, in.readHeaders, in.maxBody, in.mediaTypes = &r.want, r.unread, r.readHeaders, r.maxBody, r.mediaTypes()
	in.whole = r.subscribed && len(in.body) <= decodedWhole && !in.packed()
	in.request = signature.Request{Method: in.method, Header: in.header, Query: in.query, PublicURL: in.publicURL, CallbackURL: callback,
		Body: in.body,
		JSON: in.json, Form: in.formValues, Pairs: in.formPairs, Each: in.each, Params: r.params}
	if len(in.mediaTypes) > 0 {
		in.request.MediaType = in.contentType()
	}
	if r.deps != nil && r.deps.Fetch != nil {
		in.request.Fetch = r.deps.Fetch
	}
}

// plain returns the body without its content encoding. The size is limited, since a small
// body can decompress to a huge one.
func (in *inbound) plain() ([]byte, error) {
	if in.claimed {
		return in.claims, nil
	}
	if !in.packed() {
		return in.body, nil
	}
	if !in.isUnpacked {
		in.isUnpacked = true
		in.unpacked, in.unpackErr = gunzip(in.body, in.maxBody)
	}
	return in.unpacked, in.unpackErr
}

// packed reports whether the body is compressed. Some senders compress without declaring
// it and some proxies decompress without removing the declaration, so the first bytes
// decide.
func (in *inbound) packed() bool {
	switch strings.ToLower(in.header.Get("Content-Encoding")) {
	case "gzip", "x-gzip":
		return content.IsGzip(in.body)
	case "", "identity":
		return content.MayBeUnpacked(in.header.Get("Content-Type"), in.body)
	}
	return false
}

func gunzip(body []byte, limit int64) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the body is not gzip")
	}
	out, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, errors.New("the gzip body is incomplete")
	}
	if int64(len(out)) > limit {
		return nil, fmt.Errorf("the decompressed body is larger than %d bytes", limit)
	}
	return out, nil
}

// becomeClaims replaces the body by the verified claims, for providers that send only a
// token.
func (in *inbound) becomeClaims() {
	if in.claims != nil {
		in.claimed, in.isDecoded, in.isLiteral = true, false, false
	}
}

// value decodes the needed parts of the body, once.
func (in *inbound) value() (any, error) {
	if !in.isDecoded {
		in.isDecoded = true
		var raw []byte
		if raw, in.decodeErr = in.plain(); in.decodeErr == nil {
			in.decodeErr = in.reserve(raw)
		}
		switch {
		case in.decodeErr != nil:
		case in.whole && in.reserved == 0:
			in.text = string(raw)
			in.decoded, in.decodeErr = content.DecodeWith(in.contentType(), raw, in.text)
		default:
			in.decoded, in.decodeErr = content.DecodePart(in.contentType(), raw, in.want)
		}
	}
	return in.decoded, in.decodeErr
}

// content returns the decoded body and the body to store, without content encoding. A body
// that cannot be read is stored as received, with the reason.
func (in *inbound) content() (body any, raw []byte, unreadable error) {
	raw, err := in.plain()
	if err != nil {
		return nil, in.body, err
	}
	body, err = in.value()
	return body, raw, err
}

// fields reads a form, once.
func (in *inbound) fields() ([]content.Field, error) {
	if !in.isFormRead {
		in.isFormRead = true
		raw, err := in.plain()
		if err == nil {
			err = in.reserve(raw)
		}
		if in.formErr = err; err == nil {
			in.form, in.formErr = content.Fields(in.contentType(), raw)
		}
	}
	return in.form, in.formErr
}

func (in *inbound) formValues() (url.Values, error) {
	fields, err := in.fields()
	if err != nil {
		return nil, err
	}
	out := make(url.Values, min(len(fields), 64))
	for _, f := range fields {
		out.Add(f.Name, f.Value)
	}
	return out, nil
}

// formPairs returns the fields of a form in the order of the body.
func (in *inbound) formPairs() ([][2]string, error) {
	fields, err := in.fields()
	out := make([][2]string, len(fields))
	for i, f := range fields {
		out[i] = [2]string{f.Name, f.Value}
	}
	return out, err
}

// json returns a scalar at a dot path as it is written in the body. The text is what is
// signed: 10.50 is not 10.5.
func (in *inbound) json(path string) (string, bool) {
	v, err := in.value()
	if err != nil {
		return "", false
	}
	found, ok := at(v, path)
	if !ok {
		return "", false
	}
	if _, fraction := found.(float64); fraction {
		if found, ok = at(in.literalValue(), path); !ok {
			return "", false
		}
	}
	return scalar(found)
}

// literalValue is like value, but numbers keep their text.
func (in *inbound) literalValue() any {
	if !in.isLiteral {
		in.isLiteral = true
		if raw, err := in.plain(); err == nil && in.reserve(raw) == nil {
			in.literal, _ = content.DecodeLiteral(in.contentType(), raw, in.want) // value has recorded the reason
		}
	}
	return in.literal
}

// each returns a reader for each element of a list. A * in the path steps into every
// element of a list; the path "." reads the element itself.
func (in *inbound) each(path string) []func(string) (string, bool) {
	if _, err := in.value(); err != nil {
		return nil
	}
	var out []func(string) (string, bool)
	for _, e := range elements(in.literalValue(), strings.Split(path, ".")) {
		out = append(out, func(p string) (string, bool) {
			if p == "." {
				return scalar(e)
			}
			v, ok := at(e, p)
			if !ok {
				return "", false
			}
			return scalar(v)
		})
	}
	return out
}

// elements walks to a list and returns its elements; * takes every element.
func elements(v any, path []string) []any {
	if len(path) == 0 {
		if l, ok := v.([]any); ok {
			return l
		}
		return []any{v}
	}
	if path[0] == "*" {
		l, _ := v.([]any)
		var out []any
		for _, e := range l {
			out = append(out, elements(e, path[1:])...)
		}
		return out
	}
	next, ok := at(v, path[0])
	if !ok {
		return nil
	}
	return elements(next, path[1:])
}

// at walks a dot path of keys and indexes.
func at(v any, path string) (any, bool) {
	for path != "" {
		var k string
		k, path, _ = strings.Cut(path, ".")
		switch x := v.(type) {
		case map[string]any:
			v = x[k]
		case []any:
			i, err := strconv.Atoi(k)
			if err != nil || i < 0 || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, v != nil
}

// scalar writes a value that is neither list nor map.
func scalar(v any) (string, bool) {
	switch x := v.(type) {
	case nil, map[string]any, []any:
		return "", false
	case json.Number:
		return x.String(), true
	}
	s, err := value.Text(v)
	return s, err == nil
}

// names are the values from which key, type and time are computed.
func (in *inbound) names(d *engine.Delivery, body any) expr.Names {
	var headers, query map[string]any
	if !in.unread["headers"] {
		headers = in.headerNames(d)
	}
	if !in.unread["query"] {
		query = asNames(d.Query)
	}
	var raw any
	if !in.unread["raw"] {
		raw = string(in.body)
	}
	var claims any
	if in.claims != nil && !in.claimed {
		if v, err := value.DecodeJSON(in.claims); err == nil {
			claims = v
		}
	}
	names := expr.Names{"body": body, "headers": headers, "query": query, "raw": raw, "claims": claims}
	if !in.unread["method"] {
		names["method"] = in.method
	}
	if !in.unread["url"] {
		names["url"] = in.publicURL
	}
	if !in.unread["path"] {
		names["path"] = in.path
	}
	return names
}

// headerNames returns the headers that an expression reads: this runs for every delivery.
func (in *inbound) headerNames(d *engine.Delivery) map[string]any {
	if in.readHeaders == nil {
		return asNames(d.Headers)
	}
	out := make(map[string]any, len(in.readHeaders))
	for _, k := range in.readHeaders {
		if v, ok := d.Headers[k]; ok {
			out[k] = v
		}
	}
	return out
}

func asNames(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
