package console

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestGuessesWaitLongerAndAreForgotten checks the waits after wrong tokens, for whom they hold, and when they end.
func TestGuessesWaitLongerAndAreForgotten(t *testing.T) {
	var g guesses
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	a, b := netip.MustParseAddr("2001:db8:0:1::1%eth0"), netip.MustParseAddr("2001:db8:0:1::2")
	var got []string
	for range 13 {
		logged := g.wrong(a, at)
		got = append(got, fmt.Sprint(g.wait(b, at), logged))
	}
	want := "0s true,0s false,0s false,0s false,1s true,2s false,4s false,8s false,16s false,32s false,1m0s false,1m0s false,1m0s false"
	if strings.Join(got, ",") != want {
		t.Errorf("%s, want %s", strings.Join(got, ","), want)
	}
	if g.wait(netip.MustParseAddr("2001:db8:0:2::1"), at) != 0 || g.wait(a, at.Add(time.Minute)) != 0 || g.wait(a,
		at.Add(59*time.Second)) != time.Second {
		t.Error("the wait holds for another network, or longer than a minute")
	}
	if g.wrong(a, at.Add(forgetGuesses)); g.byIP[network(a)].wrong != 14 {
		t.Error("guesses are forgotten too early")
	}
	if !g.wrong(a, at.Add(2*forgetGuesses+time.Nanosecond)) || g.byIP[network(a)].wrong != 1 {
		t.Error("guesses are not forgotten")
	}
	g.forget(b)
	if len(g.byIP) != 0 {
		t.Errorf("a valid token does not end it: %v", g.byIP)
	}
	four := netip.MustParseAddr("::ffff:192.0.2.1")
	if network(four) != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("%s", network(four))
	}
}

// TestGuessersAreLimitedInNumber fills the table of addresses.
func TestGuessersAreLimitedInNumber(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	fill := func(n int, last time.Time) *guesses {
		g := &guesses{byIP: map[netip.Addr]*guesser{}}
		for i := range n {
			g.byIP[netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})] = &guesser{wrong: 1, last: last}
		}
		return g
	}
	ip := netip.MustParseAddr("192.0.2.1")
	for name, c := range map[string]struct{ n, age, left int }{
		"few fresh ones": {maxGuessers / 2, 0, maxGuessers/2 + 1}, "nearly full": {maxGuessers - 1, 0, maxGuessers},
		"full": {maxGuessers, 0, maxGuessers}, "old ones": {maxGuessers - 1, 1, maxGuessers / 2},
	} {
		g := fill(c.n, at.Add(-forgetGuesses-time.Duration(c.age)))
		if g.wrong(ip, at); len(g.byIP) != c.left {
			t.Errorf("%s: %d are left, want %d", name, len(g.byIP), c.left)
		}
	}
}

// keyed returns sessions with a key that fails from the nth use on, 0 for never.
func keyed(n int) *sessions {
	used := 0
	return &sessions{ended: map[string]time.Time{}, key: func() ([]byte, error) {
		if used++; n > 0 && used >= n {
			return nil, errors.New("no key")
		}
		return []byte("key"), nil
	}}
}

