package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// orderLog is an operator that keeps orders, and nothing else.
type orderLog struct {
	Operator
	begun  engine.Order
	err    error
	digest []byte
	ended  []engine.Order
	endErr error
}

func (o *orderLog) BeginOrder(_ context.Context, _ string, digest []byte) (engine.Order, error) {
	o.digest = digest
	return o.begun, o.err
}

func (o *orderLog) EndOrder(ctx context.Context, _ string, x engine.Order) error {
	o.ended = append(o.ended, x)
	return errors.Join(o.endErr, ctx.Err())
}

// TestResponseOfANamedRequestIsKept checks which responses are stored for an Idempotency-Key, and what a repeated request gets.
func TestResponseOfANamedRequestIsKept(t *testing.T) {
	var log bytes.Buffer
	op := &orderLog{}
	c := &Console{o: Options{Operator: op, Logger: slog.New(slog.NewTextHandler(&log, nil))}}
	ask := func(key, body string, do http.HandlerFunc) *httptest.ResponseRecorder {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a client that has disconnected changes nothing
		r := httptest.NewRequestWithContext(ctx, "POST", "/api/v1/x?y=1", strings.NewReader(body))
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		c.onceOnly(do)(w, r)
		return w
	}
	says := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil || string(b) != "body" {
				t.Errorf("the handler reads %q %v", b, err)
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}
	}
	for name, x := range map[string]struct {
		do    http.HandlerFunc
		kept  int
		bytes int
	}{
		"a success": {says(202, "done"), 202, 4}, "the largest": {says(200, strings.Repeat("x", maxAnswer)), 200, maxAnswer},
		"a larger one": {says(200, strings.Repeat("x", maxAnswer+1)), 0, 0}, "a failure": {says(400, "no"), 0, 0},
		"nothing":          {says(204, ""), 0, 0},
		"a secret":         {func(w http.ResponseWriter, _ *http.Request) { notKept(w); _, _ = w.Write([]byte("link")) }, 0, 0},
		"without a status": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("done")) }, 200, 4},
	} {
		op.ended = nil
		ask(strings.Repeat("k", maxKey), "body", x.do)
		if len(op.ended) != 1 || op.ended[0].Status != x.kept || len(op.ended[0].Answer) != x.bytes {
			t.Errorf("%s: %d orders ended, %d with %d bytes", name, len(op.ended), op.ended[0].Status, len(op.ended[0].Answer))
		}
	}
	none := func(http.ResponseWriter, *http.Request) { t.Error("it is executed") }
	if w := ask(strings.Repeat("k", maxKey+1), "", none); w.Code != 400 || !strings.Contains(w.Body.String(), "has 256 bytes; at most 255") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask("k", strings.Repeat("x", 4<<20+1), none); w.Code != 413 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	first := op.digest
	ask("k", strings.Repeat("x", 4<<20), func(http.ResponseWriter, *http.Request) {})
	if bytes.Equal(first, op.digest) || len(op.digest) != 32 {
		t.Error("another body has the same digest")
	}
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for want, x := range map[int]orderLog{500: {err: errors.New("down")}, 503: {err: engine.ErrFull},
		422: {begun: engine.Order{Known: true, Status: 200}},
		409: {begun: engine.Order{Known: true, Same: true, At: at}}, 202: {begun: engine.Order{Known: true, Same: true,
			Status: 202, Answer: []byte("again")}}} {
		*op = x
		w := ask("k", "body", none)
		if w.Code != want || (want == 202) != (w.Body.String() == "again" && w.Header().Get("Idempotent-Replayed") == "true") ||
			(want == 409) != strings.Contains(w.Body.String(), "of 2026-05-01T10:00:00Z, is still running") ||
			w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("want %d: %d %s %v", want, w.Code, w.Body, w.Header())
		}
	}
	*op = orderLog{endErr: errors.New("down")}
	if w := ask("k", "body", says(202, "done")); w.Code != 202 || !strings.Contains(log.String(), "was not stored") {
		t.Errorf("%d, log %s", w.Code, &log)
	}
	notKept(httptest.NewRecorder())
}

// linkApprover answers questions by link, slowly in the audit log.
type linkApprover struct {
	err, answerErr error
	audit          func(context.Context) error
	comment        int
}

func (l *linkApprover) LinkQuestion(context.Context, string) (plan.Question, error) {
	return plan.Question{Text: "Ship it?", Kind: "review"}, l.err
}

