package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
)

// filledAt is the time of the rows that eachWrite makes.
var filledAt = time.Date(2026, 5, 1, 10, 0, 0, 7e6, time.UTC)

// filledEvent and filledRun are ids of that time, as in storetest.
func filledEvent(n int64) engine.EventID { return engine.EventID(engine.FirstID(filledAt) + n) }

func filledRun(n int64) engine.RunID { return engine.RunID(engine.FirstID(filledAt) + 1000 + n) }

// laterEvent and laterRun are ids of some minutes after it.
func laterEvent(n int64) engine.EventID {
	return engine.EventID(engine.FirstID(filledAt.Add(time.Duration(n)*time.Minute)) + n)
}

func laterRun(n int64) engine.RunID { return engine.RunID(int64(laterEvent(n)) + 500) }

// plainWrite is a write of the store.
type plainWrite struct {
	name string
	do   func(context.Context) error
}

// eachWrite calls around for writes of all kinds: those of storetest, and those that fill every list. The results of
// writes are kept in results, if that is not nil.
func eachWrite(s *store.Store, results map[string]string, around func(name string, do func(context.Context) error)) {
	storetest.EachWrite(storetest.Opened{Store: s, History: s.History()}, around)
	for n, e := range laterEvents {
		around(fmt.Sprint("event ", n), func(ctx context.Context) error { return e.store(ctx, s, int64(n+1)) })
	}
	for _, w := range plainWrites(s) {
		around(w.name, w.do)
	}
	for _, w := range resultWrites(s) {
		around(w.name, func(ctx context.Context) error {
			v, err := w.do(ctx)
			if results == nil {
				return err
			}
			text, jerr := json.Marshal(v)
			if err != nil {
				text = []byte("error: " + err.Error())
			}
			results["write "+w.name] = string(text)
			if errors.Is(err, engine.ErrPending) || errors.Is(err, engine.ErrStale) {
				return nil
			}
			return errors.Join(err, jerr)
		})
	}
}

// fillAll makes all writes of eachWrite, and returns the results of those that have one.
func fillAll(t testing.TB, s *store.Store) map[string]string {
	t.Helper()
	results := map[string]string{}
	eachWrite(s, results, func(name string, do func(context.Context) error) {
		if err := do(t.Context()); err != nil && !errors.Is(err, errors.ErrUnsupported) { // such as what only nodes share
			t.Fatalf("%s: %v", name, err)
		}
	})
	return results
}

// laterEntry is an event with a decision about it and its run.
type laterEntry struct {
	trigger, kind, key, body, flag string
	headers                        map[string]string
	identity                       engine.Identity
	undecided                      bool
	outcome                        engine.Outcome
	reason                         string
	status                         engine.RunStatus
	records                        []*plan.Record
	failure                        *plan.Error
	slot                           *engine.SlotRequest
	awaits                         []engine.EventWait
}

func step(path string, status plan.Status, host string, e *plan.Error, waits ...plan.Wait) *plan.Record {
	return &plan.Record{Path: path, Attempt: 1, Action: "http/post", Status: status, Destination: host, Error: e, Waits: waits,
		Input: map[string]any{"url": host + "/x"}}
}

var slotOfPay = &engine.SlotRequest{Workflow: "pay", Group: "g", Limit: 1, OnFull: "queue", MaxQueue: 100}

