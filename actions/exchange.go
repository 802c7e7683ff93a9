package actions

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// order is an HTTP request to make.
type order struct {
	method, url string
	header      http.Header
	body        []byte
	// parts are used instead of body if files are sent.
	parts []part
	files *files.Store
	// save saves the response to a file; nil for a step's output.
	save *saving
	// redirects is the maximum number to follow; mayRedirect reports whether the action has an
	// input for it.
	redirects   int
	mayRedirect bool
	// mayAskMore reports whether the action has an input for the maximum response size.
	mayAskMore bool
	// maySave reports whether the action has an input that saves the response to a file.
	maySave bool
	// limit is the maximum number of bytes kept of the response; most is the largest permitted
	// limit, value.MaxSize if 0.
	limit, most int64
	// parse is auto, json, text or base64.
	parse string
	// proof is the credential of a connection that is computed for each request; nil if there is
	// none.
	proof *auth.Credential
	// preview is Input.Preview.
	preview string
	// routed reports whether the client already uses the connection's client certificate.
	routed bool
}

// reply is the response to an order.
type reply struct {
	status  int
	headers map[string]any
	body    any
	url     string
	// asked is the method and host of the request.
	asked  string
	took   time.Duration
	header http.Header
	// saved describes the file with the response; nil if there is none.
	saved map[string]any
	// size is the number of bytes of the body.
	size int
	// notFollowed says why a redirect was not followed.
	notFollowed string
}

// names returns a reply in the form of response in connectors and of a step's output.
func (r *reply) names() map[string]any {
	return map[string]any{"status": r.status, "headers": r.headers, "body": r.body}
}

func setHeader(h http.Header, name string, v any) error {
	text, err := value.Text(v)
	if err != nil {
		return plan.Permanent("invalid_request", "header %s: %v", name, err)
	}
	canonical := http.CanonicalHeaderKey(name)
	if slices.Contains(workflows.ReservedHeaders, canonical) {
		return plan.Permanent("invalid_request", "header %s is set by the HTTP client and cannot be overridden", name)
	}
	if !validHeader(name, text) {
		return plan.Permanent("invalid_request", "header %s holds a line break or another character that headers cannot carry", clipName(name))
	}
	h.Set(canonical, text)
	return nil
}

// notEncoded returns the error for data that cannot be sent as JSON.
func notEncoded(what string, err error) error {
	if errors.Is(err, value.ErrTooLarge) {
		return plan.Permanent("too_large", "%s is too large to be sent as JSON: send less data", what)
	}
	return plan.Permanent("invalid_request", "%s: %v", what, err)
}

func clipName(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// validHeader checks the grammar of RFC 9110, 5.1 and 5.5.
func validHeader(name, value string) bool {
	if name == "" {
		return false
	}
	for _, r := range name {
		if r <= 0x20 || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) {
			return false
		}
	}
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// target parses a URL: it requires http or https and a host, and allows no user or password.
func target(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, plan.Permanent("invalid_request", "the URL cannot be read")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, plan.Permanent("invalid_request", "the URL must begin with http:// or https://")
	}
	if u.Host == "" || u.Hostname() == "" {
		return nil, plan.Permanent("invalid_request", "the URL has no host")
	}
	if u.User != nil {
		return nil, plan.Permanent("invalid_request", "the URL holds a user name; use auth: instead")
	}
	u.Fragment = ""
	return u, nil
}

// send makes the request with the token of its connection, if it has one. It sends the request
// again with a new token if the response says that the token is no longer valid. Errors say whether
// the service may have received the request.
func send(ctx context.Context, client *http.Client, o order) (*reply, error) {
	if o.proof == nil {
		return sendOnce(ctx, client, o)
	}
	var err error
	if !o.routed {
		client, err = o.proof.Client(client)
	}
	if err == nil {
		err = o.proof.Ready(ctx)
	}
	if err != nil {
		return nil, err
	}
	r, err := sendOnce(ctx, client, o)
	if err != nil {
		return nil, err
	}
	again, err := o.proof.Renew(ctx, r.status, r.names())
	if err != nil || !again {
		return r, err
	}
	if r, err = sendOnce(ctx, client, o); err != nil {
		return nil, err
	}
	return r, o.proof.Taken(r.status, r.names())
}

