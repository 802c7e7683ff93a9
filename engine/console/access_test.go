package console_test

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
)

var csrfField = regexp.MustCompile(`name="csrf" value="([0-9a-f]+)"`)

// login returns the session's cookie.
func login(t *testing.T, c http.Handler, token, to string, header map[string]string) (*http.Cookie, *httptest.ResponseRecorder) {
	t.Helper()
	h := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for k, v := range header {
		h[k] = v
	}
	w := get(c, "POST", "/login", h, url.Values{"name": {"ada"}, "token": {token}, "to": {to}}.Encode())
	for _, k := range w.Result().Cookies() {
		return k, w
	}
	return nil, w
}

func form(c http.Handler, path string, k *http.Cookie, values url.Values) *httptest.ResponseRecorder {
	h := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
	if k != nil {
		h["Cookie"] = k.Name + "=" + k.Value
	}
	return get(c, "POST", path, h, values.Encode())
}

func csrfOf(t *testing.T, c http.Handler, path string, k *http.Cookie) string {
	t.Helper()
	h := map[string]string{"Accept": "text/html"}
	if k != nil {
		h["Cookie"] = k.Name + "=" + k.Value
	}
	m := csrfField.FindStringSubmatch(get(c, "GET", path, h, "").Body.String())
	if m == nil {
		t.Fatalf("%s has no form", path)
	}
	return m[1]
}

// tokens returns the options of a console with these tokens.
func tokens(operate, view string) console.Options {
	return console.Options{Loopback: true, Tokens: func() console.Tokens { return console.Tokens{Operate: operate, View: view} }}
}

func TestLoginCreatesASessionWithItsRole(t *testing.T) {
	c, op := made(t, tokens("a-token", "a-view-token"))
	w := get(c, "GET", "/runs?status=failed", map[string]string{"Accept": "text/html"}, "")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login?to=%2Fruns%3Fstatus%3Dfailed" {
		t.Errorf("without a session: %d %s", w.Code, w.Header())
	}
	if k, w := login(t, c, "wrong", "/", nil); k != nil || w.Code != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d %v", w.Code, k)
	}
	if k, _ := login(t, c, "", "/", nil); k != nil {
		t.Error("an empty token logs in")
	}
	operate, w := login(t, c, "a-token", "/runs?status=failed", nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/runs?status=failed" || !operate.HttpOnly ||
		operate.SameSite != http.SameSiteStrictMode || operate.Path != "/" {
		t.Errorf("%d %s %+v", w.Code, w.Header(), operate)
	}
	if k, _ := login(t, c, "a-token", "/", map[string]string{"X-Forwarded-Proto": "https"}); k.Name != "__Host-hookloom" || !k.Secure {
		t.Errorf("over https: %+v", k)
	}
	for _, to := range []string{"//evil.example.com", "https://evil.example.com/", `/\evil.example.com`, "javascript:alert(1)"} {
		if _, w := login(t, c, "a-token", to, nil); w.Header().Get("Location") != "/" {
			t.Errorf("after the login, %q leads to %s", to, w.Header().Get("Location"))
		}
	}
	run := "/runs/run_0000000000000002"
	view, _ := login(t, c, "a-view-token", "/", nil)
	if page := get(c, "GET", run, map[string]string{"Cookie": view.Name + "=" + view.Value}, "").Body.String(); strings.Contains(page,
		"/replay") {
		t.Error("who may look only is shown how to act")
	}
	if w := form(c, run+"/replay", view, url.Values{"csrf": {csrfOf(t, c, "/runs", view)}}); w.Code != http.StatusForbidden {
		t.Errorf("who may look only acts: %d", w.Code)
	}
	if w := get(c, "POST", "/api/v1"+run+"/replay", map[string]string{"Authorization": "Bearer a-view-token"},
		"{}"); w.Code != http.StatusForbidden {
		t.Errorf("by the API: %d", w.Code)
	}
	if len(op.asked) != 0 {
		t.Errorf("carried out: %v", op.asked)
	}
	if w := form(c, run+"/replay", operate, url.Values{"csrf": {csrfOf(t, c, run, operate)}}); w.Code != http.StatusSeeOther ||
		len(op.asked) != 1 || op.asked[0] != "replay run_0000000000000002startpinnedada" {
		t.Errorf("who may act: %d %v", w.Code, op.asked)
	}
	form(c, "/logout", operate, url.Values{"csrf": {csrfOf(t, c, "/", operate)}})
	if w := get(c, "GET", run, map[string]string{"Accept": "text/html", "Cookie": operate.Name + "=" + operate.Value},
		""); w.Code != http.StatusSeeOther {
		t.Errorf("after the logout: %d", w.Code)
	}
}