// laterEvents have every outcome, and a run of every status.
var laterEvents = []laterEntry{
	{trigger: "pay", kind: "paid", key: "p1", outcome: engine.Matched, status: engine.Failed,
		failure: &plan.Error{Message: "order 11111 answered 503", Code: "http_status", Step: "ship", Status: 503},
		records: []*plan.Record{step("ship", plan.Failed, "https://a.example", &plan.Error{Message: "503", Code: "http_status", Step: "ship"})}},
	{trigger: "pay", kind: "paid", key: "p2", outcome: engine.Matched, status: engine.Failed,
		failure: &plan.Error{Message: "order 22222 answered 503", Code: "http_status", Step: "ship", Status: 503},
		records: []*plan.Record{step("ship", plan.Failed, "https://a.example", &plan.Error{Message: "503", Code: "http_status", Step: "ship"})}},
	{trigger: "pay", kind: "refunded", key: "p3", outcome: engine.Matched, status: engine.TimedOut,
		failure: &plan.Error{Message: "no answer", Code: "timeout", Step: "call"},
		records: []*plan.Record{step("call", plan.Failed, "http://b.example:81", &plan.Error{Message: "no", Code: "timeout", Step: "call"}),
			step("first", plan.Succeeded, "https://c.example", nil)}},
	{trigger: "pay", kind: "paid", key: "p4", outcome: engine.Matched, status: engine.Cancelled,
		failure: &plan.Error{Message: "ended", Code: "cancelled"}},
	{trigger: "pay", kind: "paid", key: "p5", outcome: engine.Matched, status: engine.Succeeded,
		records: []*plan.Record{{Path: "first", Attempt: 1, Action: "http/get", Status: plan.Succeeded, Output: map[string]any{"n": 1},
			Destination: "https://c.example", Notes: []string{"took long", "was large"}}}},
	{trigger: "pay", kind: "paid", key: "p6", outcome: engine.Matched, status: engine.Waiting,
		records: []*plan.Record{step("ask", plan.Waiting, "", nil, plan.Wait{Kind: plan.WaitApproval, Approval: "pay?", By: []string{"ada"}})}},
	{trigger: "pay", kind: "paid", key: "p7", outcome: engine.Matched, status: engine.Waiting,
		records: []*plan.Record{step("sleep", plan.Waiting, "", nil, plan.Wait{Kind: plan.WaitSleep, Until: filledAt.AddDate(50, 0, 0)})}},
	{trigger: "pay", kind: "paid", key: "wait", outcome: engine.Matched, status: engine.Waiting, awaits: []engine.EventWait{
		{Trigger: "back", Key: "b2", From: filledAt}, {Key: filledEvent(20).String()}},
		records: []*plan.Record{step("event", plan.Waiting, "", nil, plan.Wait{Kind: plan.WaitEvent, Trigger: "back", Key: "b2", From: filledAt}),
			step("call", plan.Waiting, "", nil, plan.Wait{Kind: plan.WaitCall, Event: filledEvent(20).String(), Workflow: "other"}),
			step("held", plan.Waiting, "", nil, plan.Wait{Kind: plan.WaitDestination, Destination: "https://a.example"}),
			step("lost", plan.Unknown, "https://d.example", nil)}},
	{trigger: "pay", kind: "paid", key: "p8", outcome: engine.Matched, status: engine.Queued, slot: slotOfPay},
	{trigger: "pay", kind: "paid", key: "p9", outcome: engine.Matched, status: engine.Queued, slot: slotOfPay},
	{trigger: "pay", kind: "odd", key: "100%_sure", outcome: engine.RuleFailed, reason: "no field total"},
	{trigger: "pay", kind: "odd", key: "p11", outcome: engine.RuleFailed, reason: "no field total"},
	{trigger: "pay", kind: "odd", key: "p12", outcome: engine.Skipped, reason: "overlap"},
	{trigger: "pay", kind: "odd", key: "p13", outcome: engine.Dropped, reason: "queue full"},
	{trigger: "pay", kind: "odd", key: "p14", outcome: engine.Disabled},
	{trigger: "pay", kind: "odd", key: "p15", outcome: engine.Held},
	{trigger: "pay", kind: "odd", key: "p16", outcome: engine.Filtered},
	{trigger: "pay", kind: "odd", key: "p17", body: `{"needle":"Größe"}`},
	{trigger: "crm", kind: "lead", key: "c1", flag: engine.InvalidFlag + ": total", identity: engine.ByContent},
	{trigger: "crm", kind: "lead", key: "c2", flag: engine.UnreadableFlag + ": no JSON", body: "\xff\xfe", identity: engine.ByHeader},
	{trigger: "crm", kind: "lead", key: "c3", headers: map[string]string{"user-agent": engine.SampleAgent}},
	{trigger: "crm", kind: "lead", key: "c4", undecided: true},
}