// sendOnce makes one request.
func sendOnce(ctx context.Context, client *http.Client, o order) (*reply, error) {
	if _, err := target(o.url); err != nil {
		return nil, err
	}
	var sent atomic.Bool // written by another goroutine
	body, length, err := o.reader()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(egress.WithSent(ctx, func() { sent.Store(true) }), o.method, o.url, body)
	if err != nil {
		return nil, plan.Permanent("invalid_request", "the request cannot be created: %v", errors.Join(err, body.Close()))
	}
	req.URL.RawQuery = asciiQuery(req.URL.RawQuery)
	req.ContentLength = length
	req.GetBody = func() (io.ReadCloser, error) {
		again, _, err := o.reader()
		return again, err
	}
	if length == 0 {
		_ = body.Close()
		req.Body, req.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
	req.Header = o.header
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "Hookloom")
	}
	if t := engine.Traceparent(ctx); t != "" && req.Header.Get("Traceparent") == "" {
		req.Header = req.Header.Clone()
		req.Header.Set("Traceparent", t)
	}
	if o.proof != nil {
		req.Header = req.Header.Clone() // each request has its own headers
		if err := o.proof.Prove(req); err != nil {
			return nil, err
		}
	}
	follow := &follower{most: o.redirects}
	if o.redirects > 0 {
		c := *client
		c.CheckRedirect = follow.check
		client = &c
	}
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return nil, networkError(err, sent.Load())
	}
	defer resp.Body.Close()
	r, err := read(ctx, resp, o, began)
	if r != nil && r.status >= 300 && r.status < 400 {
		switch {
		case follow.stopped != "":
			r.notFollowed = follow.stopped
		case o.mayRedirect && o.redirects == 0:
			r.notFollowed = "redirects are not followed unless the step sets redirects:"
		}
	}
	return r, err
}

func networkError(err error, sent bool) error {
	if errors.Is(err, egress.ErrRefused) {
		return &plan.Error{Message: err.Error(), Code: "address_not_allowed"}
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // without the URL, which may contain inserted values
	}
	if pe := (*egress.ProxyError)(nil); errors.As(err, &pe) {
		return &plan.Error{Message: "no answer: " + pe.Error(), Code: "network", Retryable: plan.RetryableStatus(pe.Status)}
	}
	e := &plan.Error{Message: "no answer: " + err.Error(), Code: "network", Retryable: true}
	if sent {
		return errors.Join(e, engine.ErrUnanswered)
	}
	return e
}

// readBody reads at most one byte more than is kept of a response. For a large one it waits until
// memory is available.
func readBody(ctx context.Context, resp *http.Response, limit int64) ([]byte, error) {
	raw, err := readAll(io.LimitReader(resp.Body, min(limit, memory.LargeAnswer)+1), resp.ContentLength)
	if err != nil || int64(len(raw)) <= min(limit, memory.LargeAnswer) || limit <= memory.LargeAnswer {
		return raw, err
	}
	room, size := memory.RoomOf(ctx), limit+1
	if n := resp.ContentLength; n > 0 && n < size {
		size = n
	}
	if err := room.Raw(ctx, size); err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(raw)
	if resp.ContentLength > 0 {
		b.Grow(int(size) - len(raw) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(resp.Body, limit+1-int64(len(raw)))); err != nil {
		return nil, err
	}
	// Until it is recorded, it is also encoded as JSON, masked and passed to the database.
	return b.Bytes(), room.Decoded(ctx, memory.DecodedSize(b.Bytes())+3*int64(b.Len()))
}

// readAll is io.ReadAll for a reader whose length was announced, or -1: the buffer of a short one has
// that size. Nothing else depends on the length.
func readAll(r io.Reader, length int64) ([]byte, error) {
	const usual = 512
	if length < 0 || length >= usual {
		return io.ReadAll(r)
	}
	b := make([]byte, 0, length+1) // with room for the Read that returns io.EOF
	for len(b) < cap(b) {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return b, err
		}
	}
	rest, err := io.ReadAll(r)
	return append(b, rest...), err
}