func TestCrossSiteFormIsRefused(t *testing.T) {
	guarded, op := made(t, tokens("a-token", ""))
	k, _ := login(t, guarded, "a-token", "/", nil)
	other, _ := login(t, guarded, "a-token", "/", nil)
	run := "/runs/run_0000000000000002"
	for name, csrf := range map[string]string{"none": "", "a guess": "00000000000000000000000000000000",
		"that of another session": csrfOf(t, guarded, run, other)} {
		if w := form(guarded, run+"/cancel", k, url.Values{"csrf": {csrf}}); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	api := func(header map[string]string) int {
		header["Cookie"] = k.Name + "=" + k.Value
		return get(guarded, "POST", "/api/v1"+run+"/cancel", header, "{}").Code
	}
	if got := api(map[string]string{}); got != http.StatusForbidden {
		t.Errorf("the API by cookie alone: %d", got)
	}
	if len(op.asked) != 0 {
		t.Errorf("carried out: %v", op.asked)
	}
	if got := api(map[string]string{"X-CSRF-Token": csrfOf(t, guarded, run, k)}); got != http.StatusConflict || len(op.asked) != 1 {
		t.Errorf("with its token: %d %v", got, op.asked)
	}
	open, op := made(t, console.Options{Loopback: true})
	if w := form(open, run+"/cancel", nil, url.Values{}); w.Code != http.StatusForbidden || len(op.asked) != 0 {
		t.Errorf("on loopback without a token: %d %v", w.Code, op.asked)
	}
}

func TestEveryActionIsInTheAuditLog(t *testing.T) {
	c, op := made(t, tokens("a-token", ""))
	k, _ := login(t, c, "a-token", "/", nil)
	run := "/runs/run_0000000000000002"
	form(c, run+"/cancel", k, url.Values{"csrf": {csrfOf(t, c, run, k)}, "confirm": {"yes"}})
	form(c, "/workflow/disable", k, url.Values{"csrf": {csrfOf(t, c, run, k)}, "id": {"w"}, "confirm": {"yes"}})
	get(c, "POST", "/api/v1"+run+"/replay", map[string]string{"Authorization": "Bearer a-token"}, `{"by": "grace"}`)
	get(c, "POST", "/api/v1/workflows/billing/refund/fire", map[string]string{"Authorization": "Bearer a-token"}, `{}`)
	login(t, c, "wrong", "/", nil)
	var got []string
	for _, a := range op.audited {
		got = append(got, strings.Join([]string{a.Who, string(a.Role), a.Action, a.Target, http.StatusText(a.Status)}, " "))
		if a.At.IsZero() || a.Remote != "192.0.2.1" {
			t.Errorf("%+v", a)
		}
	}
	want := []string{"ada operate login  See Other", "ada operate run.cancel run_0000000000000002 Conflict",
		"ada operate workflow.disable w See Other", "grace operate run.replay run_0000000000000002 Accepted",
		"api operate workflow.fire billing/refund Accepted"} // and not the refused login: unauthenticated callers must not fill the log
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSessionsSurviveARestartAndEndWithTheirToken checks that a cookie is valid until its token is
// changed or it is logged out, even if another process issued it.
func TestSessionsSurviveARestartAndEndWithTheirToken(t *testing.T) {
	key := func() ([]byte, error) { return []byte("the key of this project, kept beside"), nil }
	ended := &endedSessions{}
	start := func(token string) *console.Console {
		o := tokens(token, "")
		o.SessionKey, o.Sessions = key, ended
		c, _ := made(t, o)
		return c
	}
	shows := func(c *console.Console, k *http.Cookie) bool {
		return get(c, "GET", "/runs", map[string]string{"Accept": "text/html", "Cookie": k.Name + "=" + k.Value}, "").Code == http.StatusOK
	}
	first := start("a-token")
	one, _ := login(t, first, "a-token", "/", nil)
	two, _ := login(t, first, "a-token", "/", nil)
	second := start("a-token")
	if !shows(second, one) {
		t.Error("a session does not survive a restart")
	}
	form(second, "/logout", one, url.Values{"csrf": {csrfOf(t, second, "/", one)}})
	if third := start("a-token"); shows(second, one) || shows(third, one) || !shows(third, two) {
		t.Error("a session that was logged out goes on, or another one ended with it")
	}
	if shows(start("another-token"), two) {
		t.Error("a session outlives its token")
	}
	forged := *two
	forged.Value = strings.Replace(forged.Value, forged.Value[10:12], "AA", 1)
	if shows(start("a-token"), &forged) {
		t.Error("a changed cookie is taken")
	}
}

// TestLogoutAppliesToOtherNodesWithinASecond: two consoles with one database and key.
func TestLogoutAppliesToOtherNodesWithinASecond(t *testing.T) {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "hookloom.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	node := func() *console.Console {
		o := tokens("a-token", "")
		o.SessionKey, o.Sessions = func() ([]byte, error) { return []byte("the key of this project, kept beside"), nil }, db
		c, _ := made(t, o)
		return c
	}
	a, b := node(), node()
	shows := func(c *console.Console, k *http.Cookie) bool {
		return get(c, "GET", "/runs", map[string]string{"Accept": "text/html", "Cookie": k.Name + "=" + k.Value}, "").Code == http.StatusOK
	}
	one, _ := login(t, a, "a-token", "/", nil)
	two, _ := login(t, a, "a-token", "/", nil)
	abandoned, cancel := context.WithCancel(t.Context())
	cancel()
	abandon := func() { // what a client does that wants the other node not to read it
		r := httptest.NewRequestWithContext(abandoned, "GET", "/runs", nil)
		r.Host = "127.0.0.1:8081"
		r.AddCookie(one)
		b.ServeHTTP(httptest.NewRecorder(), r)
	}
	if !shows(b, one) || !shows(b, two) {
		t.Fatal("a session of one node does not hold at the other")
	}
	form(a, "/logout", one, url.Values{"csrf": {csrfOf(t, a, "/", one)}})
	abandon()
	for ended := time.Now(); shows(b, one); abandon() {
		time.Sleep(20 * time.Millisecond)
		if time.Since(ended) > time.Second {
			t.Fatal("a session that was ended at one node holds at the other")
		}
	}
	if shows(a, one) || !shows(b, two) {
		t.Error("it holds where it was ended, or another session ended with it")
	}
}

// endedSessions stores them like the store.
type endedSessions struct{ ids map[string]time.Time }

func (e *endedSessions) EndSession(_ context.Context, id string, until time.Time) error {
	e.ids = map[string]time.Time{id: until}
	return nil
}

func (e *endedSessions) EndedSessions(context.Context) (map[string]time.Time, error) {
	return maps.Clone(e.ids), nil
}

// TestTokenGuessesAreThrottledByAddress checks that five wrong tokens have no effect and that the address
// must wait after that, with a header or the form; other addresses and sessions are not affected.
func TestTokenGuessesAreThrottledByAddress(t *testing.T) {
	o := tokens("a-token", "")
	from := netip.MustParseAddr("192.0.2.1")
	o.Address = func(*http.Request) netip.Addr { return from }
	c, _ := made(t, o)
	k, _ := login(t, c, "a-token", "/", nil)
	ask := func(token string) *httptest.ResponseRecorder {
		return get(c, "GET", "/api/v1/runs", map[string]string{"Authorization": "Bearer " + token}, "")
	}
	for range 5 {
		if w := ask("wrong"); w.Code != http.StatusUnauthorized {
			t.Fatalf("%d", w.Code)
		}
	}
	if w := ask("a-token"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("after five guesses: %d %v", w.Code, w.Header())
	}
	if _, w := login(t, c, "a-token", "/", nil); w.Code != http.StatusTooManyRequests {
		t.Errorf("by the form: %d", w.Code)
	}
	if w := get(c, "GET", "/runs", map[string]string{"Accept": "text/html", "Cookie": k.Name + "=" + k.Value},
		""); w.Code != http.StatusOK {
		t.Errorf("a session waits for another's guesses: %d", w.Code)
	}
	from = netip.MustParseAddr("192.0.2.2")
	if w := ask("a-token"); w.Code != http.StatusOK {
		t.Errorf("another address waits too: %d", w.Code)
	}
}

// TestCallsWithoutTheCSRFHeaderAreRefused checks that on loopback without tokens an API call needs a header
// that neither a form of another site nor a step's URL can send.
func TestCallsWithoutTheCSRFHeaderAreRefused(t *testing.T) {
	c, op := made(t, console.Options{Loopback: true})
	path := "/api/v1/runs/run_0000000000000002/cancel"
	if w := get(c, "POST", path, map[string]string{"Content-Type": "application/json"}, "{}"); w.Code != http.StatusForbidden ||
		len(op.asked) != 0 || !strings.Contains(w.Body.String(), "X-Hookloom: 1") {
		t.Errorf("%d %s %v", w.Code, w.Body, op.asked)
	}
	if w := get(c, "POST", path, map[string]string{"X-Hookloom": "1"}, "{}"); w.Code != http.StatusConflict || len(op.asked) != 1 {
		t.Errorf("with the header: %d %v", w.Code, op.asked)
	}
}

// TestPublicAddressNeedsEncryption also checks that it needs a token for each role.
func TestPublicAddressNeedsEncryption(t *testing.T) {
	for _, c := range []struct {
		loopback, https, proxied bool
		operate, view            string
		want                     string
	}{
		{true, false, false, "", "", ""},
		{true, false, false, "same-token", "same-token", "are the same"},
		{false, true, false, "", "", "needs a token"},
		{false, false, false, "a-token", "", "needs https"},
		{false, true, false, "a-token", "a-view-token", ""},
		{false, false, true, "a-token", "", ""},
	} {
		err := console.Reachable(c.loopback, c.https, c.proxied, console.Tokens{Operate: c.operate, View: c.view})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestOnlyTrustedProxiesMayUseHTTPOnAPublicAddress(t *testing.T) {
	o := tokens("a-token", "")
	o.Loopback, o.TLS = false, true
	c, _ := made(t, o)
	r := httptest.NewRequest("GET", "http://admin.example/api/v1/runs", nil) // from 192.0.2.1
	r.Header.Set("Authorization", "Bearer a-token")
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("by http from a stranger: %d", w.Code)
	}
	r.TLS = &tls.ConnectionState{}
	w = httptest.NewRecorder()
	if c.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("by https: %d %s", w.Code, w.Body)
	}
}

// TestOnlyAPersonalTokenProvesAName checks that a name given at login, in the request or as the
// user of basic authentication is marked as unverified, that none of them changes the name of a
// token, and that a token gives no link that answers as the owner of another one.
func TestOnlyAPersonalTokenProvesAName(t *testing.T) {
	o := tokens("a-shared-token", "")
	now := console.Tokens{Operate: "a-shared-token", Named: map[string]string{"ada": "the-token-of-ada", "bob": "the-token-of-bob"}}
	o.Tokens = func() console.Tokens { return now }
	c, op := made(t, o)
	const path = "/runs/run_0000000000000001"
	answered := func(token string) string {
		t.Helper()
		k, _ := login(t, c, token, "/", nil) // enters ada as the name
		if k == nil {
			t.Fatalf("%s does not log in", token)
		}
		op.asked = nil
		form(c, path+"/answer", k, url.Values{"csrf": {csrfOf(t, c, "/", k)}, "verdict": {"approve"}, "by": {"eve"}})
		return strings.Join(op.asked, ",")
	}
	called := func(authorization, body string) string {
		op.asked = nil
		w := get(c, "POST", "/api/v1"+path+"/approve", map[string]string{"Authorization": authorization}, body)
		return strings.Join(append(op.asked, http.StatusText(w.Code)), ",")
	}
	basic := func(user, token string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth(user, token)
		return r.Header.Get("Authorization")
	}
	for name, x := range map[string]struct{ got, want string }{
		"a session of the shared token": {answered("a-shared-token"), "answer run_0000000000000001 { approve ada   <nil>}"},
		"a session of bob's":            {answered("the-token-of-bob"), "answer run_0000000000000001 { approve bob  token <nil>}"},
		"the shared token": {called("Bearer a-shared-token", `{"by": "bob"}`),
			"answer run_0000000000000001 { approve bob   <nil>},Accepted"},
		"bob's": {called("Bearer the-token-of-bob", `{}`),
			"answer run_0000000000000001 { approve bob  token <nil>},Accepted"},
		"bob's as another": {called("Bearer the-token-of-bob", `{"by": "ada"}`), "Conflict"},
		"bob's, a link for who has no token": {called("Bearer the-token-of-bob", `{"by": "carl", "link": true}`),
			"link run_0000000000000001carl,OK"},
		"bob's, a link for bob": {called("Bearer the-token-of-bob", `{"by": "bob", "link": true}`),
			"link run_0000000000000001bob,OK"},
		"bob's, a link for ada, who has a token": {called("Bearer the-token-of-bob", `{"by": "ada", "link": true}`), "Conflict"},
		"the shared token, a link for ada": {called("Bearer a-shared-token", `{"by": "ada", "link": true}`),
			"link run_0000000000000001ada,OK"},
		"bob's with the user of another": {called(basic("ada", "the-token-of-bob"), `{}`),
			"answer run_0000000000000001 { approve bob  token <nil>},Accepted"},
		"the shared one with bob as user": {called(basic("bob", "a-shared-token"), `{}`),
			"answer run_0000000000000001 { approve bob   <nil>},Accepted"},
	} {
		if x.got != x.want {
			t.Errorf("%s: %s, want %s", name, x.got, x.want)
		}
	}
	k, _ := login(t, c, "the-token-of-bob", "/", nil)
	now = console.Tokens{Operate: "a-shared-token", Named: map[string]string{"bob": "another-token-of-bob"}}
	if w := form(c, path+"/answer", k, url.Values{"verdict": {"approve"}}); w.Code == http.StatusSeeOther &&
		!strings.HasPrefix(w.Header().Get("Location"), "/login") {
		t.Errorf("a session outlives its token: %d", w.Code)
	}
}
