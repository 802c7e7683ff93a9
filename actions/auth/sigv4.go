package auth

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// sigv4 are the credentials of one request.
type sigv4 struct{ region, service, access, secret, session string }

// unsignedPayload replaces the hash of a body that is not read before it is sent; S3 accepts it
// over TLS ("Authenticating Requests: Using the Authorization Header").
const unsignedPayload = "UNSIGNED-PAYLOAD"

// maxHashed is the size in bytes of the largest body that is hashed before it is sent to S3.
const maxHashed = 32 << 20

func sigv4Of(c Connection) (*sigv4, error) {
	x, f := c.Auth.SigV4, &filler{c: c}
	out := &sigv4{region: f.text("region", x.Region), service: x.Service, access: f.text("access_key", x.AccessKey),
		secret: f.text("secret_key", x.SecretKey), session: optional(f, x.SessionToken)}
	return out, f.err
}

// optional evaluates a value that may be empty.
func optional(f *filler, v *workflows.Value) string {
	if v == nil || f.err != nil {
		return ""
	}
	x, err := v.Render(f.c.Env, workflows.FillPlain)
	if err != nil || x == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprint(x))
}

// sign adds the headers of AWS Signature Version 4 to a complete request ("Create a signed AWS API
// request", AWS General Reference).
func (k *sigv4) sign(r *http.Request, now time.Time) error {
	stamp := now.UTC().Format("20060102T150405Z")
	day := stamp[:8]
	hash, err := k.payload(r)
	if err != nil {
		return err
	}
	r.Header.Set("X-Amz-Date", stamp)
	if k.service == "s3" {
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	if k.session != "" {
		r.Header.Set("X-Amz-Security-Token", k.session)
	}
	names, canonical := k.headers(r)
	request := strings.Join([]string{r.Method, k.path(r.URL), query(r.URL), canonical, names, hash}, "\n")
	scope := strings.Join([]string{day, k.region, k.service, "aws4_request"}, "/")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hexHash([]byte(request))}, "\n")
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", k.access, scope, names,
		k.signature(day, toSign)))
	return nil
}

// signature signs a text with the signing key of a day.
func (k *sigv4) signature(day, toSign string) string {
	key := []byte("AWS4" + k.secret)
	for _, part := range []string{day, k.region, k.service, "aws4_request"} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, toSign))
}

// SigV4 are the credentials for a service that uses AWS Signature Version 4. Session is empty for
// permanent credentials.
type SigV4 struct{ Region, Service, AccessKey, SecretKey, Session string }

func (k SigV4) signer() *sigv4 {
	return &sigv4{region: k.Region, service: k.Service, access: k.AccessKey, secret: k.SecretKey, session: k.Session}
}

// Credential returns a Credential that signs each request of a call.
func (k SigV4) Credential() *Credential { return &Credential{v4: k.signer()} }

// Presign returns a URL that anybody can use with the method until it expires ("Authenticating
// Requests: Using Query Parameters", Amazon S3 API Reference). headers are those that the request
// must have in addition to host.
func (k SigV4) Presign(method string, u *url.URL, headers http.Header, now time.Time, expires time.Duration) string {
	s, out := k.signer(), *u
	stamp := now.UTC().Format("20060102T150405Z")
	scope := strings.Join([]string{stamp[:8], k.Region, k.Service, "aws4_request"}, "/")
	names, canonical := s.headers(&http.Request{URL: u, Header: headers})
	q := u.Query()
	q.Set("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
	q.Set("X-Amz-Credential", k.AccessKey+"/"+scope)
	q.Set("X-Amz-Date", stamp)
	q.Set("X-Amz-Expires", fmt.Sprint(int(expires/time.Second)))
	q.Set("X-Amz-SignedHeaders", names)
	if k.Session != "" {
		q.Set("X-Amz-Security-Token", k.Session)
	}
	out.RawQuery = q.Encode()
	out.RawQuery = query(&out) // a space is %20, not +
	request := strings.Join([]string{method, s.path(&out), out.RawQuery, canonical, names, unsignedPayload}, "\n")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hexHash([]byte(request))}, "\n")
	out.RawQuery += "&X-Amz-Signature=" + s.signature(stamp[:8], toSign)
	return out.String()
}

// headers returns the signed headers: host, content-type and those of AWS.
func (k *sigv4) headers(r *http.Request) (names, canonical string) {
	values := map[string]string{"host": r.URL.Host}
	for name, v := range r.Header {
		n := strings.ToLower(name)
		if strings.HasPrefix(n, "x-amz-") || n == "content-type" || n == "content-md5" {
			values[n] = strings.Join(strings.Fields(strings.Join(v, ",")), " ")
		}
	}
	var list []string
	for n := range values {
		list = append(list, n)
	}
	slices.Sort(list)
	var b strings.Builder
	for _, n := range list {
		b.WriteString(n + ":" + values[n] + "\n")
	}
	return strings.Join(list, ";"), b.String()
}

// path returns the canonical path: unchanged and encoded once for S3; for other services normalized
// (RFC 3986, 6.2.2.3, and without empty segments) and encoded twice.
func (k *sigv4) path(u *url.URL) string {
	p := u.EscapedPath()
	if p == "" {
		return "/"
	}
	if k.service != "s3" {
		clean := path.Clean(p)
		if strings.HasSuffix(p, "/") && clean != "/" {
			clean += "/"
		}
		p = clean
	}
	parts := strings.Split(p, "/")
	for i, s := range parts {
		if plain, err := url.PathUnescape(s); err == nil && k.service == "s3" {
			s = plain
		}
		parts[i] = encode(s)
	}
	return strings.Join(parts, "/")
}

// query returns the canonical query: sorted by name and value, everything but unreserved characters
// encoded.
func query(u *url.URL) string {
	var list [][2]string
	for name, values := range u.Query() {
		for _, v := range values {
			list = append(list, [2]string{encode(name), encode(v)})
		}
	}
	// By name first: as complete texts, Param-3=a would sort before Param=b.
	slices.SortFunc(list, func(a, b [2]string) int { return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1])) })
	parts := make([]string, len(list))
	for i, x := range list {
		parts[i] = x[0] + "=" + x[1]
	}
	return strings.Join(parts, "&")
}

// encode percent-encodes all but the unreserved characters of RFC 3986, 2.3.
func encode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// EncodePath percent-encodes a path as S3 signs it.
func EncodePath(p string) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		parts[i] = encode(s)
	}
	return strings.Join(parts, "/")
}

// payload returns the SHA-256 of the body in hex.
func (k *sigv4) payload(r *http.Request) (string, error) {
	if r.GetBody == nil || r.Body == nil || r.Body == http.NoBody {
		return hexHash(nil), nil
	}
	if k.service == "s3" && r.ContentLength > maxHashed && r.URL.Scheme == "https" {
		return unsignedPayload, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return "", err
	}
	defer body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, body); err != nil {
		return "", fmt.Errorf("reading the body to sign it: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func hexHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
