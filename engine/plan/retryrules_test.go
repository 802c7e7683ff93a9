package plan_test

import (
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// retryActions are actions that say in each of the three ways whether they may be repeated.
var retryActions = map[string]*workflows.ActionSpec{
	"test/request": {Name: "test/request", SideEffects: true, SafeMethods: true, Inputs: []workflows.ActionInput{
		{Name: "method", Type: "string"}}},
	"test/read": {Name: "test/read", Safe: true, Inputs: []workflows.ActionInput{{Name: "method", Type: "string"}}},
	"test/act":  {Name: "test/act", SideEffects: true, Inputs: []workflows.ActionInput{{Name: "method", Type: "string"}}},
}

// retryStep is the state of a run with one step and its attempts.
func retryStep(t *testing.T, step string, records ...plan.Record) *plan.State {
	t.Helper()
	p := projecttest.Load(t, map[string]string{"workflows/w.yaml": "on: manual\nsteps:\n  - " + step + "\n"},
		workflows.Catalog{Actions: workflows.NewActions(retryActions, nil)})
	st := state(p.Workflows["w"], map[string]any{"method": "GET"})
	for i, r := range records {
		r.Path, r.Attempt = "a", i+1
		if r.StartedAt.IsZero() {
			r.StartedAt, r.FinishedAt = st.Now, st.Now
		}
		st.AddRecord(&r)
	}
	return st
}

// TestWithoutRetryOnlySafeMethodsAreRepeated, as RFC 9110, 9.2.2 defines them. A POST
// whose answer says that it failed may have been carried out.
func TestWithoutRetryOnlySafeMethodsAreRepeated(t *testing.T) {
	for step, repeated := range map[string]bool{
		`{id: a, uses: test/request}`:                                                                true, // GET
		`{id: a, uses: test/request, with: {method: GET}}`:                                           true,
		`{id: a, uses: test/request, with: {method: head}}`:                                          true,
		`{id: a, uses: test/request, with: {method: PUT}}`:                                           true,
		`{id: a, uses: test/request, with: {method: DELETE}}`:                                        true,
		`{id: a, uses: test/request, with: {method: POST}}`:                                          false,
		`{id: a, uses: test/request, with: {method: post}}`:                                          false,
		`{id: a, uses: test/request, with: {method: PATCH}}`:                                         false,
		`{id: a, uses: test/request, with: {method: "${{ event.data.method }}"}}`:                    false,
		`{id: a, uses: test/read, with: {method: POST}}`:                                             true,
		`{id: a, uses: test/act, with: {method: GET}}`:                                               false,
		`{id: a, uses: test/request, retry: 2, with: {method: POST}}`:                                true,
		`{id: a, uses: test/request, retry: {max: 2, when: "true"}, with: {method: POST}}`:           true,
		`{id: a, uses: test/request, retry: {max: 2, when: "false"}, with: {method: GET}}`:           false,
		`{id: a, uses: test/request, retry: {max: 2, when: "int(event.data.method) > 1"}, with: {}}`: false, // the condition fails
		`{id: a, uses: test/request, retry: {max: 2, when: "error.attempts == 1"}, with: {}}`:        true,
		`{id: a, uses: test/request, retry: {max: 2, when: "error.step == 'a'"}, with: {}}`:          true,
		`{id: a, uses: test/request, retry: {max: 2, when: "error.status == 503"}, with: {}}`:        true,
		`{id: a, uses: test/request, retry: {max: 2, when: "error.attempts != 1"}, with: {}}`:        false,
		`{id: a, uses: test/request, retry: {max: 2, when: "error.status != 503"}, with: {}}`:        false,
		`{id: a, uses: test/request, retry: {max: 0}, with: {method: GET}}`:                          false,
		`{id: a, uses: test/request, retry: {max: 2, when: "error.code == 'x'"}, with: {}}`:          false,
		`{id: a, uses: test/request, retry: {max: 2, when: "error.step == 'b'"}, with: {}}`:          false,
		`{id: a, uses: test/request, retry: {for: 1ms, delay: 1s}, with: {}}`:                        false,
		`{id: a, uses: test/request, retry: {for: 1m, delay: 1s}, with: {method: GET}}`:              true,
	} {
		failure := plan.Error{Message: "busy", Code: "http_status", Status: 503, Retryable: true}
		d := plan.Next(retryStep(t, step, plan.Record{Status: plan.Failed, Error: &failure}))
		if (len(d.Due) == 1) != repeated || (d.End == nil) != repeated {
			t.Errorf("%s: repeated %t, expected %t: %+v", step, len(d.Due) == 1, repeated, d)
		}
	}
}

// TestAnAttemptWithoutATokenIsRepeatedWhateverTheMethod: nothing was sent. A step's own retry:
// goes first.
func TestAnAttemptWithoutATokenIsRepeatedWhateverTheMethod(t *testing.T) {
	for step, repeated := range map[string]bool{
		`{id: a, uses: test/request, with: {method: POST}}`:           true,
		`{id: a, uses: test/act, with: {method: GET}}`:                true,
		`{id: a, uses: test/request, retry: 0, with: {method: POST}}`: false,
	} {
		failure := plan.Error{Message: "its token endpoint answered 503", Code: plan.TokenCode, Retryable: true}
		if d := plan.Next(retryStep(t, step, plan.Record{Status: plan.Failed, Error: &failure})); (len(d.Due) == 1) != repeated {
			t.Errorf("%s: repeated %t, expected %t: %+v", step, len(d.Due) == 1, repeated, d)
		}
	}
}

// TestAttemptCutByACrashIsRepeatedUncounted, whatever the action is: its
// idempotency key stays the same.
func TestAttemptCutByACrashIsRepeatedUncounted(t *testing.T) {
	cut := plan.Record{Status: plan.Unknown, Error: &plan.Error{Message: "the process ended", Code: "interrupted"}}
	if d := plan.Next(retryStep(t, `{id: a, uses: test/act}`, cut)); len(d.Due) != 1 {
		t.Errorf("an attempt whose result is unknown is not repeated: %+v", d)
	}
	busy := plan.Record{Status: plan.Failed, Error: &plan.Error{Message: "busy", Code: "http_status", Status: 503, Retryable: true}}
	for name, c := range map[string]struct {
		records []plan.Record
		again   bool
	}{
		"one failure of one retry":              {[]plan.Record{busy}, true},
		"two failures of one retry":             {[]plan.Record{busy, busy}, false},
		"one failure and one without an error":  {[]plan.Record{{Status: plan.Unknown}, busy}, true},
		"one failure and one in doubt":          {[]plan.Record{cut, busy}, false},
		"a success before counts as no failure": {[]plan.Record{{Status: plan.Succeeded}, busy}, true},
	} {
		if d := plan.Next(retryStep(t, `{id: a, uses: test/act, retry: 1}`, c.records...)); (len(d.Due) == 1) != c.again {
			t.Errorf("%s: again %t, expected %t: %+v", name, len(d.Due) == 1, c.again, d)
		}
	}
}

// TestRetryAfterOrAPersonSetsTheNextAttempt: Retry-After is kept when it is longer than the pause,
// up to max_delay, and a person who resumes a step ends the pause.
func TestRetryAfterOrAPersonSetsTheNextAttempt(t *testing.T) {
	step := `{id: a, uses: test/act, retry: {max: 3, delay: 10s, factor: 1, jitter: false, max_delay: 1m}}`
	for name, c := range map[string]struct {
		err   plan.Error
		pause time.Duration
	}{
		"none":    {plan.Error{}, 10 * time.Second},
		"shorter": {plan.Error{RetryAfter: 2 * time.Second}, 10 * time.Second},
		"longer":  {plan.Error{RetryAfter: 30 * time.Second}, 30 * time.Second},
		"an hour": {plan.Error{RetryAfter: time.Hour}, time.Minute},
		"resumed": {plan.Error{RetryAfter: 30 * time.Second, Resumed: true}, 0},
	} {
		c.err.Message, c.err.Code, c.err.Status, c.err.Retryable = "busy", "http_status", 503, true
		st := retryStep(t, step, plan.Record{Status: plan.Failed, Error: &c.err})
		d := plan.Next(st)
		if len(d.Due) != 1 || d.Due[0].Attempt != 2 ||
			d.Due[0].NotBefore.Sub(st.Now) != c.pause && (c.pause > 0 || d.Due[0].NotBefore.After(st.Now)) {
			t.Errorf("%s: expected a pause of %v: %+v", name, c.pause, d)
		}
	}
}

// TestStatusesThatMayChangeSoonAreRetried, as docs and RFC 9110, 15 say.
func TestStatusesThatMayChangeSoonAreRetried(t *testing.T) {
	for status, again := range map[int]bool{200: false, 400: false, 404: false, 407: false, 408: true, 409: false, 424: false, 425: true,
		426: false, 428: false, 429: true, 430: false, 499: false, 500: true, 501: false, 502: true, 503: true, 504: true, 505: false,
		506: true} {
		if plan.RetryableStatus(status) != again {
			t.Errorf("status %d: retried %t, expected %t", status, !again, again)
		}
	}
}

// TestPausesGrowToTheirLimit: 1s, 2s, 4s and so on to max_delay, exactly without jitter,
// and between half of it and all of it with jitter.
func TestPausesGrowToTheirLimit(t *testing.T) {
	r := &workflows.Retry{Delay: time.Second, Factor: 2, MaxDelay: 5 * time.Minute}
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 9: 256 * time.Second,
		10: 5 * time.Minute, 11: 5 * time.Minute, 5000: 5 * time.Minute} {
		r.Jitter = false
		if got := plan.Pause(r, n, "x"); got != want {
			t.Errorf("after failure %d: %v, expected %v", n, got, want)
		}
		r.Jitter = true
		if got := plan.Pause(r, n, "x"); got < want/2 || got >= want {
			t.Errorf("after failure %d with jitter: %v, expected %v to %v", n, got, want/2, want)
		}
	}
}
