package triggers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestSmallFormsAreExact: what is read at a path, how a sender's JSON is rewritten, which URLs are tried, what is masked.
func TestSmallFormsAreExact(t *testing.T) {
	t.Parallel()
	tree := map[string]any{"a": []any{"x", map[string]any{"b": 1}}, "n": nil}
	for _, c := range [][2]string{
		{show(at(tree, "a.0")), "x true"}, {show(at(tree, "a.1.b")), "1 true"}, {show(at(tree, "a.2")), "<nil> false"},
		{show(at(tree, "a.-1")), "<nil> false"}, {show(at(tree, "a.x")), "<nil> false"}, {show(at(tree, "a.0.y")), "<nil> false"},
		{show(at(tree, "n")), "<nil> false"}, {show(at(7, "")), "7 true"},
		{string(spaced([]byte(`"a,b:c"`))), `"a,b:c"`},
		{string(spaced([]byte(`{"a":[1,"x\",\\"],"b":{}}`))), `{"a": [1, "x\",\\"], "b": {}}`}, {string(spaced([]byte("{"))), ""},
		{string(compact([]byte(`{"b": "<", "a": 1.50}`), true, false)), `{"b":"\u003c","a":1.50}`},
		{string(compact([]byte(`{"b": "<", "a": 1.50}`), false, true)), `{"a":1.50,"b":"<"}`}, {string(compact([]byte("{"), false, true)), ""},
		{string(compact([]byte("{"), true, false)), ""}, {string(indent([]byte(`{"a":1}`), "  ")), "{\n  \"a\": 1\n}"},
		{string(unescaped([]byte(`"\u00e9\u0041\ud83d\ude00\ud83d"`))), `"é\u0041😀�"`},
		{string(masked([]byte(`"a\"b" a"b a%22b`), `a"b`)), `"***" *** ***`}, {string(masked([]byte("ab"), "")), "ab"},
		{clip("aé", 2), "a"}, {clip("aé", 3), "aé"}, {clip("", 0), ""},
		{strings.Join(namesIn("{header:a|b}{header:c}{header:", "{header:"), " "), "a c"}, {fmt.Sprint(replaced(7, []string{"a"}, 1)), "7"},
		{fmt.Sprint(replaced(map[string]any{"a": map[string]any{"b": 1, "c": 2}}, []string{"a", "b"}, 9)), "map[a:map[b:9 c:2]]"},
		{strings.Join(otherURLs("http://a/x?u=http://b", http.Header{}), " "), "https://a/x?u=http://b http://a/x http://a/x http://a/x/"},
		{strings.Join(otherURLs("https://a/", http.Header{"Host": {"h"}}), " "), "http://a/ https://a https://a// https://h/ http://h/"},
		{chooseType([]string{"application/json"}, "text/plain", nil), "application/json"},
		{chooseType([]string{"text/xml", "application/json"}, "text/plain", of(`{}`)), "application/json"},
		{chooseType([]string{"application/json", "text/xml"}, "text/xml; charset=x", of(` {}`)), "application/json"},
		{chooseType([]string{"application/json", "text/xml"}, "text/xml; charset=x", of("\xef\xbb\xbf<a>")), "text/xml; charset=x"},
		{chooseType([]string{"application/json", "multipart/mixed"}, "", of("--x")), "multipart/mixed"},
		{chooseType([]string{"application/json", "application/x-www-form-urlencoded"}, "", of("a=1")), "application/x-www-form-urlencoded"},
		{chooseType([]string{"application/json", "text/xml"}, "", of("a=1")), "application/json"},
		{chooseType([]string{"application/json", "text/xml"}, "", of("  ")), "application/json"},
		{chooseType([]string{"text/plain", "text/xml"}, "", of("<a>")), "text/plain"},
		{familyOfType("application/soap+xml") + familyOfType("a+json") + familyOfType("application/xml") + familyOfType("text/x"),
			"xmljsonxml"},
		{fmt.Sprint(knownCoding("X-Gzip"), knownCoding("Identity"), knownCoding("br"), knownCoding("")), "true true false false"},
		{secretForms[3].of("abcdefghijk_x") + secretForms[3].of("abcdefghijkl_y") + secretForms[3].of("_z"), "xabcdefghijkl_y_z"},
		{show(string(asciiOnly([]byte("é"))), asciiOnly(nil) == nil), `\u00e9 true`},
	} {
		if c[0] != c[1] {
			t.Errorf("%q, want %q", c[0], c[1])
		}
	}
}

