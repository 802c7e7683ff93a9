package actions

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file defines the s3/ actions and their connection: Amazon S3 and services with the same API
// (Cloudflare R2, MinIO, Backblaze B2, Ceph). Source: Amazon S3 API Reference,
// docs.aws.amazon.com/AmazonS3/latest/API.

// s3Connector declares the connections of s3/ actions.
var s3Connector = &workflows.Connector{Name: "s3", Description: "a bucket of Amazon S3, or of a service with the same API",
	Fields: []workflows.ConnectionField{
		{Name: "access_key", Type: "string", Required: true, Description: "the access key id"},
		{Name: "secret_key", Type: "string", Secret: true, Required: true, Description: "the secret access key"},
		{Name: "session_token", Type: "string", Secret: true, Description: "the session token of temporary credentials"},
		{Name: "region", Type: "string", Default: "us-east-1", Description: "the bucket's region, such as eu-central-1"},
		{Name: "bucket", Type: "string", Description: "the bucket of steps that name none"},
		{Name: "endpoint", Type: "string",
			Description: "of another service than Amazon's, such as https://ACCOUNT.r2.cloudflarestorage.com"},
		{Name: "path_style", Type: "boolean",
			Description: "true: the bucket is part of the path, not of the host; true by default with endpoint"},
	}}

var (
	bucketInput = workflows.ActionInput{Name: "bucket", Type: "string", Help: "the bucket; that of the connection by default",
		Fill: workflows.FillNonempty}
	objectKeyInput = workflows.ActionInput{Name: "key", Type: "string", Required: true, Fill: workflows.FillNonempty,
		Help: "the object's key, such as invoices/2026/A-1.pdf"}
)

var s3GetSpec = workflows.ActionSpec{Name: "s3/get", Help: "reads an object of a bucket", SideEffects: true, Safe: true,
	Connection: s3Connector,
	Example: map[string]any{"body": map[string]any{}, "size": 2, "content_type": "application/json", "etag": `"d751713988987e93"`,
		"last_modified": "2026-05-01T10:00:00Z", "metadata": map[string]any{}},
	Inputs: []workflows.ActionInput{bucketInput, objectKeyInput,
		{Name: "version", Type: "string", Help: "of a bucket with versioning; the latest by default"},
		{Name: "parse", Type: "string", Words: []string{"auto", "json", "text", "base64"},
			Help: "how body is read; by its content type by default"},
		{Name: "max_response", Type: "size", Help: "1MiB by default, at most 4MiB; with save: true, files.max_file of hookloom.yaml by default " +
			"and at most"},
		{Name: "save", Type: "boolean", Help: "true: the object goes to a file, and the output has its path and sha256 instead of body"},
	},
	Outputs: []workflows.ActionOutput{{Name: "body", Type: "any", Help: "the content; with save: true, path and sha256 are in its place"},
		{Name: "size", Type: "integer", Help: "in bytes"}, {Name: "content_type", Type: "string", Help: "as it was stored"},
		{Name: "etag", Type: "string", Help: "changes with the content"},
		{Name: "last_modified", Type: "string", Help: "in RFC 3339"},
		{Name: "metadata", Type: "object", Help: "the object's own metadata, with names in lower case"}},
	Usage: `- id: invoice
  uses: s3/get
  with: {key: "invoices/${{ event.data.order }}.pdf", save: true}
`}