// TestSessionEndsWithItsTimeTokenRoleAndKey checks each reason for which a cookie is not accepted.
func TestSessionEndsWithItsTimeTokenRoleAndKey(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	tokens := Tokens{Operate: "o", View: "v", Named: map[string]string{"ada": "a"}}
	for name, c := range map[string]struct {
		by     caller
		token  string
		tokens Tokens
		later  time.Duration
		want   bool
	}{
		"an operator": {caller{Role: Operate}, "o", tokens, 0, true}, "a viewer": {caller{Role: View}, "v", tokens, 0, true},
		"a person":                   {caller{Name: "ada", Role: Operate, proved: true}, "a", tokens, 0, true},
		"at the last second":         {caller{Role: Operate}, "o", tokens, sessionTime - time.Second, true},
		"at its end":                 {caller{Role: Operate}, "o", tokens, sessionTime, false},
		"another token":              {caller{Role: Operate}, "o", Tokens{Operate: "p"}, 0, false},
		"a token that is gone":       {caller{Role: Operate}, "", Tokens{View: "v"}, 0, false},
		"a view token that is gone":  {caller{Role: View}, "", Tokens{Operate: "o"}, 0, false},
		"the token of another role":  {caller{Role: View}, "o", tokens, 0, false},
		"a person who has none":      {caller{Name: "bob", Role: Operate, proved: true}, "", tokens, 0, false},
		"a person with another's":    {caller{Name: "ada", Role: Operate, proved: true}, "o", tokens, 0, false},
		"an unproved name of person": {caller{Name: "ada", Role: Operate}, "a", tokens, 0, false},
	} {
		s := keyed(0)
		value, err := s.begin(c.by, c.token, at)
		if err != nil {
			t.Fatal(err)
		}
		by, ok := s.get(value, c.tokens, at.Add(c.later))
		if ok != c.want || ok && (by.Name != c.by.Name || by.Role != c.by.Role || by.proved != c.by.proved || len(by.session) != 32 ||
			!by.until.Equal(at.Add(12*time.Hour))) {
			t.Errorf("%s: %t %+v", name, ok, by)
		}
	}
	value, err := keyed(0).begin(caller{Role: Operate}, "o", at)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]bool{1: false, 2: false, 3: true} {
		if _, ok := keyed(n).get(value, tokens, at); ok != want {
			t.Errorf("with a key that fails at use %d: %t", n, ok)
		}
	}
	for n := range 3 {
		if value, err := keyed(n).begin(caller{}, "o", at); (err != nil) != (n > 0) || (value == "") != (n > 0) {
			t.Errorf("a session with a key that fails at use %d: %q %v", n, value, err)
		}
	}
	if keyed(1).csrf(caller{}) != "" || len(keyed(0).csrf(caller{})) != 32 {
		t.Error("without a key there is a token for forms, or with one there is none")
	}
	signed := func(text string) string {
		s := keyed(0)
		mac, _ := s.mac("session", text)
		return text + "." + base64.RawURLEncoding.EncodeToString(mac)
	}
	for _, bad := range []string{"", ".", "x", value + "x", value + "=", signed("!"),
		signed(base64.RawURLEncoding.EncodeToString([]byte("{")))} {
		if _, ok := keyed(0).get(bad, tokens, at); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestEndedSessionsAreRememberedUntilTheirTime also checks the callers that have none.
func TestEndedSessionsAreRememberedUntilTheirTime(t *testing.T) {
	s, now := keyed(0), time.Now()
	s.ended["old"], s.ended["new"] = now.Add(-time.Second), now.Add(time.Hour)
	if err := s.end(t.Context(), caller{}); err != nil || len(s.ended) != 2 {
		t.Errorf("%v %v", s.ended, err)
	}
	if err := s.end(t.Context(), caller{session: "x",
		until: now.Add(time.Minute)}); err != nil || s.isEnded("old") || !s.isEnded("new") || !s.isEnded("x") {
		t.Errorf("%v %v", s.ended, err)
	}
	if err := s.refresh(t.Context(), now); err != nil {
		t.Error(err)
	}
	log := &sessionLog{err: errors.New("down")}
	if _, err := newSessions(Options{Sessions: log}); err == nil || !strings.Contains(err.Error(), "reading the ended sessions: down") {
		t.Error(err)
	}
	s.log, s.read = log, now
	for _, c := range []struct {
		after time.Duration
		fails bool
		reads int
	}{{readEvery - 1, false, 1}, {readEvery, true, 2}, {2*readEvery - 1, false, 2}, {2 * readEvery, true, 3}} {
		if err := s.refresh(t.Context(), now.Add(c.after)); (err != nil) != c.fails || log.reads != c.reads {
			t.Errorf("after %s: %v, %d reads", c.after, err, log.reads)
		}
	}
	if err := s.end(t.Context(), caller{session: "y", until: now}); err == nil || !s.isEnded("y") {
		t.Errorf("a session that was not stored as ended: %v", err)
	}
	log.err = nil
	if err := s.refresh(t.Context(), now.Add(time.Hour)); err != nil || !s.isEnded("elsewhere") {
		t.Errorf("%v %v", s.ended, err)
	}
}

// sessionLog is a log of ended sessions, which may fail.
type sessionLog struct {
	err   error
	reads int
}

func (l *sessionLog) EndSession(context.Context, string, time.Time) error { return l.err }

func (l *sessionLog) EndedSessions(context.Context) (map[string]time.Time, error) {
	l.reads++
	return map[string]time.Time{"elsewhere": time.Now().Add(time.Hour)}, l.err
}

// TestCountsOfAPageAreFreshForFiveSeconds checks when a count is made again, and how many are kept.
func TestCountsOfAPageAreFreshForFiveSeconds(t *testing.T) {
	var k ttlCache[int, int]
	n, fail := 0, error(nil)
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	ask := func(key int, after time.Duration) string {
		v, err := k.get(key, at.Add(after), func() (int, error) { n++; return n, fail })
		return fmt.Sprint(v, err)
	}
	for i, c := range []struct {
		key   int
		after time.Duration
		want  string
	}{{1, 0, "1 <nil>"}, {1, ttlCacheFor - 1, "1 <nil>"}, {1, ttlCacheFor, "2 <nil>"}, {1, 2*ttlCacheFor - 1, "2 <nil>"}, {2,
		ttlCacheFor, "3 <nil>"}} {
		if got := ask(c.key, c.after); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
	fail = errors.New("down")
	if got := ask(3, 0); got != "4 down" {
		t.Error(got)
	}
	fail = nil
	if got := ask(3, 0); got != "5 <nil>" {
		t.Errorf("a failure is kept: %s", got)
	}
	for key := 4; key <= 9; key++ {
		ask(key, 0)
	}
	if len(k.by) != 9 {
		t.Errorf("%d are kept", len(k.by))
	}
	if ask(10, 0); len(k.by) != 1 {
		t.Errorf("%d are kept", len(k.by))
	}
}

// TestFormsAreRememberedUpToALimit checks that a form acts once, that one without a token acts each time, and that the oldest
// results make room.
func TestFormsAreRememberedUpToALimit(t *testing.T) {
	var f forms
	n := 0
	do := func() (string, error) { n++; return fmt.Sprint("made", n), nil }
	for i, want := range []string{"made1", "made1"} {
		if made, err := f.once("form", do); made != want || err != nil {
			t.Errorf("%d: %s %v", i, made, err)
		}
	}
	for i, want := range []string{"made2", "made3"} {
		if made, _ := f.once("", do); made != want {
			t.Errorf("without a token, %d: %s", i, made)
		}
	}
	if _, err := f.once("fails", func() (string, error) { return "x", errors.New("no") }); err == nil {
		t.Error("a failure is not reported")
	}
	if made, _ := f.once("fails", do); made != "made4" {
		t.Errorf("a failure is kept: %s", made)
	}
	key, err := f.put("page", map[string]any{"a": 1})
	if p, ok := f.get(key); err != nil || !ok || p.name != "page" || string(p.data) != `{"a":1}` {
		t.Errorf("%v %t %+v", err, ok, p)
	}
	if _, err := f.put("page", map[string]any{"a": func() {}}); err == nil {
		t.Error("data that cannot be encoded is kept")
	}
	for i := range maxForms - 3 {
		_, _ = f.once(fmt.Sprint("more", i), do)
	}
	if _, known := f.made["form"]; !known || len(f.order) != maxForms {
		t.Errorf("the first is gone with %d", len(f.order))
	}
	_, _ = f.once("one more", do)
	if _, known := f.made["form"]; known || len(f.order) != maxForms {
		t.Errorf("the first is kept with %d", len(f.order))
	}
	_, _ = f.once("and one", do)
	if _, ok := f.get(key); !ok {
		t.Error("a page is gone before its time")
	}
	_, _ = f.once("and two", do)
	if _, ok := f.get(key); ok {
		t.Error("a page is kept too long")
	}
}

// TestPartsOfRequestsAreChecked checks the small rules about paths, hosts, headers and audit details.
func TestPartsOfRequestsAreChecked(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "localhost:8081": true, "127.0.0.1:1": true, "[::1]:9": true,
		"::1": true, "[::1]": true,
		"localhost.evil.example": false, "192.0.2.1:80": false, "": false} {
		if got := loopbackHost(host); got != want {
			t.Errorf("loopback %s: %t", host, got)
		}
	}
	for path, want := range map[string]string{"/runs?a=b": "/runs?a=b", "": "/", "runs": "/", "//x": "/", "http://x/": "/",
		"/a\\b": "/", "/a\nb": "/", "/%zz": "/",
		"mailto:a": "/"} {
		if got := backTo(path); got != want {
			t.Errorf("back to %q: %s", path, got)
		}
	}
	if got := auditDetail("a", "1", "b", "", "c", "x y", "d", `"`, "e", "=", "f", "\n", "g"); got != `a=1 c="x y" d="\"" e="=" f="\n"` {
		t.Error(got)
	}
	for id, want := range map[string]bool{"ref_1": true, "ref_0": false, "ref_": false, "1": false, "ref_-1": false, "ref_x": false} {
		if _, err := refusalID(id); (err == nil) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	if secured(r) {
		t.Error("http is secured")
	}
	if r.Header.Set("X-Forwarded-Proto", "HTTPS"); !secured(r) {
		t.Error("https of a proxy is not")
	}
	for _, x := range []struct {
		by   caller
		want string
	}{{caller{session: "x", byHeader: true}, "session"}, {caller{byHeader: true}, "token"}, {caller{}, "none"}} {
		if x.by.proof() != x.want {
			t.Errorf("%+v: %s", x.by, x.by.proof())
		}
	}
	aimed := &auditTarget{target: "t", by: caller{Name: "n"}}
	in := r.WithContext(context.WithValue(r.Context(), aimKey{}, aimed))
	setTarget(in, "", "")
	if setTarget(r, "x", "y"); aimed.target != "t" || aimed.by.Name != "n" {
		t.Errorf("%+v", aimed)
	}
	if setTarget(in, "x", "y"); aimed.target != "x" || aimed.by.Name != "y" {
		t.Errorf("%+v", aimed)
	}
	aimed.by.session = "s"
	if setTarget(in, "", "z"); aimed.by.Name != "y" {
		t.Errorf("a session has another name: %+v", aimed)
	}
	note(r, "a", "b")
	note(in, "a", "b")
	note(in, "c", strings.Repeat("d", 3000))
	if !strings.HasPrefix(aimed.detail, "a=b c=ddd") || len([]rune(aimed.detail)) != 2000 {
		t.Errorf("%d letters: %.20s", len([]rune(aimed.detail)), aimed.detail)
	}
}

// TestReadinessIsAnswered checks the responses of both paths in each state.
func TestReadinessIsAnswered(t *testing.T) {
	for _, c := range []struct {
		path   string
		ready  Readiness
		status int
		want   string
	}{
		{"/healthz", Readiness{Err: errors.New("x"), Draining: true, Warnings: []string{"w"}}, 200, `{"status":"ok"}`},
		{"/readyz", Readiness{}, 200, `{"status":"ok"}`},
		{"/readyz", Readiness{Warnings: []string{"w"}}, 200, `{"status":"ok","warnings":["w"]}`},
		{"/readyz", Readiness{Draining: true}, 503, `{"status":"draining","reason":"this node stops soon"}`},
		{"/readyz", Readiness{Draining: true, Err: fmt.Errorf("x: %w", engine.ErrFull)}, 503,
			`{"status":"not ready","reason":"the disk is full: deliveries are answered 503 until there is space"}`},
	} {
		w := httptest.NewRecorder()
		Health(w, httptest.NewRequest("GET", c.path, nil), func() Readiness { return c.ready })
		if w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.want || w.Header().Get("Content-Type") != "application/json" ||
			w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %+v: %d %s", c.path, c.ready, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	reply(w, http.StatusOK, func() {})
	if w.Code != 500 || !strings.Contains(w.Body.String(), "cannot be encoded") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestLongValuesAreCutAtTheirLimits checks the boundaries of one value, and of all of a page.
func TestLongValuesAreCutAtTheirLimits(t *testing.T) {
	of := func(query string) *cutter { return cutterOf(httptest.NewRequest("GET", "/runs/x?"+query, nil)) }
	text := func(n int) string { return strings.Repeat("x", n) }
	c := of("all=1&with=run_1&other=2")
	if x := c.Text("in1", text(maxShown)); x.Whole != "" || x.Shown != 0 || len(x.Text) != maxShown || x.Size != maxShown {
		t.Errorf("%d of %d %s", len(x.Text), x.Size, x.Whole)
	}
	x := c.Text("a b", text(maxShown+1))
	if len(x.Text) != maxShown || x.Shown != maxShown || x.Size != maxShown+1 || x.Whole != "?all=1&whole=a+b&with=run_1#a%20b" {
		t.Errorf("%d of %d %s", len(x.Text), x.Size, x.Whole)
	}
	if c.left != maxShownPage-2*maxShown {
		t.Errorf("%d left", c.left)
	}
	c.left = 1
	if x := c.Text("in2", text(maxShown)); x.Whole != "" {
		t.Error("the last value of a page is cut")
	}
	if x := c.Text("in3", text(minShown+1)); len(x.Text) != minShown || c.left != 1-maxShown-minShown {
		t.Errorf("%d shown, %d left", len(x.Text), c.left)
	}
	if x := c.Text("in3", text(minShown)); x.Whole != "" {
		t.Error("a short value is cut")
	}
	c = of("whole=in12")
	if x := c.Text("in12", text(3*maxShown)); len(x.Text) != 3*maxShown || c.left != maxShownPage {
		t.Errorf("the value that is asked for: %d shown, %d left", len(x.Text), c.left)
	}
	if !c.inAttempt(12) || c.inAttempt(1) || of("whole=12").inAttempt(12) || of("").inAttempt(0) {
		t.Error("the attempt of a value is wrong")
	}
	if part("in", 7) != "in7" {
		t.Error(part("in", 7))
	}
}

// TestTimesAndNumbersAreShort checks the boundaries of the formats that pages use.
func TestTimesAndNumbersAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{-1: "0 ms", time.Millisecond - 1: "0 ms", time.Millisecond: "1 ms",
		time.Second - 1: "999 ms",
		time.Second:     "1.0 s", 2*time.Minute - time.Second: "119.0 s", 2 * time.Minute: "2 min", 2*time.Hour - 1: "119 min",
		2 * time.Hour:    "2 h",
		48*time.Hour - 1: "47 h", 48 * time.Hour: "2 d", 72 * time.Hour: "3 d"} {
		if got := shortTime(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 9999: "9999", 10_000: "10k", 9_999_999: "9999k", 10_000_000: "10M", 25_600_000: "25M"} {
		if got := count(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 1<<20 - 1: "1024.0 KiB",
		1 << 20: "1.0 MiB", 3 << 29: "1.5 GiB",
		1 << 30: "1.0 GiB", 5 << 19: "2.5 MiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	at := time.Date(2026, 5, 1, 10, 0, 0, 5000, time.FixedZone("x", 3600))
	end := at.Add(3 * time.Second)
	if took(nil, &end) != "" || took(&at, nil) != "" || took(&at, &end) != "3.0 s" || took1(at, &end) != "3.0 s" || iso(nil) != "" ||
		iso(&at) != "2026-05-01T09:00:00.000005Z" {
		t.Error(took(&at, &end), iso(&at))
	}
	if clip("äöü", 3) != "äöü" || clip("äöüß", 3) != "äö…" {
		t.Error(clip("äöüß", 3))
	}
	if success(engine.WorkflowStats{}) != "–" || success(engine.WorkflowStats{Runs: 4, Failed: 1}) != "75.0 %" {
		t.Error(success(engine.WorkflowStats{Runs: 4, Failed: 1}))
	}
	if timeFormat(nil) != "15:04" || timeFormat([]engine.Bucket{{At: at}, {At: at.Add(48 * time.Hour)}}) != "15:04" ||
		timeFormat([]engine.Bucket{{At: at}, {At: at.Add(48*time.Hour + 1)}}) != "Jan 2" {
		t.Error("the labels of a long chart")
	}
	if lineOf(nil) != "-" || lineOf("a<b") != `"a<b"` || lineOf(func() {}) != "?" || jsonText(func() {}) != "?" || jsonText(1) != "1" {
		t.Error("values on one line")
	}
	if some(nil) != "none" || some(strings.Split(strings.Repeat("a,", 29)+"a", ",")) != strings.Repeat("a, ", 29)+"a" ||
		some(strings.Split(strings.Repeat("a,", 31)+"a", ",")) != strings.Repeat("a, ", 29)+"a and 2 more" {
		t.Error(some(strings.Split(strings.Repeat("a,", 31)+"a", ",")))
	}
}

// TestFiltersHaveBoundaries checks the parameters of lists.
func TestFiltersHaveBoundaries(t *testing.T) {
	for text, want := range map[string]string{"limit=1": "1", "limit=1000": "1000", "limit=0": "limit must be",
		"limit=1001": "limit must be", "limit=x": "limit must be",
		"since=1h&until=1h": "is not after", "since=2h&until=1h": "0", "until=x": "until \"x\"", "since=x": "since \"x\"",
		"status=a&status=&status=b": "0"} {
		v, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		q, err := query(v, time.UTC)
		got := fmt.Sprint(q.Limit)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) && !strings.Contains(got, want) || text == "status=a&status=&status=b" && q.Status != "a,b" {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	zone := time.FixedZone("x", 7200)
	if m, err := Moment("since", "2026-01-31 10:00", time.Now(), zone); err != nil || m.UTC().Hour() != 8 {
		t.Errorf("%s %v", m, err)
	}
	for _, path := range []string{"api/v1/runs", "api/v1/workflows/{id...}", "api/v1/workflows/{id...}/fire", "api/v1/runs/{id}"} {
		head, name, end, open := openEnded(path)
		if got := fmt.Sprint(head, name, end, open); open != strings.Contains(path,
			"...") || open && got != fmt.Sprint("api/v1/workflows/", "id", end, true) {
			t.Errorf("%s: %s", path, got)
		}
	}
	if bareHost(" HTTPS://A.example:8/x/y ") != "a.example:8" || bareHost("a/b") != "a" {
		t.Error(bareHost(" HTTPS://A.example:8/x/y "))
	}
}
