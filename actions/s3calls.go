package actions

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// s3Action is one of the s3/ actions.
type s3Action struct {
	do func(ctx context.Context, b *bucket, in engine.Input) (any, error)
	outbound
}

// Do implements engine.Action.
func (a s3Action) Do(ctx context.Context, in engine.Input) (any, error) {
	b, err := bucketOf(in)
	if err != nil {
		return nil, err
	}
	b.client = a.client
	return a.do(ctx, b, in)
}

// Connection implements engine.Connected.
func (s3Action) Connection(in engine.Input) string {
	return cmp.Or(value.Shown(in.With["connection"]), s3Connector.Name)
}

// Destination implements engine.Destined.
func (s3Action) Destination(in engine.Input) string {
	b, err := bucketOf(in)
	if err != nil {
		return ""
	}
	u, err := b.object("")
	if err != nil {
		return ""
	}
	return engine.DestinationOf(origin(u), "")
}

func s3Actions(out outbound) []action {
	return []action{{s3GetSpec, s3Action{s3Get, out}}, {s3PutSpec, s3Action{s3Put, out}}, {s3ListSpec, s3Lister{s3Action{s3List, out}}},
		{s3PresignSpec, s3Action{s3Presign, out}}}
}

// s3Text returns an input as text, "" if it is not set.
func s3Text(in engine.Input, name string) string {
	if in.With[name] == nil {
		return ""
	}
	return value.Shown(in.With[name])
}

// s3Get is s3/get.
func s3Get(ctx context.Context, b *bucket, in engine.Input) (any, error) {
	query := url.Values{}
	if v := s3Text(in, "version"); v != "" {
		query.Set("versionId", v)
	}
	o, err := b.order(in, http.MethodGet, s3Text(in, "key"), query)
	if err != nil {
		return nil, err
	}
	o.parse = cmp.Or(s3Text(in, "parse"), "auto")
	o.mayAskMore, o.maySave = true, true
	if s := s3Text(in, "max_response"); s != "" {
		if o.limit, err = workflows.ParseSize(s); err != nil {
			return nil, plan.Permanent("invalid_input", "max_response: %v", err)
		}
	}
	if save, _ := in.With["save"].(bool); save {
		saves(&o, in, success)
	} else {
		o.limit = min(o.limit, value.MaxSize)
	}
	r, err := send(ctx, b.client, o)
	if err != nil {
		return nil, err
	}
	if !success(r.status) {
		return nil, b.refused(r, s3Text(in, "key"))
	}
	out := map[string]any{"etag": r.header.Get("ETag"), "content_type": strings.ToValidUTF8(r.header.Get("Content-Type"), "\ufffd"),
		"last_modified": httpTime(r.header.Get("Last-Modified")), "metadata": metadataOf(r.header), "size": r.size}
	if r.saved == nil {
		out["body"] = r.body
		return out, nil
	}
	for k, v := range r.saved {
		out[k] = v
	}
	return out, nil
}