func show(v any, ok bool) string { return fmt.Sprint(v, " ", ok) }

func of(text string) func() []byte { return func() []byte { return []byte(text) } }

func TestEmptyReplyIsAnObject(t *testing.T) {
	w := httptest.NewRecorder()
	answer(w, http.StatusOK, reply{})
	if w.Body.String() != "{}\n" || w.Header().Get("Content-Length") != "3" {
		t.Errorf("%q %v", w.Body, w.Header())
	}
}

// TestChallengeIsAnsweredWithEachAlgorithm, and none with an empty key or of another form.
func TestChallengeIsAnsweredWithEachAlgorithm(t *testing.T) {
	for name, c := range map[string]struct {
		compute workflows.Compute
		secret  string
		query   string
		want    string
	}{
		"sha1": {workflows.Compute{Algorithm: "hmac-sha1", Encoding: "hex"}, "key", "abcdefgh",
			"f81f3d4462634a55c0328be9c34c1d84a214c5b1"},
		"sha256": {workflows.Compute{Algorithm: "hmac-sha256"}, "key", "abcdefgh", "/aicTeT6DEtExrkK6kNCrfXyQQfiykHGKH5o7QkFDoQ="},
		"sha512": {workflows.Compute{Algorithm: "hmac-sha512"}, "key", "abcdefgh",
			"LniRo58Irz2hujfl5TpRppajLM/1G7zcRflFN4+77lVA3e8BRBAdRecurGx5/0EmJpePZGWm7R83R86dhIs2Bw=="},
		"a hash": {workflows.Compute{Algorithm: "sha256", Encoding: "hex"}, "", "abc",
			"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		"no secret": {workflows.Compute{Algorithm: "hmac-sha256"}, "", "abcdefgh", "the secret is empty"},
		"too short": {workflows.Compute{Algorithm: "hmac-sha256"}, "key", "abc", "the challenge does not have the expected form"},
		"a pattern": {workflows.Compute{Algorithm: "hmac-sha256", Matches: "[a-c]+", Encoding: "hex"}, "key", "abcd",
			"the challenge does not have the expected form"},
		"too long": {workflows.Compute{Algorithm: "sha256"}, "", strings.Repeat("a", longestChallenge+1),
			"the challenge does not have the expected form"},
	} {
		c.compute.Message = "{query:c}"
		r := &route{secrets: []*secretUse{{text: c.secret}}}
		h := &handshake{Handshake: &workflows.Handshake{Compute: &c.compute}}
		if err := r.prepareCompute(h); err != nil && c.secret != "" {
			t.Fatal(name, err)
		}
		in := &inbound{query: map[string][]string{"c": {c.query}}}
		in.prepare(&route{webhook: &workflows.Webhook{}})
		got, err := h.compute(in)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestSharedRateAsksOnceForThoseThatWait: deliveries that come while the database is asked are asked for together. One that is not
// permitted closes the rate until the next is.
func TestSharedRateAsksOnceForThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		var fails error
		grants := 3
		l := newLimiter("t", 3, time.Minute, func(ctx context.Context, asks []permit.Ask) ([]permit.Grant, error) {
			time.Sleep(time.Second)
			asked = append(asked, fmt.Sprintf("%s %d", asks[0].Name, asks[0].Starts))
			if until, _ := ctx.Deadline(); time.Until(until) != askTime-time.Second || ctx.Err() != nil {
				t.Errorf("the answer is awaited for %s, %v", time.Until(until), ctx.Err())
			}
			if fails != nil {
				return nil, fails
			}
			n := min(grants, asks[0].Starts)
			grants -= n
			return []permit.Grant{{Starts: n, Next: 20 * time.Second}}, nil
		})
		try := func(n int) string {
			var mu sync.Mutex
			var all sync.WaitGroup
			got := map[string]int{}
			for range n {
				all.Go(func() {
					wait, err := l.allow(t.Context())
					mu.Lock()
					got[fmt.Sprint(wait, err)]++
					mu.Unlock()
				})
			}
			all.Wait()
			return fmt.Sprint(got)
		}
		for _, c := range []struct {
			n     int
			sleep time.Duration
			want  string
			fails error
		}{
			{1, 0, "map[0s<nil>:1]", nil}, {3, 0, "map[0s<nil>:2 20s<nil>:1]", nil}, {1, 5 * time.Second, "map[15s<nil>:1]", nil},
			{1, 15 * time.Second, "map[20s<nil>:1]", nil}, {2, 20 * time.Second, "map[0sno database:2]", errors.New("no database")},
		} {
			time.Sleep(c.sleep)
			fails = c.fails
			if got := try(c.n); strings.ReplaceAll(got, " <nil>", "<nil>") != c.want && strings.ReplaceAll(got, "s ", "s") != c.want {
				t.Errorf("%d at once: %s, want %s", c.n, got, c.want)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		l.(*sharedRate).turn <- struct{}{}
		if _, err := l.allow(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("a sender that has gone: %v", err)
		}
		for _, x := range asked {
			if !strings.HasPrefix(x, "trigger t ") {
				t.Error(x)
			}
		}
	})
}

// TestLostRefusalsAreCounted: how many were not kept is logged once they can be again, and not again within a second.
func TestLostRefusalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		sink := &slowSink{kept: make(chan string, 1000)}
		r := newRefusals(&Hooks{sink: sink, log: slog.New(slog.NewTextHandler(&log, nil))})
		for i, want := range []string{"", "count=1", "count=1", "count=1 count=2"} {
			r.mu.Lock()
			r.lost += []int{0, 1, 2, 0}[i]
			r.mu.Unlock()
			if i == 3 {
				time.Sleep(time.Hour)
			}
			r.add(refusal{table: &table{}, in: &inbound{path: "/a"}})
			r.flush()
			synctest.Wait()
			var got []string
			for line := range strings.Lines(log.String()) {
				got = append(got, line[strings.Index(line, "count="):len(line)-1])
			}
			if strings.Join(got, " ") != want {
				t.Errorf("after %d: %s, want %s", i, got, want)
			}
		}
		r.close()
	})
}