var s3PutSpec = workflows.ActionSpec{Name: "s3/put", Help: "stores an object in a bucket, in one piece", SideEffects: true, Safe: true,
	Connection: s3Connector, Timeout: 5 * time.Minute,
	Example: map[string]any{"bucket": "shop", "key": "orders/A-1.json", "etag": `"d751713988987e93"`, "size": 2,
		"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "version": nil},
	Inputs: []workflows.ActionInput{bucketInput, objectKeyInput,
		{Name: "body", Type: "any", Help: "stored as JSON"},
		{Name: "text", Type: "string", Help: "stored as plain text"},
		{Name: "raw", Type: "string", Fill: workflows.FillBytes, Help: "the bytes to store, in base64"},
		{Name: "file", Type: "any", Help: "the file to store: its path, or the output of a step with save: true"},
		{Name: "content_type", Type: "string", Help: "found from the content by default"},
		{Name: "metadata", Type: "object", Help: "names and texts that are kept with the object"},
		{Name: "cache_control", Type: "string", Help: "the Cache-Control header of answers"},
		{Name: "only_new", Type: "boolean", Help: "true: an existing object is not replaced; the step fails with the code conflict"},
	},
	Outputs: []workflows.ActionOutput{{Name: "bucket", Type: "string", Help: "the bucket"}, {Name: "key", Type: "string", Help: "the key"},
		{Name: "etag", Type: "string", Help: "as the service gives it"}, {Name: "size", Type: "integer", Help: "in bytes"},
		{Name: "sha256", Type: "string", Help: "of the content, in hex; the service checks it"},
		{Name: "version", Type: "any", Help: "of a bucket with versioning, else null"}},
	Usage: `- id: archive
  uses: s3/put
  with:
    key: orders/${{ event.data.order }}.json
    body: ${{ event.data }}
`}

// s3DefaultItems and s3MostItems are the default and the maximum number of objects that a step
// lists.
const s3DefaultItems, s3MostItems = 1000, 10_000

var s3ListSpec = workflows.ActionSpec{Name: "s3/list", Help: "lists the objects of a bucket, in the order of their keys", SideEffects: true,
	Safe: true, Connection: s3Connector,
	Example: map[string]any{"items": []any{map[string]any{"key": "orders/A-1.json", "size": 2, "etag": `"d751713988987e93"`,
		"last_modified": "2026-05-01T10:00:00Z"}}, "folders": []any{}, "more": false},
	Inputs: []workflows.ActionInput{bucketInput,
		{Name: "prefix", Type: "string", Help: "only keys that begin with it"},
		{Name: "delimiter", Type: "string", Help: "such as /: keys that contain it after the prefix are grouped, and listed as folders"},
		{Name: "start_after", Type: "string", Help: "only keys after this one"},
		{Name: "max_items", Type: "integer", Help: "1000 by default, at most 10000"},
	},
	Outputs: []workflows.ActionOutput{{Name: "items", Type: "list", Help: "objects with key, size, etag and last_modified"},
		{Name: "folders", Type: "list", Help: "with delimiter, the beginnings of the keys that are not listed"},
		{Name: "more", Type: "boolean", Help: "true when the bucket has more than max_items"}},
	Usage: `- id: exports
  uses: s3/list
  with: {prefix: exports/2026/, max_items: 200}
`}

// s3Expires and s3LongestExpires are the default and the maximum validity of a presigned URL.
// Signature Version 4 sets the maximum.
const s3Expires, s3LongestExpires = 15 * time.Minute, 7 * 24 * time.Hour

var s3PresignSpec = workflows.ActionSpec{Name: "s3/presign", Help: "makes a URL by which anybody can get, or put, one object for a while",
	SideEffects: true, Safe: true, Connection: s3Connector,
	Example: map[string]any{"url": "https://shop.s3.eu-central-1.amazonaws.com/orders/A-1.json", "method": "GET",
		"expires_at": "2026-05-01T10:15:00Z"},
	Inputs: []workflows.ActionInput{bucketInput, objectKeyInput,
		{Name: "method", Type: "string", Words: []string{"GET", "PUT"}, Help: "GET by default"},
		{Name: "expires", Type: "duration", Help: "how long the URL works; 15m by default, at most 7d"},
		{Name: "content_type", Type: "string", Help: "with PUT, the Content-Type that the request must have"},
		{Name: "filename", Type: "string", Help: "with GET, the name under which a browser saves the object"},
	},
	Outputs: []workflows.ActionOutput{{Name: "url", Type: "string",
		Help: "the URL; whoever has it needs no credential; the history masks the access key in it"},
		{Name: "method", Type: "string", Help: "GET or PUT"}, {Name: "expires_at", Type: "string", Help: "in RFC 3339"}},
	Usage: `- id: link
  uses: s3/presign
  with: {key: "invoices/${{ event.data.order }}.pdf", expires: 1h}
`}

// bucket is a bucket with its credentials.
type bucket struct {
	name     string
	keys     auth.SigV4
	endpoint *url.URL
	path     bool
	// client sends the requests; only s3Action.Do sets it.
	client *http.Client
}

// s3Fields evaluates the connection that a step names.
func s3Fields(in engine.Input) (map[string]any, string, error) {
	name := cmp.Or(value.Shown(in.With["connection"]), s3Connector.Name)
	f, err := in.ConnectionFields(name, s3Connector)
	return f, name, err
}

// bucketOf returns the bucket that a step uses.
func bucketOf(in engine.Input) (*bucket, error) {
	f, name, err := s3Fields(in)
	if err != nil {
		return nil, err
	}
	text := func(field string) string {
		if f[field] == nil {
			return ""
		}
		return strings.TrimSpace(value.Shown(f[field]))
	}
	b := &bucket{name: text("bucket"), keys: auth.SigV4{Region: text("region"), Service: "s3", AccessKey: text("access_key"),
		SecretKey: text("secret_key"), Session: text("session_token")}}
	if given := in.With["bucket"]; given != nil {
		b.name = value.Shown(given)
	}
	if !bucketName(b.name) {
		return nil, plan.Permanent("invalid_input", "%q is not a bucket name: write bucket: in the step, or in connection %s",
			clip(b.name, 63), name)
	}
	endpoint := cmp.Or(text("endpoint"), "https://s3."+b.keys.Region+".amazonaws.com")
	if b.endpoint, err = target(endpoint); err != nil || strings.Trim(b.endpoint.Path, "/") != "" || b.endpoint.RawQuery != "" {
		return nil, plan.Permanent("invalid_connection", "connection %s: endpoint is scheme and host alone, such as https://s3.example.com",
			name)
	}
	// The certificate of *.s3.amazonaws.com does not match a bucket name with dots.
	b.path = text("endpoint") != "" || strings.Contains(b.name, ".") && b.endpoint.Scheme == "https"
	if style, ok := f["path_style"].(bool); ok {
		b.path = style
	}
	return b, nil
}

// bucketName reports whether a name follows "Bucket naming rules", so that it cannot become another
// host or path. Older buckets may have capitals and underscores.
func bucketName(s string) bool {
	if len(s) < 3 || len(s) > 255 || strings.Contains(s, "..") || strings.Trim(s, ".-") != s {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_", r))
	}) < 0
}

