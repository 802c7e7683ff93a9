package actions_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// checkedS3 is a proxy that refuses requests without a correct Signature Version 4. It checks the
// request as received from the network, whereas the client signs what it intends to send. s3rver
// parses such signatures and does not compare them.
func checkedS3(t *testing.T, behind string) string {
	t.Helper()
	to, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if problem := signatureProblem(r, body); problem != "" {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "<?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>%s</Message></Error>", problem)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// signatureProblem checks a request whose key is S3RVER, in the header or in the query.
func signatureProblem(r *http.Request, body []byte) string {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	parts := strings.Split(query, "&")
	var scope, signed, given, stamp, hash string
	if credential, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=S3RVER/"); ok {
		scope, credential, _ = strings.Cut(credential, ", SignedHeaders=")
		signed, given, _ = strings.Cut(credential, ", Signature=")
		stamp, hash = r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Content-Sha256")
		if sum := sha256.Sum256(body); hash != hex.EncodeToString(sum[:]) {
			return "the hash is not that of the body"
		}
	} else {
		q := r.URL.Query()
		scope = strings.TrimPrefix(q.Get("X-Amz-Credential"), "S3RVER/")
		signed, given, stamp, hash = q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature"), q.Get("X-Amz-Date"), "UNSIGNED-PAYLOAD"
		parts = slices.DeleteFunc(parts, func(p string) bool { return strings.HasPrefix(p, "X-Amz-Signature=") })
	}
	if sum := sha256.Sum256(body); r.Method == http.MethodPut &&
		r.Header.Get("X-Amz-Checksum-Sha256") != base64.StdEncoding.EncodeToString(sum[:]) {
		return "the checksum is not that of the body"
	}
	for i, p := range parts {
		if p != "" && !strings.Contains(p, "=") {
			parts[i] += "="
		}
	}
	slices.Sort(parts)
	lines := []string{r.Method, path, strings.Join(parts, "&")}
	for _, name := range strings.Split(signed, ";") {
		v := r.Header.Get(name)
		if name == "host" {
			v = r.Host
		}
		lines = append(lines, name+":"+strings.TrimSpace(v))
	}
	lines = append(lines, "", signed, hash)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	key := []byte("AWS4S3RVER")
	for _, part := range append(strings.Split(scope, "/"),
		strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hex.EncodeToString(sum[:])}, "\n")) {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(part))
		key = m.Sum(nil)
	}
	if given != hex.EncodeToString(key) {
		return "the signature is another one"
	}
	return ""
}