func read(ctx context.Context, resp *http.Response, o order, began time.Time) (*reply, error) {
	save := o.save != nil && o.save.accepted(resp.StatusCode)
	if o.save != nil && !save {
		o.limit = defaultMaxResponse // the body of an error response is reported, not kept
	}
	var raw []byte
	var saved map[string]any
	var err error
	if save {
		saved, err = o.save.into(resp, o)
	} else if err = unpack(resp); err == nil {
		if raw, err = readBody(ctx, resp, o.limit); err != nil {
			err = brokeOff(err, resp.StatusCode)
		}
	}
	if err != nil {
		return nil, err
	}
	r := &reply{status: resp.StatusCode, headers: map[string]any{}, url: resp.Request.URL.Redacted(),
		asked: resp.Request.Method + " " + resp.Request.URL.Host, took: time.Since(began),
		header: resp.Header, size: len(raw)}
	for k, v := range resp.Header {
		r.headers[strings.ToLower(k)] = strings.ToValidUTF8(strings.Join(v, ", "), "\ufffd")
	}
	if r.saved = saved; save {
		return r, nil
	}
	if int64(len(raw)) > o.limit {
		if resp.StatusCode >= 300 {
			raw = raw[:o.limit]
			r.body = strings.ToValidUTF8(string(raw), "\ufffd")
			return r, nil
		}
		return nil, tooLarge(o)
	}
	if r.body, err = decode(resp.Header.Get("Content-Type"), o.parse, raw); err != nil {
		if resp.StatusCode < 300 && errors.Is(err, value.ErrTooLarge) {
			return nil, plan.Permanent("too_large", "the response cannot be read as JSON: %v; "+
				"request less, or read it as text with parse: text", err)
		}
		if resp.StatusCode < 300 {
			return nil, &plan.Error{Message: fmt.Sprintf("the response cannot be read as JSON: %v (parse: text reads it as text)", err),
				Code: "bad_answer", Status: resp.StatusCode}
		}
		r.body = strings.ToValidUTF8(string(raw), "\ufffd")
	}
	return r, nil
}

// brokeOff returns the error for a response that ended too early: the request may have been
// processed.
func brokeOff(err error, status int) error {
	return errors.Join(&plan.Error{
		Message: "the connection broke before the end of the response: " + err.Error(), Code: "network", Status: status, Retryable: true,
	},
		engine.ErrUnanswered)
}

func decode(contentType, parse string, raw []byte) (any, error) {
	if parse == "base64" {
		return base64.StdEncoding.EncodeToString(raw), nil
	}
	text := content.Text(contentType, raw)
	switch parse {
	case "text":
		return strings.ToValidUTF8(string(text), "\ufffd"), nil
	case "json":
		if len(bytes.TrimSpace(text)) == 0 {
			return nil, nil
		}
		return value.DecodeJSON(text)
	}
	if len(raw) == 0 {
		return nil, nil
	}
	declared := saysJSON(contentType)
	if declared && len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	if declared || contentType == "" {
		v, err := value.DecodeJSON(text)
		if err == nil || declared {
			return v, err
		}
	}
	if !utf8.Valid(text) {
		return base64.StdEncoding.EncodeToString(raw), nil
	}
	return string(text), nil
}

// saysJSON reports whether a media type is a single JSON document (RFC 8259; RFC 6839, 3.1 for
// +json). Streams of documents, such as application/x-ndjson, are text.
func saysJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch media {
	case "application/json", "text/json", "application/x-json", "text/x-json":
		return true
	case "application/stream+json":
		return false
	}
	return strings.HasSuffix(media, "+json")
}

// tooLarge returns the error for a response that is larger than the limit, with advice.
func tooLarge(o order) error {
	most := o.most
	if most == 0 {
		most = value.MaxSize
	}
	switch {
	case o.limit >= most && o.maySave:
		return plan.Permanent("too_large", "the response is larger than %s, the limit of a step's output; save: true writes it "+
			"to a file", workflows.SizeText(o.limit))
	case o.limit >= most || !o.mayAskMore:
		return plan.Permanent("too_large", "the response is larger than %s, the limit for a saved response; request less",
			workflows.SizeText(o.limit))
	case o.maySave:
		return plan.Permanent("too_large", "the response is larger than %s; max_response: allows up to %s, and save: true writes larger ones "+
			"to a file", workflows.SizeText(o.limit), workflows.SizeText(most))
	}
	return plan.Permanent("too_large", "the response is larger than %s; max_response: allows up to %s", workflows.SizeText(o.limit),
		workflows.SizeText(most))
}

// checkStatus returns an error for a status that is not accepted, with the reason that the response
// gives.
func checkStatus(r *reply, accepted func(int) bool) error {
	if accepted(r.status) {
		return nil
	}
	return r.failed(reasonOf(r.body))
}

// failed returns the error for a response, with the service's reason if there is one.
func (r *reply) failed(reason string) *plan.Error {
	e := &plan.Error{Message: strings.TrimSpace(fmt.Sprintf("answered %d %s", r.status, http.StatusText(r.status))), Code: "http_status",
		Status: r.status, Retryable: plan.RetryableStatus(r.status),
		Details: r.names(), RetryAfter: retryAfter(r.header.Get("Retry-After"), time.Now())}
	if reason != "" {
		e.Message += ": " + reason
	}
	if r.notFollowed != "" {
		e.Message += "; " + r.notFollowed
	}
	return e
}

func success(status int) bool { return status >= 200 && status < 300 }