func (l *linkApprover) AnswerLink(_ context.Context, _, _, comment string) (engine.Answer, error) {
	l.comment = len(comment)
	return engine.Answer{Run: 7, Path: "ask"}, l.answerErr
}

func (l *linkApprover) Audit(ctx context.Context, a engine.AuditEntry) error {
	if a.Remote != "192.0.2.1" && a.Remote != "nowhere" {
		return fmt.Errorf("from %s", a.Remote)
	}
	return l.audit(ctx)
}

// TestLinkThatCannotBeAnsweredSaysWhy checks the responses to each failure, and which are logged.
func TestLinkThatCannotBeAnsweredSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		slow := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		const head = len("verdict=approve&comment=")
		for i, x := range []struct {
			approver linkApprover
			method   string
			size     int
			status   int
			logged   string
		}{
			{linkApprover{}, "GET", 0, 200, ""}, {linkApprover{}, "HEAD", 0, 200, ""}, {linkApprover{err: engine.ErrLink}, "GET", 0, 410, ""},
			{linkApprover{err: engine.ErrStale}, "POST", 0, 410, ""}, {linkApprover{err: errors.New("down")}, "GET", 0, 410, "was not accepted"},
			{linkApprover{answerErr: engine.ErrStale}, "POST", 5, 410, ""}, {linkApprover{answerErr: errors.New("down")}, "POST", 5, 410,
				"was not accepted"},
			{linkApprover{}, "POST", 64<<10 - head, 200, ""}, {linkApprover{}, "POST", 64<<10 - head + 1, 410, "was not accepted"},
			{linkApprover{}, "DELETE", 0, 405, ""},
			{linkApprover{audit: slow}, "POST", 5, 200, "missing in the audit log"},
		} {
			log.Reset()
			if x.approver.audit == nil {
				x.approver.audit = func(context.Context) error { return nil }
			}
			r := httptest.NewRequest(x.method, "/approve/token", strings.NewReader("verdict=approve&comment="+strings.Repeat("x", x.size)))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			began, w := time.Now(), httptest.NewRecorder()
			Approvals(&x.approver, slog.New(slog.NewTextHandler(&log, nil))).ServeHTTP(w, r)
			if w.Code != x.status || (log.Len() > 0) != (x.logged != "") || !strings.Contains(log.String(), x.logged) ||
				x.status == 200 && x.method == "POST" && x.approver.comment != x.size ||
				(w.Header().Get("Allow") == "GET, HEAD, POST") != (x.status == 405) ||
				(x.status == 410) != strings.Contains(w.Body.String(), "it was used or has expired") ||
				(x.method == "GET" && x.status == 200) != strings.Contains(w.Body.String(), `value="resend"`) && x.method != "HEAD" {
				t.Errorf("%d: %d %s, log %s", i, w.Code, w.Body, &log)
			}
			if took := time.Since(began); took != 0 && i < 10 || i == 10 && took != 5*time.Second {
				t.Errorf("%d: it takes %s", i, took)
			}
		}
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = "nowhere"
		auditLink(r, &linkApprover{audit: func(context.Context) error { return nil }}, slog.New(slog.NewTextHandler(&log, nil)),
			engine.Answer{}, "")
	})
}

// hostLog knows hosts.
type hostLog struct {
	has               bool
	failed            []string
	hasErr, failedErr error
}

func (h hostLog) HasHost(context.Context, string) (bool, error) { return h.has, h.hasErr }
func (h hostLog) FailedHosts(context.Context) ([]string, error) { return h.failed, h.failedErr }

