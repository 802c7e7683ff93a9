package actions_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
)

// redirector responds to /to/STATUS with a redirect to the given location, and records the headers
// and bodies of other requests.
func redirector(t *testing.T, location func(r *http.Request) string) (*httptest.Server, *[]string) {
	t.Helper()
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, ok := strings.CutPrefix(r.URL.Path, "/to/"); ok {
			n := 0
			fmt.Sscan(status, &n)
			w.Header().Set("Location", location(r))
			w.WriteHeader(n)
			return
		}
		b := make([]byte, 100)
		n, _ := r.Body.Read(b)
		seen = append(seen, fmt.Sprintf("%s %v %s", r.Method, r.Header, b[:n]))
	}))
	t.Cleanup(s.Close)
	return s, &seen
}

const apiConnection = `
connections:
  api:
    connector: http
    base_url: %s
    auth: {header: {name: X-Api-Key, value: "${{ secrets.KEY }}"}}
    headers: {X-Team: team-secret}
`

// TestRedirectSendsNothingToAnotherOrigin checks that credentials, connection headers, the step's
// headers, bodies and the query of the first URL are not sent there.
func TestRedirectSendsNothingToAnotherOrigin(t *testing.T) {
	foreign, came := redirector(t, func(*http.Request) string { return "" })
	elsewhere := foreign.URL + "/landing"
	home, _ := redirector(t, func(*http.Request) string { return elsewhere })
	api := connections(t, fmt.Sprintf(apiConnection, home.URL))
	for _, status := range []int{301, 302, 303, 307, 308} {
		*came = nil
		out, err := do(t, t.Context(), "http/get", map[string]any{"connection": "api", "url": fmt.Sprintf("/to/%d", status), "redirects": 3,
			"query": map[string]any{"token": "query-secret"}, "headers": map[string]any{"X-Own": "own-secret", "Cookie": "c=cookie-secret"},
			"auth": map[string]any{"bearer": "bearer-secret"}}, api)
		if err != nil || len(*came) != 1 {
			t.Fatalf("%d: %v %v, %d requests arrived", status, out, err, len(*came))
		}
		if strings.Contains((*came)[0], "secret") || strings.Contains((*came)[0], "Referer") {
			t.Errorf("%d: the other origin received %s", status, (*came)[0])
		}
	}
	for _, status := range []int{307, 308} {
		*came = nil
		_, err := do(t, t.Context(), "http/post", map[string]any{"connection": "api", "url": fmt.Sprintf("/to/%d", status), "redirects": 3,
			"body": map[string]any{"card": "body-secret"}}, api)
		if err == nil || !strings.Contains(err.Error(), "to another origin is not followed") || len(*came) != 0 {
			t.Errorf("%d with a body: %v, arrived: %v", status, err, *came)
		}
	}
	*came = nil
	if _, err := do(t, t.Context(), "http/post", map[string]any{"connection": "api", "url": "/to/303", "redirects": 3,
		"body": map[string]any{"card": "body-secret"}}, api); err != nil || len(*came) != 1 || strings.Contains((*came)[0], "secret") {
		t.Errorf("303: %v, arrived: %v", err, *came)
	}
}

// TestRedirectBackToTheOriginSendsNothing checks that nothing is sent again when a chain returns to
// the origin, since another server chose the target.
func TestRedirectBackToTheOriginSendsNothing(t *testing.T) {
	var back string
	foreign, _ := redirector(t, func(*http.Request) string { return back })
	var home *httptest.Server
	home, came := redirector(t, func(*http.Request) string { return foreign.URL + "/to/302" })
	back = home.URL + "/landing"
	_, err := do(t, t.Context(), "http/get", map[string]any{"connection": "api", "url": "/to/302", "redirects": 3},
		connections(t, fmt.Sprintf(apiConnection, home.URL)))
	if err != nil || len(*came) != 1 || strings.Contains((*came)[0], "secret") {
		t.Errorf("%v, arrived: %v", err, *came)
	}
}

// TestARedirectWithinTheOriginKeepsTheCredential also shows that a user name in the Location does
// not become a credential.
func TestARedirectWithinTheOriginKeepsTheCredential(t *testing.T) {
	var home *httptest.Server
	home, came := redirector(t, func(r *http.Request) string { return "http://eve:evil@" + r.Host + "/landing" })
	api := connections(t, fmt.Sprintf(apiConnection, home.URL))
	if _, err := do(t, t.Context(), "http/post", map[string]any{"connection": "api", "url": "/to/307", "redirects": 1, "body": "x"},
		api); err != nil {
		t.Fatal(err)
	}
	if got := (*came)[0]; !strings.Contains(got, "secret-of-KEY") || !strings.Contains(got, `"x"`) || strings.Contains(got, "Authorization") {
		t.Errorf("arrived: %s", got)
	}
}

// TestUnfollowedRedirectGivesTheReason also checks that only actions with the input mention it.
func TestUnfollowedRedirectGivesTheReason(t *testing.T) {
	home, _ := redirector(t, func(r *http.Request) string {
		if l := r.URL.Query().Get("l"); l != "" {
			return l
		}
		return "/to/302"
	})
	for _, c := range []struct {
		action, query string
		redirects     int
		want          string
	}{
		{"http/get", "", 0, "redirects are not followed unless the step sets redirects:"},
		{"http/get", "", 2, "there were more redirects than redirects: allows; raise it if they are expected"},
		{"http/get", "?l=ftp://127.0.0.1/x", 2, "neither http nor https"},
		{"webhook/send", "", -1, "answered 302 Found"},
	} {
		with := map[string]any{"url": home.URL + "/to/302" + c.query, "body": 1}
		if c.action == "http/get" {
			delete(with, "body")
			with["redirects"] = c.redirects
		}
		_, err := do(t, t.Context(), c.action, with, nil)
		if err == nil || !strings.HasSuffix(err.Error(), c.want) && !strings.Contains(err.Error(), c.want) || c.redirects < 0 &&
			strings.Contains(err.Error(), "redirects:") {
			t.Errorf("%s %s with %d: %v", c.action, c.query, c.redirects, err)
		}
	}
}

// TestARedirectFromHTTPSToHTTPIsNotFollowed checks that it holds even for the same host.
func TestARedirectFromHTTPSToHTTPIsNotFollowed(t *testing.T) {
	plain, came := redirector(t, func(*http.Request) string { return "" })
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/landing", http.StatusFound))
	defer secure.Close()
	spec := catalog(t)["http/get"]
	_, err := actions.Executors(actions.Options{Client: secure.Client()})["http/get"].Do(t.Context(),
		engine.Input{Spec: spec,
			With: map[string]any{"url": secure.URL, "redirects": 2}})
	if err == nil || !strings.Contains(err.Error(), "from https to http") || len(*came) != 0 {
		t.Errorf("%v, arrived: %v", err, *came)
	}
}