// maxObjectKey is the maximum length of a key in bytes ("Naming Amazon S3 objects").
const maxObjectKey = 1024

// object returns the URL of a key; that of the bucket for "".
func (b *bucket) object(key string) (*url.URL, error) {
	if len(key) > maxObjectKey {
		return nil, plan.Permanent("invalid_input", "key has %d bytes; a key may have %d", len(key), maxObjectKey)
	}
	for _, part := range strings.Split(key, "/") {
		if part == "." || part == ".." {
			return nil, plan.Permanent("invalid_input", "key must not contain . or .. segments: proxies would take them for another key")
		}
	}
	u := *b.endpoint
	u.Path = "/" + key
	if b.path {
		u.Path = "/" + b.name
		if key != "" {
			u.Path += "/" + key
		}
	} else {
		u.Host = b.name + "." + u.Host
	}
	u.RawPath = auth.EncodePath(u.Path)
	return &u, nil
}

// order returns a signed request for a key.
func (b *bucket) order(in engine.Input, method, key string, query url.Values) (order, error) {
	u, err := b.object(key)
	if err != nil {
		return order{}, err
	}
	u.RawQuery = query.Encode()
	return order{method: method, url: u.String(), header: http.Header{}, limit: defaultMaxResponse, parse: "text", files: in.Files,
		proof: b.keys.Credential()}, nil
}
