package actions

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestCompressedResponseIsRead guards that an answer that was compressed without being asked for is
// read, within the limits, and that other encodings are named.
func TestCompressedResponseIsRead(t *testing.T) {
	packed := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(s))
		_ = z.Close()
		return b.String()
	}
	for _, c := range []struct{ coding, body, want, problem string }{
		{"gzip", packed(`{"a":1}`), `{"a":1}`, ""},
		{"X-GZIP", packed(`[]`), `[]`, ""},
		{"gzip", `{"a":1}`, `{"a":1}`, ""},
		{"identity", `{}`, `{}`, ""},
		{"gzip", "", "", ""},
		{"gzip", packed(`{"a":1}`)[:20], "", "unexpected EOF"},
		{"gzip", packed(strings.Repeat(" ", 1<<20)), "", "larger than 1KiB"},
		{"br", "\x0b\x03\x80{}\x03", "", `encoded with "br"`},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", c.coding)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(c.body))
		}))
		o := order{method: http.MethodGet, url: server.URL, header: http.Header{}, limit: 1 << 10, parse: "text"}
		r, err := sendOnce(t.Context(), uncompressed, o)
		server.Close()
		got := ""
		if err == nil && r.body != nil {
			got = r.body.(string)
		}
		if (err != nil) != (c.problem != "") || err != nil && !strings.Contains(err.Error(), c.problem) || got != c.want {
			t.Errorf("%s %q: %q, %v; want %q, %q", c.coding, c.body[:min(9, len(c.body))], got, err, c.want, c.problem)
		}
	}
}

// TestQueryIsSentInASCII guards that characters outside ASCII reach a server percent-encoded.
func TestQueryIsSentInASCII(t *testing.T) {
	var uri string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { uri = r.RequestURI }))
	defer server.Close()
	o := order{method: http.MethodGet, url: server.URL + "/ä?q=ö x&r=%C3%B6+y", header: http.Header{}, limit: 1 << 10}
	if _, err := sendOnce(t.Context(), uncompressed, o); err != nil {
		t.Fatal(err)
	}
	if want := "/%C3%A4?q=%C3%B6%20x&r=%C3%B6+y"; uri != want {
		t.Errorf("the server read %s, want %s", uri, want)
	}
}

// uncompressed is a client that, like the engine's, does not ask for compression.
var uncompressed = &http.Client{Transport: &http.Transport{DisableCompression: true}}
