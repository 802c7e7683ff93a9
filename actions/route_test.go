package actions_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// TestStepUsesItsProxy also checks that the credential of the proxy URL is used and does
// not appear in errors.
func TestStepUsesItsProxy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		_, _ = io.WriteString(w, r.RequestURI+" "+r.Header.Get("Proxy-Authorization")+r.Header.Get("Authorization"))
	}))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	for _, c := range []struct{ url, proxy, body, err string }{
		{"http://only-the-proxy.invalid/a", "http://me:p@ss/1@" + at, "http://only-the-proxy.invalid/a Basic bWU6cEBzcy8x", ""},
		{"http://only-the-proxy.invalid/a", "http://me:p%40ss@" + at + "/", "http://only-the-proxy.invalid/a Basic bWU6cEBzcw==", ""},
		{"http://only-the-proxy.invalid/a", server.URL, "http://only-the-proxy.invalid/a ", ""},
		{"https://only-the-proxy.invalid/a", "http://me:p@ss@" + at, "", "network: no answer: the proxy answered 407 Proxy Auth"},
		{"http://10.0.0.1/", server.URL, "", "address_not_allowed: Get \"http://10.0.0.1/\": 10.0.0.1: address not allowed"},
		{"http://1.1.1.1/", "http://me:p@ss@10.0.0.1:3128", "", "address_not_allowed: Get \"http://1.1.1.1/\": proxyconnect tcp: 10.0.0.1:"},
		{"http://1.1.1.1/", "socks5://me:p@ss@" + at, "", "invalid_request: proxy must be a URL such as"},
		{"http://1.1.1.1/", "http://me:p@ss@" + at + "/path", "", "invalid_request: proxy must be a URL with a host and no path"},
	} {
		out, err := do(t, t.Context(), "http/get", map[string]any{"url": c.url, "proxy": c.proxy}, nil)
		if c.err == "" {
			if err != nil || out.(map[string]any)["body"] != c.body {
				t.Errorf("%s through %s: %v %v", c.url, c.proxy, out, err)
			}
			continue
		}
		var e *plan.Error
		if !errors.As(err, &e) || !strings.HasPrefix(e.Code+": "+e.Message, c.err) || e.Retryable || strings.Contains(e.Message, "p@ss") ||
			errors.Is(err, engine.ErrUnanswered) {
			t.Errorf("%s through %s: %v", c.url, c.proxy, err)
		}
	}
}