// httpTime converts a time in a header to RFC 3339; nil if there is none.
func httpTime(s string) any {
	t, err := http.ParseTime(s)
	if err != nil {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

// metadataPrefix is the prefix of headers with an object's metadata.
const metadataPrefix = "X-Amz-Meta-"

func metadataOf(h http.Header) map[string]any {
	out := map[string]any{}
	for name, v := range h {
		if rest, ok := strings.CutPrefix(name, metadataPrefix); ok {
			out[strings.ToLower(rest)] = strings.ToValidUTF8(strings.Join(v, ", "), "\ufffd")
		}
	}
	return out
}

// s3Put is s3/put. Its request contains the SHA-256 of the content, which the service compares with
// what it receives ("Checking object integrity for data uploads").
func s3Put(ctx context.Context, b *bucket, in engine.Input) (any, error) {
	key := s3Text(in, "key")
	o, err := b.order(in, http.MethodPut, key, nil)
	if err != nil {
		return nil, err
	}
	if err := s3Content(&o, in); err != nil {
		return nil, err
	}
	for name, header := range map[string]string{"content_type": "Content-Type", "cache_control": "Cache-Control"} {
		if v := s3Text(in, name); v != "" {
			if err := setHeader(o.header, header, v); err != nil {
				return nil, err
			}
		}
	}
	metadata, _ := in.With["metadata"].(map[string]any)
	for name, v := range metadata {
		if err := setHeader(o.header, metadataPrefix+name, v); err != nil {
			return nil, err
		}
	}
	onlyNew, _ := in.With["only_new"].(bool)
	if onlyNew {
		o.header.Set("If-None-Match", "*")
	}
	body, size, err := o.reader()
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, body)
	_ = body.Close()
	if err != nil {
		return nil, &plan.Error{Message: "the file cannot be read: " + err.Error(), Code: "files", Retryable: true}
	}
	o.header.Set("X-Amz-Checksum-Sha256", base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	r, err := send(ctx, b.client, o)
	if err != nil {
		return nil, err
	}
	if onlyNew && r.status == http.StatusPreconditionFailed {
		return nil, &plan.Error{Code: "conflict", Status: r.status,
			Message: fmt.Sprintf("bucket %s has an object %q already", b.name, clip(key, 200))}
	}
	if err := b.refused(r, key); err != nil {
		return nil, err
	}
	if r.header.Get("ETag") == "" {
		return nil, &plan.Error{Code: "bad_answer", Status: r.status, Message: "the answer has no ETag: this service does not have the API of S3"}
	}
	var version any
	if v := r.header.Get("X-Amz-Version-Id"); v != "" {
		version = v
	}
	return map[string]any{"bucket": b.name, "key": key, "etag": r.header.Get("ETag"), "size": int(size),
		"sha256": hex.EncodeToString(sum.Sum(nil)), "version": version}, nil
}

// s3Content sets the content of an object.
func s3Content(o *order, in engine.Input) error {
	n := 0
	for _, k := range []string{"body", "text", "raw", "file"} {
		if in.With[k] != nil {
			n++
		}
	}
	if n != 1 {
		return plan.Permanent("invalid_input", "write one of body, text, raw and file")
	}
	var err error
	switch {
	case in.With["body"] != nil:
		return jsonBody(o, in.With["body"])
	case in.With["text"] != nil:
		o.body = []byte(s3Text(in, "text"))
		defaultType(o, "text/plain; charset=utf-8")
	case in.With["raw"] != nil:
		if o.body, err = base64.StdEncoding.DecodeString(s3Text(in, "raw")); err != nil {
			return plan.Permanent("invalid_input", "raw is not valid base64")
		}
		defaultType(o, "application/octet-stream")
	default:
		p, media, err := filePart(in.Files, "file", in.With["file"])
		if err != nil {
			return err
		}
		o.parts = []part{p}
		defaultType(o, cmp.Or(media, "application/octet-stream"))
	}
	return nil
}

// s3Listing is the response to ListObjectsV2.
type s3Listing struct {
	XMLName     xml.Name `xml:"ListBucketResult"`
	IsTruncated bool
	NextToken   string `xml:"NextContinuationToken"`
	Encoding    string `xml:"EncodingType"`
	Contents    []struct {
		Key, ETag, LastModified string
		Size                    int64
	}
	CommonPrefixes []struct{ Prefix string }
}

// s3PageSize is S3's maximum number of keys in a response.
const s3PageSize = 1000

// s3Lister also tests connections.
type s3Lister struct{ s3Action }

// Test implements engine.ConnectionTest.
func (l s3Lister) Test(ctx context.Context, in engine.Input) (string, error) {
	in.With = map[string]any{"connection": in.With["connection"], "max_items": 1}
	if _, err := l.Do(ctx, in); err != nil {
		return "", err
	}
	return "the bucket was listed", nil
}

// s3List is s3/list.
func s3List(ctx context.Context, b *bucket, in engine.Input) (any, error) {
	most := s3DefaultItems
	if n, ok := in.With["max_items"].(int); ok {
		if most = n; n < 1 || n > s3MostItems {
			return nil, plan.Permanent("invalid_input", "max_items is a number from 1 to %d", s3MostItems)
		}
	}
	items, folders, token := []any{}, []any{}, ""
	for {
		l, err := b.page(ctx, in, token, min(most-len(items)-len(folders), s3PageSize))
		if err != nil {
			return nil, err
		}
		for _, c := range l.Contents {
			items = append(items, map[string]any{"key": c.Key, "size": int(c.Size), "etag": c.ETag, "last_modified": c.LastModified})
		}
		for _, p := range l.CommonPrefixes {
			folders = append(folders, p.Prefix)
		}
		full := len(items)+len(folders) >= most
		if full || !l.IsTruncated {
			return map[string]any{"items": items[:min(len(items), most)], "folders": folders[:min(len(folders), most)],
				"more": l.IsTruncated || len(items)+len(folders) > most}, nil
		}
		if l.NextToken == "" || l.NextToken == token || len(l.Contents)+len(l.CommonPrefixes) == 0 {
			return nil, plan.Permanent("endless_list", "the list cannot be continued: an answer says that there is more, but has no token for it")
		}
		token = l.NextToken
	}
}

// page reads one page of a list.
func (b *bucket) page(ctx context.Context, in engine.Input, token string, size int) (*s3Listing, error) {
	// Keys may contain characters that XML does not allow, unless they are encoded.
	query := url.Values{"list-type": {"2"}, "max-keys": {strconv.Itoa(size)}, "encoding-type": {"url"}}
	for input, name := range map[string]string{"prefix": "prefix", "delimiter": "delimiter", "start_after": "start-after"} {
		if v := s3Text(in, input); v != "" {
			query.Set(name, v)
		}
	}
	if token != "" {
		query.Set("continuation-token", token)
	}
	o, err := b.order(in, http.MethodGet, "", query)
	if err != nil {
		return nil, err
	}
	o.limit = value.MaxSize
	r, err := send(ctx, b.client, o)
	if err != nil {
		return nil, err
	}
	if err := b.refused(r, ""); err != nil {
		return nil, err
	}
	l := &s3Listing{}
	text, _ := r.body.(string)
	if err := xml.Unmarshal([]byte(text), l); err != nil {
		return nil, &plan.Error{Code: "bad_answer", Status: r.status, Message: "the answer is not a list of objects: " + clip(err.Error(), 200)}
	}
	if l.Encoding != "url" {
		return l, nil
	}
	for i := range l.Contents {
		l.Contents[i].Key = unescaped(l.Contents[i].Key)
	}
	for i := range l.CommonPrefixes {
		l.CommonPrefixes[i].Prefix = unescaped(l.CommonPrefixes[i].Prefix)
	}
	return l, nil
}

// unescaped decodes a key; one that is not encoded is returned unchanged.
func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// s3Presign is s3/presign. It makes no request.
func s3Presign(_ context.Context, b *bucket, in engine.Input) (any, error) {
	expires := s3Expires
	if s := s3Text(in, "expires"); s != "" {
		var err error
		if expires, err = workflows.ParseDuration(s); err != nil || expires < time.Second || expires > s3LongestExpires {
			return nil, plan.Permanent("invalid_input", "expires is a time from 1s to 7d")
		}
	}
	method := cmp.Or(s3Text(in, "method"), http.MethodGet)
	u, err := b.object(s3Text(in, "key"))
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if t := s3Text(in, "content_type"); t != "" && method == http.MethodPut {
		if err := setHeader(header, "Content-Type", t); err != nil {
			return nil, err
		}
	}
	if name := s3Text(in, "filename"); name != "" && method == http.MethodGet {
		as := mime.FormatMediaType("attachment", map[string]string{"filename": name})
		u.RawQuery = url.Values{"response-content-disposition": {as}}.Encode()
	}
	now := time.Now()
	return map[string]any{"url": b.keys.Presign(method, u, header, now, expires), "method": method,
		"expires_at": now.Add(expires).UTC().Format(time.RFC3339)}, nil
}

// s3Problem is the body of an error response ("Error responses").
type s3Problem struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
}

// s3Credential are the codes that only another credential can resolve.
var s3Credential = map[string]bool{"InvalidAccessKeyId": true, "SignatureDoesNotMatch": true, "ExpiredToken": true, "InvalidToken": true}

// refused returns the error for an error response, or for a success response whose body is an
// error.
func (b *bucket) refused(r *reply, key string) error {
	problem := s3Problem{}
	text, _ := r.body.(string)
	isError := xml.Unmarshal([]byte(text), &problem) == nil && problem.Code != ""
	if success(r.status) && (!isError || !strings.HasPrefix(strings.TrimSpace(text), "<?xml")) {
		return nil
	}
	e := &plan.Error{Code: "http_status", Status: r.status, Retryable: plan.RetryableStatus(r.status), Details: r.names(),
		RetryAfter: retryAfter(r.header.Get("Retry-After"), time.Now()),
		Message:    strings.TrimSpace(fmt.Sprintf("answered %d %s", r.status, http.StatusText(r.status)))}
	if isError {
		e.Message += ": " + clip(problem.Code, 100) + ": " + clip(problem.Message, 300)
	}
	switch {
	case success(r.status):
		e.Code, e.Retryable = "refused", problem.Code == "InternalError" || problem.Code == "SlowDown"
	case problem.Code == "NoSuchBucket":
		e.Code, e.Message = "not_found", fmt.Sprintf("there is no bucket %s", b.name)
	case r.status == http.StatusNotFound:
		e.Code, e.Message = "not_found", fmt.Sprintf("bucket %s has no object %q", b.name, clip(key, 200))
	case s3Credential[problem.Code]:
		e.Code = "no_credential"
	case problem.Code == "RequestTimeTooSkewed":
		e.Message += " (set the clock of this machine)"
	case r.header.Get("X-Amz-Bucket-Region") != "" && r.header.Get("X-Amz-Bucket-Region") != b.keys.Region:
		e.Message += fmt.Sprintf(" (the bucket is in %s: set region: of the connection)", clip(r.header.Get("X-Amz-Bucket-Region"), 40))
	case r.status == http.StatusConflict:
		e.Retryable = problem.Code == "ConditionalRequestConflict" || problem.Code == "OperationAborted"
	}
	return e
}