// TestFilterByAHostKnowsWhereHostsAreNamed checks each place: the project, the live state and the history.
func TestFilterByAHostKnowsWhereHostsAreNamed(t *testing.T) {
	live := func() []destination.State {
		return []destination.State{{Name: "payments", Host: "https://pay.example"}, {Name: "https://Live.example/x"}}
	}
	down := errors.New("down")
	for _, x := range []struct {
		host string
		live func() []destination.State
		log  hostLog
		want string
	}{
		{"", nil, hostLog{hasErr: down}, ""}, {"payments", live, hostLog{}, ""}, {"PAY.example", live, hostLog{}, ""},
		{"http://live.example/y", live, hostLog{}, ""},
		{"old.example", live, hostLog{has: true}, ""}, {"old.example", live, hostLog{hasErr: down}, "down"}, {"old.example", nil,
			hostLog{failedErr: down}, "down"},
		{"old.example", nil, hostLog{}, "known are none"},
		{"old.example", live, hostLog{failed: []string{"https://b.example", "https://B.example/", "https://a.example"}},
			`no attempt went to host "old.example"; known are a.example, b.example, live.example, pay.example, payments`},
	} {
		err := CheckHost(t.Context(), x.host, nil, x.live, x.log)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(strings.ReplaceAll(err.Error(), ", ,", ","), x.want) {
			t.Errorf("%s %+v: %v", x.host, x.log, err)
		}
	}
	p := projecttest.Load(t, map[string]string{"hookloom.yaml": "triggers: {hook: {webhook: {auth: none, key: body.id}}}\n"},
		workflows.Catalog{})
	if err := CheckHost(t.Context(), "x", p, nil, hostLog{}); !errors.Is(err, engine.ErrQuery) {
		t.Error(err)
	}
}

// activityLog counts intervals, and records what it was asked.
type activityLog struct {
	Log
	asked []string
	err   error
}

func (a *activityLog) Activity(_ context.Context, from time.Time, step time.Duration, n int) ([]engine.Bucket, error) {
	a.asked = append(a.asked, fmt.Sprintf("%s %s %d", from.Format("15:04"), step, n))
	var out []engine.Bucket
	for i := range n {
		out = append(out, engine.Bucket{At: from.Add(time.Duration(i) * step), Events: len(a.asked)})
	}
	return out, a.err
}

// TestPastIntervalsAreCountedOnce checks which intervals are counted again as time passes.
func TestPastIntervalsAreCountedOnce(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 30, 0, time.UTC)
	var a activity
	log := &activityLog{}
	for i, x := range []struct {
		after time.Duration
		step  time.Duration
		n     int
		asked string
		got   string
	}{
		{0, time.Minute, 5, "09:56 1m0s 5", "11111"}, {activityFresh - 1, time.Minute, 5, "", "11111"}, {activityFresh,
			time.Minute, 5, "09:59 1m0s 2", "11122"},
		{2*activityFresh - 1, time.Minute, 5, "", "11122"}, {time.Minute, time.Minute, 5, "09:59 1m0s 3", "11333"},
		{2 * time.Minute, time.Minute, 5, "10:00 1m0s 3", "13444"}, {activityWhole - 1, time.Minute, 5, "10:01 1m0s 5", "55555"},
		{activityWhole, time.Minute, 4, "10:02 1m0s 4", "6666"}, {10 * time.Minute, time.Hour, 4, "07:00 1h0m0s 4", "7777"},
		{15*time.Minute - 3*time.Second, time.Hour, 4, "09:00 1h0m0s 2", "7788"}, {15 * time.Minute, time.Hour, 4, "07:00 1h0m0s 4", "9999"},
		{14 * time.Minute, time.Hour, 4, "", "9999"}, {-time.Hour, time.Hour, 4, "06:00 1h0m0s 4", "10101010"},
	} {
		log.asked = log.asked[:len(log.asked):len(log.asked)]
		before := len(log.asked)
		got, err := a.get(t.Context(), log, at.Add(x.after), x.step, x.n)
		text := ""
		for _, b := range got {
			text += fmt.Sprint(b.Events)
		}
		if asked := strings.Join(log.asked[before:], ","); err != nil || asked != x.asked || text != x.got {
			t.Errorf("%d: asked %q for %s, want %q for %s", i, asked, text, x.asked, x.got)
		}
	}
	log.err = errors.New("down")
	if _, err := a.get(t.Context(), log, at.Add(time.Hour), time.Hour, 4); err == nil || a.step != 0 {
		t.Errorf("%v", err)
	}
}

// TestStatusOfALoopIsItsWorst compares each status with the next worse one.
func TestStatusOfALoopIsItsWorst(t *testing.T) {
	order := []string{"", "skipped", "succeeded", "waiting", "running", "unknown", "failed"}
	for i := 1; i < len(order); i++ {
		if worse(order[i-1], order[i]) != order[i] || worse(order[i], order[i-1]) != order[i] {
			t.Errorf("%s is not worse than %s", order[i], order[i-1])
		}
	}
	if worse("failed", "other") != "failed" || worse("other", "") != "other" {
		t.Error("an unknown status is worse")
	}
}
