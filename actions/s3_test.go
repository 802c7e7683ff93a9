package actions_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// s3Written is the configuration of a connection up to its secret key.
const s3Written = `connections: {s3: {access_key: "${{ secrets.S3_ID }}", secret_key: "${{ secrets.S3 }}`

// s3At configures connection s3 for a service, and returns a function that makes one attempt of an
// action.
func s3At(t *testing.T, endpoint, more string, kept *files.Store) func(name string, with map[string]any) (map[string]any, error) {
	t.Helper()
	cs := connections(t, s3Written+`", bucket: shop, endpoint: "`+endpoint+`"`+more+`}}`)
	return func(name string, with map[string]any) (map[string]any, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		out, err := actions.Executors(actions.Options{Client: client(t, "127.0.0.1")})[name].Do(ctx, engine.Input{
			Spec: catalog(t)[name], With: with, Key: "hl_key", Run: 1, Path: "a", Attempt: 1, Connections: cs, Files: kept, MaxFile: 1 << 30,
			Secret: func(string) (string, bool) { return "S3RVER", true }})
		m, _ := out.(map[string]any)
		return m, err
	}
}

// s3rver starts the npm package of that name. HOOKLOOM_NODE_MODULES is the folder in which it is
// installed.
func s3rver(t *testing.T) string {
	t.Helper()
	program := filepath.Join(os.Getenv("HOOKLOOM_NODE_MODULES"), "s3rver", "bin", "s3rver.js")
	if _, err := os.Stat(program); err != nil {
		t.Skip("SKIPPED: HOOKLOOM_NODE_MODULES names no folder with s3rver (npm install s3rver), so s3/ is tested on a stand-in alone")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	_ = l.Close()
	// Its continuation tokens use a cipher that OpenSSL 3 considers legacy.
	c := exec.Command("node", "--openssl-legacy-provider", program, "-d", t.TempDir(), "-a", "127.0.0.1", "-p", port,
		"--configure-bucket", "shop")
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Skipf("SKIPPED: node cannot be started: %v", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for range 200 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			return "http://127.0.0.1:" + port
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("s3rver does not listen: %s", said.String())
	return ""
}

// TestObjectsAreStoredByARealService checks that objects are listed and read as written, also by
// presigned URL, and that a wrong key is refused.
func TestObjectsAreStoredByARealService(t *testing.T) {
	dir := t.TempDir()
	kept := files.New(dir, 1<<30)
	endpoint := checkedS3(t, s3rver(t))
	do := s3At(t, endpoint, "", kept)
	for i := range 5 {
		out, err := do("s3/put", map[string]any{"key": fmt.Sprintf("orders/ä b+%d.json", i), "body": map[string]any{"n": i},
			"metadata": map[string]any{"shop": "eu"}})
		if err != nil || out["size"] != 7 {
			t.Fatalf("put %d: %v %v", i, out, err)
		}
	}
	out, err := do("s3/list", map[string]any{"prefix": "orders/", "max_items": 3})
	items, _ := out["items"].([]any)
	if err != nil || len(items) != 3 || out["more"] != true || items[0].(map[string]any)["key"] != "orders/ä b+0.json" {
		t.Fatalf("list: %v %v", out, err)
	}
	out, err = do("s3/list", map[string]any{"delimiter": "/"})
	if folders, _ := out["folders"].([]any); err != nil || len(folders) != 1 || folders[0] != "orders/" {
		t.Errorf("folders: %v %v", out, err)
	}
	out, err = do("s3/get", map[string]any{"key": "orders/ä b+3.json"})
	if err != nil || fmt.Sprint(out["body"], out["metadata"]) != "map[n:3] map[shop:eu]" || out["last_modified"] == nil {
		t.Errorf("get: %v %v", out, err)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := os.MkdirAll(filepath.Join(dir, "files", "run_1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "files", "run_1", "a.bin"), large, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := do("s3/put", map[string]any{"key": "a.bin", "file": "files/run_1/a.bin"}); err != nil {
		t.Fatalf("a file: %v", err)
	}
	out, err = do("s3/get", map[string]any{"key": "a.bin", "save": true})
	if sum := sha256.Sum256(large); err != nil || out["sha256"] != hex.EncodeToString(sum[:]) || out["size"] != len(large) {
		t.Errorf("saved: %v %v", out, err)
	}
	out, err = do("s3/presign", map[string]any{"key": "orders/ä b+3.json", "filename": "bestellung ä.json"})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(fmt.Sprint(out["url"]))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != `{"n":3}` {
		t.Errorf("the presigned URL answered %d %s", resp.StatusCode, body)
	}
	for _, with := range []map[string]any{{"key": "nope"}, {"key": "x", "bucket": "other-bucket"}} {
		if _, err := do("s3/get", with); failure(err).Code != "not_found" || failure(err).Retryable {
			t.Errorf("%v: %v", with, err)
		}
	}
	cs := connections(t, s3Written+`x", bucket: shop, endpoint: "`+endpoint+`"}}`)
	_, err = actions.Executors(actions.Options{Client: client(t, "127.0.0.1")})["s3/get"].Do(t.Context(), engine.Input{
		Spec: catalog(t)["s3/get"], With: map[string]any{"key": "a.bin"}, Connections: cs,
		Secret: func(string) (string, bool) { return "S3RVER", true }})
	if failure(err).Code != "no_credential" {
		t.Errorf("a wrong secret key: %v", err)
	}
}

// failure returns the step's error in err, or a zero one.
func failure(err error) *plan.Error {
	var e *plan.Error
	if errors.As(err, &e) {
		return e
	}
	return &plan.Error{}
}

// s3Pages answers ListObjectsV2 in pages of two, whatever size is requested.
func s3Pages(t *testing.T, n int) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("continuation-token"), &from)
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>`)
		to := min(from+2, n)
		for i := from; i < to; i++ {
			fmt.Fprintf(w, `<Contents><Key>k+%%2F%d</Key><Size>%d</Size></Contents>`, i, i)
		}
		fmt.Fprintf(w, `<IsTruncated>%v</IsTruncated><NextContinuationToken>%d</NextContinuationToken></ListBucketResult>`, to < n, to)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestListOfObjectsIsReadToItsLimit reads pages to the end and to max_items.
func TestListOfObjectsIsReadToItsLimit(t *testing.T) {
	do := s3At(t, checkedS3(t, s3Pages(t, 5).URL), "", nil)
	for _, c := range []struct {
		most, want int
		more       bool
	}{{1000, 5, false}, {5, 5, false}, {4, 4, true}, {3, 3, true}, {1, 1, true}} {
		out, err := do("s3/list", map[string]any{"max_items": c.most})
		items, _ := out["items"].([]any)
		if err != nil || len(items) != c.want || out["more"] != c.more || items[0].(map[string]any)["key"] != "k /0" {
			t.Errorf("%d: %v %v", c.most, out, err)
		}
	}
	if _, err := do("s3/list", map[string]any{"max_items": 10_001}); failure(err).Code != "invalid_input" {
		t.Errorf("max_items above the bound: %v", err)
	}
}

// TestS3ErrorsGiveAdvice checks codes, retries, and errors with a success status.
func TestS3ErrorsGiveAdvice(t *testing.T) {
	var status int
	var body string
	header := http.Header{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for k, v := range header {
			w.Header()[k] = v
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	defer server.Close()
	do := s3At(t, server.URL, "", nil)
	problem := func(code string) string {
		return `<?xml version="1.0"?><Error><Code>` + code + `</Code><Message>m</Message></Error>`
	}
	for _, c := range []struct {
		name   string
		status int
		code   string
		header http.Header
		want   string
		retry  bool
		says   string
	}{
		{"s3/put", 503, "SlowDown", nil, "http_status", true, "SlowDown: m"},
		{"s3/put", 500, "InternalError", nil, "http_status", true, ""},
		{"s3/put", 200, "InternalError", nil, "refused", true, "InternalError"},
		{"s3/put", 412, "PreconditionFailed", nil, "conflict", false, "has an object"},
		{"s3/put", 409, "ConditionalRequestConflict", nil, "http_status", true, ""},
		{"s3/put", 400, "BadDigest", nil, "http_status", false, "BadDigest"},
		{"s3/get", 403, "SignatureDoesNotMatch", nil, "no_credential", false, ""},
		{"s3/get", 403, "AccessDenied", nil, "http_status", false, ""},
		{"s3/get", 403, "RequestTimeTooSkewed", nil, "http_status", false, "set the clock"},
		{"s3/get", 301, "PermanentRedirect", http.Header{"X-Amz-Bucket-Region": {"eu-central-1"}}, "http_status", false, "set region:"},
		{"s3/get", 404, "NoSuchBucket", nil, "not_found", false, "no bucket shop"},
		{"s3/list", 200, "InternalError", nil, "refused", true, ""},
	} {
		status, body, header = c.status, problem(c.code), c.header
		with := map[string]any{"key": "a", "text": "x", "only_new": true}
		_, err := do(c.name, with)
		if e := failure(err); e.Code != c.want || e.Retryable != c.retry || !strings.Contains(e.Message, c.says) {
			t.Errorf("%s %d %s: %+v (%v)", c.name, c.status, c.code, e, err)
		}
	}
	status, body = 200, "<html>hello</html>"
	for _, name := range []string{"s3/put", "s3/list"} {
		if _, err := do(name, map[string]any{"key": "a", "text": "x"}); failure(err).Code != "bad_answer" {
			t.Errorf("%s of a page: %v", name, err)
		}
	}
	status, body = 200, problem("InternalError") // an object may be an XML document of any kind
	if out, err := do("s3/get", map[string]any{"key": "a"}); err != nil || out["body"] != body {
		t.Errorf("an object with an error in it: %v %v", out, err)
	}
}

// TestObjectIsRequestedAtItsOwnURL checks path-style and host-style URLs, and that no key leads
// elsewhere.
func TestObjectIsRequestedAtItsOwnURL(t *testing.T) {
	for _, c := range []struct{ more, key, want string }{
		{`, endpoint: "https://s3.example.com"`, "a/b c.txt", "https://s3.example.com/shop/a/b%20c.txt"},
		{`, endpoint: "https://s3.example.com", path_style: false`, "a", "https://shop.s3.example.com/a"},
		{`, region: eu-central-1`, "a?b#c/../d", ""},
		{`, region: eu-central-1`, "a?b#c%2Fd//e", "https://shop.s3.eu-central-1.amazonaws.com/a%3Fb%23c%252Fd//e"},
		{`, region: eu-central-1, bucket: shop.example`, "a", "https://s3.eu-central-1.amazonaws.com/shop.example/a"},
		{`, region: eu-central-1, bucket: "x/../../y"`, "a", ""},
		{`, endpoint: "https://s3.example.com/sub"`, "a", ""},
	} {
		cs := connections(t, s3Written+`", `+
			strings.TrimPrefix(map[bool]string{true: c.more, false: ", bucket: shop" + c.more}[strings.Contains(c.more, "bucket")], ", ")+`}}`)
		got, err := presign(t, cs, map[string]any{"key": c.key, "expires": "1h"})
		if c.want == "" {
			if failure(err).Code != "invalid_input" && failure(err).Code != "invalid_connection" {
				t.Errorf("%s %s: %s %v", c.more, c.key, got, err)
			}
			continue
		}
		u, perr := url.Parse(got)
		if err != nil || perr != nil || u.Scheme+"://"+u.Host+u.EscapedPath() != c.want || u.Query().Get("X-Amz-Expires") != "3600" {
			t.Errorf("%s %s: %s %v", c.more, c.key, got, err)
		}
	}
	cs := connections(t, s3Written+`", bucket: shop}}`)
	if _, err := presign(t, cs, map[string]any{"key": "a", "expires": "8d"}); failure(err).Code != "invalid_input" {
		t.Errorf("8d: %v", err)
	}
}

func presign(t *testing.T, cs map[string]*workflows.Connection, with map[string]any) (string, error) {
	t.Helper()
	out, err := actions.Executors(actions.Options{})["s3/presign"].Do(t.Context(), engine.Input{
		Spec: catalog(t)["s3/presign"], With: with, Connections: cs, Secret: func(string) (string, bool) { return "S3RVER", true }})
	m, _ := out.(map[string]any)
	return fmt.Sprint(m["url"]), err
}