// TestTimingsListTheNextTimes of each schedule and poll, in its time zone.
func TestTimingsListTheNextTimes(t *testing.T) {
	p := projectOf(t, `timezone: Europe/Berlin
triggers:
  t:
    schedule: [{id: a, cron: "30 2 * * *"}, {id: b, every: 90m, timezone: UTC}]
    poll: {every: 1h, request: {url: "https://x.example"}, key: item.id}
    webhook: {auth: none, key: body.id, reconcile: {every: 2h, request: {url: "https://x.example"}, key: item.id}}
  plain: {schedule: {cron: "*/45 * * * *", timezone: Asia/Tokyo}}
`)
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	var got []string
	for _, name := range []string{"t", "plain"} {
		for _, x := range Timings(p, p.Triggers[name], now, 2) {
			got = append(got, fmt.Sprintf("%s %s %s %s %s %d", x.Inlet, x.When, x.Timezone, x.Next[0].Format("02T15:04Z07"),
				x.Next[1].Format("02T15:04Z07"), len(x.Notes)))
		}
	}
	want := `schedule a 30 2 * * * Europe/Berlin 02T02:30+02 03T02:30+02 0
schedule b every 1h30m0s UTC 01T10:30Z 01T12:00Z 0
poll every 1h0m0s Europe/Berlin 01T13:00+02 01T14:00+02 0
reconcile every 2h0m0s Europe/Berlin 01T14:00+02 01T16:00+02 0
schedule */45 * * * * Asia/Tokyo 01T19:45+09 01T20:00+09 1`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	broken := &workflows.Trigger{Schedules: []*workflows.Schedule{{Cron: "x"}, {}}}
	if list := Timings(p, broken, now, 1); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestEmptySecretsVerifyNothing: a scheme without a key is not used, and the error of the file says why.
func TestEmptySecretsVerifyNothing(t *testing.T) {
	r := &route{webhook: &workflows.Webhook{}}
	v := &workflows.Verify{Scheme: signature.Scheme{Algorithm: "hmac-sha256", From: signature.Place{Header: "X-S"},
		Encodings:     []string{"hex"},
		SignedContent: []string{"{body}"}}}
	if p, err := r.newProof(v, false); p != nil || !errors.Is(err, signature.ErrEmptyKey) {
		t.Errorf("%v %v", p, err)
	}
	if p, err := r.newProof(v, true); p != nil || err != nil {
		t.Errorf("one of several: %v %v", p, err)
	}
	if err := r.whyNone([]*workflows.Verify{v}); !errors.Is(err, signature.ErrEmptyKey) {
		t.Error(err)
	}
	r.secrets = []*secretUse{{text: "a-secret"}}
	if err := r.whyNone([]*workflows.Verify{v}); err == nil || err.Error() != "its form is not valid" {
		t.Error(err)
	}
}

// TestPollElsewhereNamesItsNode, and is a reason to try again.
func TestPollElsewhereNamesItsNode(t *testing.T) {
	for node, want := range map[string]string{"": "another node is polling", "b": "node b is polling"} {
		if err := error(&ElsewhereError{Work: "poll t", Node: node}); !strings.HasPrefix(err.Error(), want) || !errors.Is(err,
			engine.ErrBusy) ||
			errors.Is(err, engine.ErrFull) {
			t.Error(err)
		}
	}
	d := &diary{}
	d.follows.Store(true)
	p := &poller{trigger: &workflows.Trigger{Name: "t"}, inlet: "poll", in: d, env: &expr.Env{}}
	var elsewhere *ElsewhereError
	if _, err := p.onceHere(t.Context()); !errors.As(err, &elsewhere) || elsewhere.Work != "poll t" {
		t.Error(err)
	}
}

// TestHandshakeIsConfirmedOnce: its secret is saved if one is awaited, and its URL is requested; what fails is said.
func TestHandshakeIsConfirmedOnce(t *testing.T) {
	visit := &url.URL{Scheme: "https", Host: "sns.example", Path: "/confirm"}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		a       Answer
		pending string
		opened  time.Duration
		none    bool
		err     error
		calls   string
		want    string
	}{
		"a secret":                {Answer{capture: "s"}, "S", time.Minute, false, nil, "t S s", ""},
		"a secret that is set":    {Answer{capture: "s"}, "", time.Minute, false, nil, "", ""},
		"no secret":               {Answer{}, "S", -time.Minute, false, nil, "", ""},
		"a window that is closed": {Answer{capture: "s"}, "S", -time.Minute, false, nil, "", "the secret of trigger t was set a moment ago"},
		"a secret without a file": {Answer{capture: "s"}, "S", time.Minute, true, nil, "",
			"the secret that trigger t received cannot be saved here"},
		"a broken file": {Answer{capture: "s"}, "S", time.Minute, false, broken, "t S s",
			"saving the secret that trigger t received: broken"},
		"a URL":                   {Answer{visit: visit}, "", 0, false, nil, "GET https://sns.example/confirm", ""},
		"a URL without a network": {Answer{visit: visit}, "", 0, true, nil, "", "sns.example cannot be called: no network is available"},
		"a broken URL": {Answer{visit: visit}, "", 0, false, broken, "GET https://sns.example/confirm",
			"confirming at sns.example: broken"},
		"both": {Answer{capture: "s", visit: visit}, "S", time.Minute, false, nil, "t S s GET https://sns.example/confirm",
			""},
	} {
		var calls []string
		w := newWindows()
		if err := w.Open("t", time.Now().Add(c.opened)); err != nil {
			t.Fatal(err)
		}
		r := &route{trigger: &workflows.Trigger{Name: "t"}, pending: c.pending, deps: &Deps{Windows: w}}
		if !c.none {
			r.deps.Capture = func(trigger, secret, value string) error {
				calls = append(calls, trigger, secret, value)
				return c.err
			}
			r.deps.Fetch = func(ctx context.Context, req *http.Request) ([]byte, error) {
				if until, ok := ctx.Deadline(); !ok || time.Until(until) > 10*time.Second || time.Until(until) < 8*time.Second {
					t.Errorf("%s: until %s", name, until)
				}
				calls = append(calls, req.Method, req.URL.String())
				return nil, c.err
			}
		}
		got := ""
		if err := r.confirm(t.Context(), &c.a); err != nil {
			got = err.Error()
		}
		if got != c.want || strings.Join(calls, " ") != c.calls || w.Awaited("t", time.Now()) && c.a.capture != "" && c.pending != "" {
			t.Errorf("%s: %q after %v, want %q", name, got, calls, c.want)
		}
	}
}