func (e *laterEntry) store(ctx context.Context, s *store.Store, n int64) error {
	at := filledAt.Add(time.Duration(n) * time.Minute)
	d := &engine.Delivery{Trigger: e.trigger, Inlet: "webhook", Key: e.key, Type: e.kind, Time: at, ReceivedAt: at, Raw: []byte(e.body),
		Headers: e.headers, Flag: e.flag, Identity: e.identity, Dedupe: time.Hour, Method: "POST", Path: "/in/" + e.trigger}
	if e.body == "" {
		d.Raw = fmt.Appendf(nil, `{"n":%d}`, n)
	}
	if d.Headers == nil {
		d.Headers = map[string]string{"content-type": "application/json"}
	}
	if e.undecided {
		_, err := s.Accept(ctx, laterEvent(n), d)
		return err
	}
	m := engine.Match{Event: laterEvent(n), At: at}
	if e.outcome != "" {
		m.Decisions = []engine.Decision{{Workflow: "pay", Version: "v1", Outcome: e.outcome, Reason: e.reason}}
	}
	if e.status != "" {
		m.Decisions[0].Run = laterRun(n)
		r := &engine.Run{ID: laterRun(n), Event: laterEvent(n), Workflow: "pay", Version: "v1", Status: e.status, CreatedAt: at, Error: e.failure,
			Active: time.Duration(n) * time.Millisecond}
		if e.status != engine.Queued {
			r.StartedAt = at.Add(time.Second)
		}
		if e.status.Ended() {
			r.FinishedAt = at.Add(10 * time.Second)
		}
		var records []*plan.Record
		for _, of := range e.records {
			x := *of
			if x.StartedAt = at.Add(time.Second); x.Status != plan.Waiting {
				x.FinishedAt = at.Add(2 * time.Second)
			}
			records = append(records, &x)
		}
		m.Starts = []engine.RunUpdate{{Run: r, New: true, Answers: -1, Records: records, Slot: e.slot, Awaits: e.awaits}}
	}
	_, _, err := s.AcceptDecided(ctx, laterEvent(n), d, m)
	return err
}