// TestAFileThatCannotBeUsedIsAnError, of a poll, of a reconciling one and of a schedule; what ran before goes on.
func TestAFileThatCannotBeUsedIsAnError(t *testing.T) {
	in := NewInlets(&diary{}, slog.New(slog.DiscardHandler))
	for name, trigger := range map[string]*workflows.Trigger{
		"a poll":     {Name: "a", Poll: &workflows.Poll{Cron: "x"}},
		"reconcile":  {Name: "a", Webhook: &workflows.Webhook{Reconcile: &workflows.Poll{Cron: "x"}}},
		"a schedule": {Name: "a", Schedules: []*workflows.Schedule{{Cron: "x"}}},
	} {
		p := &workflows.Project{Timezone: time.UTC, Triggers: map[string]*workflows.Trigger{"a": trigger}}
		if err := in.Use(p, nil, nil); err == nil || err.Error() != "trigger a: expected exactly 5 fields, found 1: [x]" ||
			in.set.pollers != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestChallengesHaveAForm where an answer could pass for the signature of a delivery.
func TestChallengesHaveAForm(t *testing.T) {
	for want, c := range map[string]workflows.Compute{defaultChallenge: {Algorithm: "hmac-sha1"}, "": {Algorithm: "sha256"},
		"a+": {Algorithm: "hmac-sha1", Matches: "a+"}, "b+": {Algorithm: "sha256", Matches: "b+"}} {
		if got := challengeForm(&c); got != want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestTriggerHasASubscriber if a workflow that is switched on starts by it.
func TestTriggerHasASubscriber(t *testing.T) {
	for _, c := range []struct {
		w    workflows.Workflow
		want bool
	}{
		{workflows.Workflow{Enabled: true, Starts: []workflows.Start{{Kind: "manual"}, {Kind: "trigger", Trigger: "t"}}}, true},
		{workflows.Workflow{Starts: []workflows.Start{{Kind: "trigger", Trigger: "t"}}}, false},
		{workflows.Workflow{Enabled: true, Starts: []workflows.Start{{Kind: "trigger", Trigger: "u"}, {Kind: "alert", Trigger: "t"}}}, false},
	} {
		if got := listens(&workflows.Project{Workflows: map[string]*workflows.Workflow{"w": &c.w}}, "t"); got != c.want {
			t.Errorf("%+v: %t", c.w.Starts, got)
		}
	}
}