// plainWrites are writes that do not belong to an event.
func plainWrites(s *store.Store) []plainWrite {
	at, paused := filledAt, []string{engine.BatchRunning}
	refuse := func(n int, r engine.Refusal) func(context.Context) error {
		r.At, r.Size = at.Add(time.Duration(n)*time.Hour), len(r.Body)
		return func(ctx context.Context) error { return s.Refuse(ctx, r) }
	}
	audit := func(n int, a engine.AuditEntry) func(context.Context) error {
		a.At = at.Add(time.Duration(n) * time.Hour)
		return func(ctx context.Context) error { return s.Audit(ctx, a) }
	}
	return []plainWrite{
		{"refusal 1", refuse(1, engine.Refusal{Trigger: "pay", Reason: "signature does not match", Detail: "v1", Diagnosis: "another secret",
			RemoteIP: "10.0.0.1", Method: "POST", Path: "/in/pay", URL: "/in/pay?a=1", Headers: map[string]string{"x": "y"},
			Body: []byte(`{"a":1}`)})},
		{"refusal 2", refuse(2, engine.Refusal{Trigger: "pay", Reason: "signature does not match", Body: []byte("\xff")})},
		{"refusal 3", refuse(3, engine.Refusal{Trigger: "crm", Reason: "requirement not met", Detail: "50%_off"})},
		{"Admitted", func(ctx context.Context) error { return s.Admitted(ctx, 2, laterEvent(1)) }},
		{"audit 1", audit(1, engine.AuditEntry{Who: "ada", Role: "admin", Action: "run.replay", Target: "run_1", Status: 200})},
		{"audit 2", audit(2, engine.AuditEntry{Who: "bob", Role: "viewer", Action: "run.cancel", Status: 403, Detail: "not allowed"})},
		{"audit 3", audit(3, engine.AuditEntry{Who: "bob", Action: "event.send", Target: "pay", Status: 202, Proof: "token"})},
		{"Replay", func(ctx context.Context) error {
			_, _, err := s.Replay(ctx, engine.Replay{New: laterRun(40), Of: laterRun(2), From: "start", Version: "v1",
				At: at.Add(time.Hour), By: "ada"})
			return err
		}},
		{"AddBatch", func(ctx context.Context) error {
			return s.AddBatch(ctx, &engine.Batch{ID: engine.BatchID(laterEvent(41)).String(), At: at, By: "ada", State: engine.BatchRunning, Rate: 3,
				Total: 9, End: laterEvent(99),
				Selection: engine.Selection{Trigger: "pay", Statuses: []string{"held"}, Since: at, Until: at.Add(time.Hour)}})
		}},
		{"ChangeBatch", func(ctx context.Context) error {
			_, err := s.ChangeBatch(ctx, engine.BatchID(laterEvent(41)), paused, engine.BatchPaused, "too many failed", at)
			return err
		}},
		{"SaveAlert", func(ctx context.Context) error {
			return s.SaveAlert(ctx, engine.OpenAlert{Kind: "gap", Subject: "pay", Trigger: "pay", Message: "silent", OpenedAt: at})
		}},
		{"ChangeValue", func(ctx context.Context) error {
			_, err := s.ChangeValue(ctx, engine.ValueChange{ValueRef: engine.ValueRef{Workflow: "pay", Key: "seen:1"}, Op: "op2", Run: laterRun(5),
				Kind: engine.ValueSet, Value: `"x"`, TTL: time.Hour, Now: at, MaxKeys: 9, MaxBytes: 999})
			return err
		}},
		{"BeginOrder", func(ctx context.Context) error {
			_, err := s.BeginOrder(ctx, "k1", []byte("digest"), at)
			return err
		}},
		{"EndOrder", func(ctx context.Context) error {
			return s.EndOrder(ctx, "k1", engine.Order{Status: 202, Answer: []byte(`{}`), At: at})
		}},
		{"Pause", func(ctx context.Context) error {
			return s.Pause(ctx, engine.Pause{Key: "https://a.example", Endpoint: "https://a.example", Run: laterRun(1).String(), At: at})
		}},
		{"SetSwitch that holds", func(ctx context.Context) error {
			return s.SetSwitch(ctx, engine.Switch{Workflow: "pay", By: "ada", At: at, State: engine.SwitchHold}, false)
		}},
		{"Park", func(ctx context.Context) error { return s.Park(ctx, laterRun(10)) }},
		{"SaveVersion", func(ctx context.Context) error {
			return s.SaveVersion(ctx, &workflows.Workflow{ID: "pay", Version: "v1", Text: []byte("on: pay")})
		}},
		{"SaveUses", func(ctx context.Context) error {
			return s.SaveUses(ctx, engine.VersionUses{Version: "v1", From: laterRun(1),
				Uses: workflows.Uses{Triggers: map[string]int64{"back": 60}}})
		}},
		{"SaveProjectFiles", func(ctx context.Context) error {
			return s.SaveProjectFiles(ctx, map[string][]byte{"hookloom.yaml": []byte("x: 1"), "b": nil})
		}},
		{"AwaitSecret", func(ctx context.Context) error { return s.AwaitSecret(ctx, "pay", at.AddDate(50, 0, 0)) }},
		{"CaptureSecret", func(ctx context.Context) error {
			_, err := s.CaptureSecret(ctx, engine.CapturedSecret{Name: "PAY", Trigger: "pay", Sealed: []byte("sealed"), At: at})
			return err
		}},
		{"ClaimCertificate", func(ctx context.Context) error {
			_, err := s.ClaimCertificate(ctx, "cert", "me", at, at.Add(time.Hour))
			return err
		}},
		{"SaveCertificate", func(ctx context.Context) error { return s.SaveCertificate(ctx, "cert", []byte("pem")) }},
		{"DropCertificateClaim", func(ctx context.Context) error { return s.DropCertificateClaim(ctx, "cert", "me") }},
		{"ClaimToken", func(ctx context.Context) error {
			_, _, err := s.ClaimToken(ctx, "shop", "me", at, at.Add(time.Hour))
			return err
		}},
		{"SaveToken", func(ctx context.Context) error {
			return s.SaveToken(ctx, "me", engine.TokenState{Connection: "shop", Sealed: []byte("token"), Version: 1, Account: "a",
				Scopes: []string{"read"}, Config: "c", ExpiresAt: at.Add(time.Hour), ObtainedAt: at, Held: "revoked", HeldAt: at})
		}},
		{"UseTokens", func(ctx context.Context) error {
			return s.UseTokens(ctx, map[string]time.Time{"shop": at.Add(time.Minute)})
		}},
		{"poll that measures", func(ctx context.Context) error {
			d := delivery("crm", "c9")
			d.Inlet, d.Time, d.ReceivedAt = "poll", at, at
			_, err := s.Poll(ctx, []engine.EventID{laterEvent(60)}, &engine.PollBatch{Trigger: "crm", Inlet: "poll", Items: []*engine.Delivery{d},
				Observe: true, State: engine.InletState{Cursor: []byte(`"c"`), AskedAt: at, OKAt: at, ETag: "e", Modified: "m"}})
			return err
		}},
		{"poll that fails", func(ctx context.Context) error {
			_, err := s.Poll(ctx, nil, &engine.PollBatch{Trigger: "crm", Inlet: "poll",
				State: engine.InletState{Cursor: []byte(`"d"`), AskedAt: at.Add(time.Minute), Failures: 2, Error: "503", RetryAt: at.Add(time.Hour)}})
			return err
		}},
		{"a schedule", func(ctx context.Context) error {
			d := delivery("nightly", "2026-05-01")
			d.Inlet, d.Time, d.ReceivedAt = "schedule", at, at
			_, err := s.Poll(ctx, []engine.EventID{laterEvent(61)}, &engine.PollBatch{Trigger: "nightly", Inlet: "schedule daily",
				Items: []*engine.Delivery{d}, State: engine.InletState{Cursor: []byte(`"t"`), AskedAt: at, Timetable: "0 0 * * *"}})
			return err
		}},
		{"the answer to a review", func(ctx context.Context) error {
			return s.Answer(ctx, engine.Answer{Run: laterRun(6), Path: "ask", By: "ada", Comment: "fine", At: at.Add(time.Hour),
				Answer: plan.Answer{Attempt: 1, Verdict: "approve", Output: map[string]any{"approved": true}, At: at.Add(time.Hour)}})
		}},
		{"DescribeNode", func(ctx context.Context) error {
			return s.DescribeNode(ctx, engine.NodeInfo{Version: "1.2", Digest: "d", Problem: "none"})
		}},
		{"ConflictAdmitted", func(ctx context.Context) error { return s.ConflictAdmitted(ctx, "cfl_1", laterEvent(1)) }},
		{"ClockSetBack", func(ctx context.Context) error { return s.ClockSetBack(ctx, time.Second) }},
		{"ResumeRuns", func(ctx context.Context) error {
			_, err := s.ResumeRuns(ctx, []string{"https://a.example"}, at)
			return err
		}},
		{"ResumeHeld", func(ctx context.Context) error {
			_, err := s.ResumeHeld(ctx, "https://a.example", at)
			return err
		}},
		{"a second Recover", func(ctx context.Context) error {
			_, err := s.Recover(ctx, at.Add(time.Hour))
			return err
		}},
		{"ShareRules", func(ctx context.Context) error { return s.ShareRules(ctx, "v1", "pay") }},
		{"OrderNodes", func(ctx context.Context) error {
			return s.OrderNodes(ctx, engine.NodeOrder{Kind: engine.OrderCancel, Subject: laterRun(10).String(), Why: &plan.Error{Message: "no"}})
		}},
		{"ShareKey", func(ctx context.Context) error { return s.ShareKey(ctx, "digest") }},
		{"TakeOver", func(ctx context.Context) error {
			_, err := s.TakeOver(ctx, at)
			return err
		}},
		{"Lease", func(ctx context.Context) error {
			held, err := s.Lease(ctx, "poll crm")
			if err == nil && !held {
				err = errors.New("the only node does not get the lease")
			}
			return err
		}},
		{"EndLease", func(ctx context.Context) error { return s.EndLease(ctx, "poll crm") }},
		{"DropCertificate", func(ctx context.Context) error { return s.DropCertificate(ctx, "other") }},
		{"DropClaim", func(ctx context.Context) error { return s.DropClaim(ctx, "shop", "me") }},
		{"DoneOrder", func(ctx context.Context) error { return s.DoneOrder(ctx, 99) }},
	}
}
