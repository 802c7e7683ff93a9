package store_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// hiddenText is the secret of filledOptions.
const hiddenText = "s3cret-value"

// openSeal is a Sealer that hides nothing, so that the same value is always sealed to the same bytes.
type openSeal struct{}

func (openSeal) Seal(plain []byte, context string) ([]byte, error) {
	return []byte(context + ":" + base64.StdEncoding.EncodeToString(plain)), nil
}

func (openSeal) Open(sealed []byte, context string) ([]byte, error) {
	text, ok := strings.CutPrefix(string(sealed), context+":")
	if !ok {
		return nil, fmt.Errorf("it was not sealed as %s", context)
	}
	return base64.StdEncoding.DecodeString(text)
}

// filledOptions are those of a store that is filled.
func filledOptions() store.Options {
	r := &redact.Redactor{}
	r.Set([]string{hiddenText})
	return store.Options{Synchronous: "OFF", Redactor: r, Sealer: openSeal{}, Node: "one"}
}

// resultWrite is a write with a result.
type resultWrite struct {
	name string
	do   func(context.Context) (any, error)
}

// deliveryAt is a delivery of some minutes after filledAt.
func deliveryAt(trigger string, n int64, body string) *engine.Delivery {
	at := filledAt.Add(time.Duration(n) * time.Minute)
	return &engine.Delivery{Trigger: trigger, Inlet: "webhook", Key: fmt.Sprint("m", n), Type: "more", Time: at, ReceivedAt: at,
		Raw: []byte(body), Headers: map[string]string{"content-type": "application/json"}, Query: map[string]string{"q": "1"}, Dedupe: time.Hour}
}

// startLater is the start of the run of an event, changed by edit.
func startLater(n int64, status engine.RunStatus, edit func(*engine.RunUpdate), records ...*plan.Record) engine.RunUpdate {
	at := filledAt.Add(time.Duration(n) * time.Minute)
	r := &engine.Run{ID: laterRun(n), Event: laterEvent(n), Workflow: "more", Version: "m1", Status: status, CreatedAt: at}
	if status != engine.Queued {
		r.StartedAt = at
	}
	if status.Ended() {
		r.FinishedAt = at.Add(time.Second)
	}
	for _, x := range records {
		if x.StartedAt = at; x.Status != plan.Waiting && x.Status != plan.Running {
			x.FinishedAt = at.Add(time.Second)
		}
	}
	u := engine.RunUpdate{Run: r, New: true, Answers: -1, Records: records}
	if edit != nil {
		edit(&u)
	}
	return u
}

// decided stores an event with a run of workflow more.
func decided(s *store.Store, n int64, body string, u engine.RunUpdate, change func(*engine.Match)) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		m := engine.Match{Event: laterEvent(n), At: u.Run.CreatedAt, Starts: []engine.RunUpdate{u}, Decisions: []engine.Decision{{
			Workflow: "more", Version: "m1", Outcome: engine.Matched, Run: u.Run.ID, Conditions: conditions}}}
		if change != nil {
			change(&m)
		}
		r, result, err := s.AcceptDecided(ctx, laterEvent(n), deliveryAt("more", n, body), m)
		return several{r, result}, err
	}
}

var yes = true

// conditions have a result, an error, and values.
var conditions = []engine.Condition{{Expr: "a", Result: &yes}, {Expr: "b", Error: "no b"}, {Expr: "c", Result: new(bool),
	Values: map[string]any{"c": 1}}}

// resultWrites fill what the writes of eachWrite leave empty: encrypted values, gatherings, groups, orders to runs.
func resultWrites(s *store.Store) []resultWrite {
	return append(append(append(secretWrites(s), gatheringWrites(s)...), groupWrites(s)...), append(append(againWrites(s), claimWrites(s)...),
		identityWrites(s)...)...)
}

func secretWrites(s *store.Store) []resultWrite {
	at := filledAt
	return []resultWrite{
		{"an event with secret inputs", func(ctx context.Context) (any, error) {
			d := deliveryAt("more", 70, `{"token":"`+hiddenText+`"}`)
			d.Inlet, d.Inputs, d.SecretInputs, d.Hidden = "manual", map[string]any{"pin": "1234", "n": 1}, []string{"pin"}, []string{"1234"}
			return s.Accept(ctx, laterEvent(70), d)
		}},
		{"an event with secret inputs that is decided", func(ctx context.Context) (any, error) {
			d := deliveryAt("more", 79, "")
			d.Inlet, d.Inputs, d.SecretInputs, d.Hidden = "manual", map[string]any{"pin": "777"}, []string{"pin"}, []string{"777"}
			r, result, err := s.AcceptDecided(ctx, laterEvent(79), d, engine.Match{Event: laterEvent(79), At: d.Time})
			return several{r, result}, err
		}},
		{"a run with a secret in its steps", decided(s, 71, `{}`, startLater(71, engine.Succeeded, func(u *engine.RunUpdate) {
			u.Run.Output, u.Run.Text = map[string]any{"sum": 1, "token": hiddenText}, "done"
		}, &plan.Record{Path: "a", Attempt: 1, Action: "http/get", Status: plan.Succeeded,
			Output: map[string]any{"token": hiddenText, "b": 2}}), nil)},
		{"a run that waits for a secret key", decided(s, 72, `{}`, startLater(72, engine.Waiting, func(u *engine.RunUpdate) {
			u.Awaits = []engine.EventWait{{Trigger: "back", Key: hiddenText, From: at}}
			u.Run.Ending, u.Run.DueAt = &plan.Error{Message: "soon", Code: "cancelled"}, at
		}, &plan.Record{Path: "called", Attempt: 1, Action: "call", Status: plan.Waiting, Waits: []plan.Wait{{Kind: plan.WaitCall,
			Event: filledEvent(20).String(), Workflow: "other", Ending: &plan.Error{Message: "end it", Code: "cancelled"}}}},
			&plan.Record{Path: "w", Attempt: 1, Action: "wait", Status: plan.Waiting, Waits: []plan.Wait{
				{Kind: plan.WaitEvent, Trigger: "back", Key: hiddenText, From: at, Any: true},
				{Kind: plan.WaitEvent, Trigger: "back", Key: "plain", From: at, Any: true}}}), nil)},
		{"a refusal with its whole request", func(ctx context.Context) (any, error) {
			return nil, s.Refuse(ctx, engine.Refusal{At: at.Add(5 * time.Hour), Trigger: "more", Reason: "signature does not match",
				URL: "/in/more?t=***", WholeURL: "/in/more?t=1", Body: []byte("***"), Whole: []byte("all"), Size: 3})
		}},
		{"a poll with a rest and its cost", func(ctx context.Context) (any, error) {
			return s.Poll(ctx, []engine.EventID{laterEvent(73)}, &engine.PollBatch{Trigger: "more", Inlet: "poll", Remember: true,
				Items: []*engine.Delivery{deliveryAt("more", 73, `{"a":1}`)}, New: map[string]bool{"m73": true},
				State: engine.InletState{Cursor: []byte(`"c"`), Rest: []byte(`{"page":2}`), AskedAt: at, OKAt: at},
				Cost:  engine.PollCost{Requests: 2, Bytes: 300, Outcome: "ok", Took: time.Second, Quota: "1/2"}})
		}},
		{"a poll of the same", func(ctx context.Context) (any, error) {
			d := deliveryAt("more", 73, `{"a":2}`)
			d.Inlet = "poll"
			return s.Poll(ctx, []engine.EventID{laterEvent(74)}, &engine.PollBatch{Trigger: "more", Inlet: "poll",
				Items: []*engine.Delivery{d}, State: engine.InletState{AskedAt: at.Add(time.Minute), OKAt: at.Add(time.Minute)}})
		}},
	}
}

func gatheringWrites(s *store.Store) (out []resultWrite) {
	gathers := func(n int64, g engine.Gathering, cancels ...engine.CancelKey) {
		u := startLater(n, engine.Queued, func(u *engine.RunUpdate) { u.Gather, u.Cancelable, u.Cancels = &g, len(cancels) > 0, cancels })
		out = append(out, resultWrite{fmt.Sprint("event ", n, " that gathers"), decided(s, n, `{"a":1}`, u, nil)})
	}
	batch := engine.Gathering{Kind: workflows.Batch, Key: "b", Wait: time.Hour, Size: 3, Bytes: 100}
	quiet := engine.Gathering{Kind: workflows.Debounce, Key: "d", Wait: time.Minute, Max: time.Hour, Bytes: 10}
	key := engine.CancelKey{Trigger: "stop", Rule: "r", Key: "k"}
	for n := int64(100); n < 104; n++ {
		gathers(n, batch)
	}
	for n := int64(110); n < 112; n++ {
		gathers(n, quiet, key)
	}
	shut := func(n, event int64, slot *engine.SlotRequest) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			return s.CloseGathering(ctx, engine.Closing{Run: laterRun(n), Event: laterEvent(event), At: filledAt.Add(12 * time.Hour), Slot: slot})
		}
	}
	slot := &engine.SlotRequest{Workflow: "more", Group: "closed", Limit: 1, OnFull: "queue", MaxQueue: 9}
	return append(out, resultWrite{"the batch that is full", shut(100, 100, slot)}, resultWrite{"the debounced one", shut(110, 111, nil)})
}

func groupWrites(s *store.Store) (out []resultWrite) {
	enters := func(n int64, slot engine.SlotRequest) {
		slot.Workflow = "more"
		u := startLater(n, engine.Queued, func(u *engine.RunUpdate) { u.Slot = &slot })
		out = append(out, resultWrite{fmt.Sprint("event ", n, " of a group"), decided(s, n, `{}`, u, nil)})
	}
	for i, x := range []engine.SlotRequest{
		{Group: "drops", Limit: 1, OnFull: "drop"}, {Group: "drops", Limit: 1, OnFull: "drop"},
		{Group: "replaces", Limit: 1, OnFull: "replace"}, {Group: "replaces", Limit: 1, OnFull: "replace"},
		{Group: "queues", Limit: 1, OnFull: "queue", MaxQueue: 1}, {Group: "queues", Limit: 1, OnFull: "queue", MaxQueue: 1},
		{Group: "queues", Limit: 1, OnFull: "queue", MaxQueue: 1}, {Group: "stale", Limit: 9, OnFull: "queue", Stale: int64(5)},
		{Group: "stale", Limit: 9, OnFull: "queue", Stale: int64(4)}, {RateGroup: "rate", RateLimit: 1, RatePer: 24 * time.Hour},
		{RateGroup: "rate", RateLimit: 1, RatePer: 24 * time.Hour}, {RateGroup: "rate", RateLimit: 1, RatePer: 24 * time.Hour, RateDrop: true},
		{Group: "both", Limit: 1, OnFull: "queue", MaxQueue: 9, RateGroup: "both", RateLimit: 1, RatePer: time.Hour},
		{Group: "both", Limit: 1, OnFull: "queue", MaxQueue: 9, RateGroup: "both", RateLimit: 1, RatePer: time.Hour},
	} {
		enters(130+int64(i), x)
	}
	cancels := func(n int64) {
		out = append(out, resultWrite{fmt.Sprint("cancel ", n), func(ctx context.Context) (any, error) {
			r := startLater(n, engine.Cancelled, nil).Run
			r.StartedAt, r.Error = time.Time{}, &plan.Error{Message: "ended", Code: "cancelled"}
			cut, next, ends, err := s.Cancel(ctx, r, []*engine.Event{})
			return several{len(cut), next, ends}, err
		}})
	}
	for _, n := range []int64{134, 139, 142, 72} {
		cancels(n)
	}
	return out
}

func againWrites(s *store.Store) []resultWrite {
	at := filledAt.Add(20 * time.Hour)
	again := func(n, event int64, once engine.Onceness, edit func(*engine.Redecision)) func(context.Context) (any, error) {
		u := startLater(n, engine.Queued, nil)
		u.Run.Event, u.Run.Workflow, u.Run.Version, u.Run.DueAt = laterEvent(event), "pay", "v2", at
		r := engine.Redecision{Event: laterEvent(event), At: at, Once: once, By: "ada", Start: &u,
			Decision: engine.Decision{Workflow: "pay", Version: "v2", Outcome: engine.Matched, Run: u.Run.ID}}
		if edit != nil {
			edit(&r)
		}
		return func(ctx context.Context) (any, error) {
			done, err := s.Redecide(ctx, []engine.Redecision{r}, &engine.BatchStep{ID: engine.BatchID(laterEvent(200)), Cursor: laterEvent(event),
				Looked: 1, At: at})
			return done, err
		}
	}
	without := func(outcome engine.Outcome) func(*engine.Redecision) {
		return func(r *engine.Redecision) {
			r.Start, r.Decision.Outcome, r.Decision.Run, r.Decision.Reason = nil, outcome, 0, "why"
		}
	}
	value := func(op string, c engine.ValueChange) func(context.Context) (any, error) {
		c.Workflow, c.Op, c.Run, c.Now = "more", op, laterRun(71), at
		if c.MaxKeys == 0 {
			c.MaxKeys, c.MaxBytes = 90, 9000
		}
		return func(ctx context.Context) (any, error) { return s.ChangeValue(ctx, c) }
	}
	key := func(k string, kind string) engine.ValueChange {
		return engine.ValueChange{ValueRef: engine.ValueRef{Key: k}, Kind: kind, Value: `"v"`, Add: 2}
	}
	with := func(c engine.ValueChange, edit func(*engine.ValueChange)) engine.ValueChange { edit(&c); return c }
	return []resultWrite{
		{"the batch of decisions", func(ctx context.Context) (any, error) {
			return nil, s.AddBatch(ctx, &engine.Batch{ID: engine.BatchID(laterEvent(200)).String(), At: at, State: engine.BatchRunning, Rate: 3,
				Total: 9, End: laterEvent(199)})
		}},
		{"again with the results of steps", again(150, 3, engine.EachTime, func(r *engine.Redecision) {
			r.Done = []engine.DoneStep{{Run: laterRun(3), Path: "first", Attempt: 1, Action: "http/post"}}
		})},
		{"again of one that is open", again(151, 6, engine.EachTime, nil)}, {"once for ever", again(152, 1, engine.OnceEver, nil)},
		{"only held, which is", again(153, 16, engine.OnlyHeld, nil)}, {"only held, which is not", again(154, 17, engine.OnlyHeld, nil)},
		{"asked", again(155, 5, engine.OnceAsked, nil)}, {"asked twice", again(156, 5, engine.OnceAsked, nil)},
		{"a rule that fails now", again(157, 13, engine.OnceAsked, without(engine.RuleFailed))},
		{"filtered now", again(158, 12, engine.OnceAsked, without(engine.Filtered))},
		{"the same again", again(158, 12, engine.OnceAsked, without(engine.Filtered))},
		{"into a full group", again(159, 14, engine.OnceAsked, func(r *engine.Redecision) {
			r.Start.Slot = &engine.SlotRequest{Workflow: "more", Group: "drops", Limit: 1, OnFull: "drop"}
		})},
		{"into a free group", again(160, 15, engine.OnceAsked, func(r *engine.Redecision) {
			r.Start.Slot = &engine.SlotRequest{Workflow: "more", Group: "free", Limit: 1, OnFull: "queue", MaxQueue: 9}
			r.Start.Run.DueAt = at.Add(time.Hour)
		})},
		{"an event that is undecided", again(161, 22, engine.OnceEver, without(engine.Filtered))},
		{"taken up", func(ctx context.Context) (any, error) { return nil, s.Take(ctx, laterRun(8)) }},
		{"ended with a call in doubt", func(ctx context.Context) (any, error) {
			r := startLater(8, engine.Failed, nil).Run
			r.Workflow, r.Version, r.Error = "pay", "v1", &plan.Error{Message: "lost", Code: "unknown", Step: "lost"}
			_, err := s.CommitRun(ctx, engine.RunUpdate{Run: r, Answers: -1, CloseSteps: true, Wrote: true,
				Ends: []engine.EndCall{{Event: filledEvent(20), Why: "its caller has ended"}}})
			return nil, err
		}},
		{"its replay", func(ctx context.Context) (any, error) {
			due, doubts, err := s.Replay(ctx, engine.Replay{New: laterRun(162), Of: laterRun(8), From: "failed", Version: "v1", At: at, By: "ada",
				Why: "lost"})
			return several{due, doubts}, err
		}},
		{"emitted", func(ctx context.Context) (any, error) {
			r, again, err := s.Emit(ctx, laterEvent(163), deliveryAt("out", 163, "{}"), engine.Emission{Trigger: "out", Op: "op9", Run: laterRun(5),
				Path: "emit"})
			return several{r, again}, err
		}},
		{"emitted again", func(ctx context.Context) (any, error) {
			r, again, err := s.Emit(ctx, laterEvent(164), deliveryAt("out", 163, "{}"), engine.Emission{Trigger: "out", Op: "op9", Run: laterRun(5),
				Path: "emit"})
			return several{r, again}, err
		}},
		{"a value", value("v1", key("a", engine.ValueSet))}, {"the value again", value("v1", key("a", engine.ValueSet))},
		{"a number", value("v2", key("n", engine.ValueIncrement))}, {"the number grows", value("v3", key("n", engine.ValueIncrement))},
		{"a text does not grow", value("v4", key("a", engine.ValueIncrement))}, {"gone", value("v5", key("a", engine.ValueDelete))},
		{"gone already", value("v6", key("a", engine.ValueDelete))},
		{"expected", value("v7", with(key("n", engine.ValueSet), func(c *engine.ValueChange) { c.Expect = "4" }))},
		{"not expected", value("v8", with(key("n", engine.ValueSet), func(c *engine.ValueChange) { c.Expect = "5" }))},
		{"too many", value("v9", with(key("x", engine.ValueSet), func(c *engine.ValueChange) { c.MaxKeys, c.MaxBytes = 2, 999 }))},
		{"too large", value("v10", with(key("x", engine.ValueSet), func(c *engine.ValueChange) { c.MaxKeys, c.MaxBytes = 99, 3 }))},
		{"one byte too large", value("v13", with(key("y", engine.ValueSet), func(c *engine.ValueChange) { c.MaxKeys, c.MaxBytes = 3, 9 }))},
		{"just not too large", value("v14", with(key("y", engine.ValueSet), func(c *engine.ValueChange) { c.MaxKeys, c.MaxBytes = 3, 10 }))},
		{"a long life", value("v11", with(key("ttl", engine.ValueSet), func(c *engine.ValueChange) { c.TTL = time.Hour }))},
		{"the life stays", value("v12", key("ttl", engine.ValueIncrement))},
	}
}

// claimWrites claim what one node or one caller has at a time, more than once.
func claimWrites(s *store.Store) []resultWrite {
	at := filledAt.Add(30 * time.Hour)
	order := func(digest string, at time.Time) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) { return s.BeginOrder(ctx, "k1", []byte(digest), at) }
	}
	token := func(owner string, at time.Time) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			t, ok, err := s.ClaimToken(ctx, "shop", owner, at, at.Add(time.Minute))
			return several{t, ok}, err
		}
	}
	certificate := func(owner string, at time.Time) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			return s.ClaimCertificate(ctx, "cert2", owner, at, at.Add(time.Minute))
		}
	}
	save := func(owner string, version int64) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			return nil, s.SaveToken(ctx, owner, engine.TokenState{Connection: "shop", Sealed: []byte("next"), Version: version, LastError: "no",
				ErrorAt: at})
		}
	}
	pay := engine.CancelKey{Trigger: "more", Rule: "r", Key: "o"}
	ends := func(n int64, m engine.Match) func(context.Context) (any, error) {
		return decided(s, n, "{}", startLater(n, engine.Queued, nil), func(own *engine.Match) { own.Cancels, own.Wakes = m.Cancels, m.Wakes })
	}
	return []resultWrite{
		{"a key that is known", order("digest", filledAt.Add(time.Hour))}, {"a key of another request", order("other", filledAt.Add(time.Hour))},
		{"a key that was forgotten", order("other", filledAt.Add(50*time.Hour))}, {"a token", token("me", at)},
		{"a token that another one has", token("you", at)}, {"a token whose claim has ended", token("you", at.Add(time.Hour))},
		{"a token saved", save("you", 1)}, {"a token saved by a former owner", save("me", 1)},
		{"a certificate", certificate("me", at)}, {"a certificate that another one has", certificate("you", at)},
		{"a certificate whose claim has ended", certificate("you", at.Add(time.Hour))},
		{"a run with a key that ends it", decided(s, 220, "{}", startLater(220, engine.Queued, func(u *engine.RunUpdate) {
			u.Cancelable, u.Cancels, u.Run.DueAt = true, []engine.CancelKey{pay}, at
		}), nil)},
		{"an event that ends it", ends(221, engine.Match{Cancels: []engine.CancelKey{pay}})},
		{"an event that ends nothing", ends(222, engine.Match{Cancels: []engine.CancelKey{{Trigger: "more", Rule: "r", Key: "other"}}})},
		{"an event that wakes a run", ends(223, engine.Match{Wakes: &engine.EventWait{Trigger: "back", Key: "b2", From: filledAt}})},
		{"taken up to end", func(ctx context.Context) (any, error) { return nil, s.Take(ctx, laterRun(7)) }},
		{"a run that ends with open steps", func(ctx context.Context) (any, error) {
			u := startLater(7, engine.TimedOut, nil)
			u.New, u.Run.Workflow, u.Run.Version, u.CloseSteps = false, "pay", "v1", true
			u.Run.Error = &plan.Error{Message: "late", Code: "timeout", InDoubt: true}
			next, err := s.CommitRun(ctx, u)
			return next, err
		}},
		{"unparked", func(ctx context.Context) (any, error) { return s.Unpark(ctx, []string{"pay", "more"}, at) }},
		{"a switch that ends", func(ctx context.Context) (any, error) {
			return nil, s.SetSwitch(ctx, engine.Switch{Workflow: "pay", By: "ada", At: at}, true)
		}},
		{"an event ended", func(ctx context.Context) (any, error) {
			return nil, s.End(ctx, laterRun(6), &plan.Error{Message: "x", Code: "y"}, at)
		}},
		{"an alert replaced", func(ctx context.Context) (any, error) {
			return nil, s.SaveAlert(ctx, engine.OpenAlert{Kind: "gap", Subject: "pay", Message: "still silent", OpenedAt: at})
		}},
		{"secrets used again", func(ctx context.Context) (any, error) {
			return nil, s.UseSecrets(ctx, []engine.SecretUse{{Trigger: "hook", Secret: "S", Count: 3, FirstAt: at, LastAt: at}})
		}},
		{"files of the project replaced", func(ctx context.Context) (any, error) {
			return nil, s.SaveProjectFiles(ctx, map[string][]byte{"hookloom.yaml": []byte("x: 2"), "c": []byte("new")})
		}},
	}
}

// identityWrites deliver under equal keys, signatures and bodies.
func identityWrites(s *store.Store) (out []resultWrite) {
	for _, x := range []struct {
		n        int64
		key      string
		claim    string
		body     string
		same     engine.SameBody
		identity engine.Identity
	}{
		{240, "i1", "signature 1", `{"i":1}`, engine.BodyIgnored, engine.ByKey},
		{241, "i2", "signature 1", `{"i":1}`, engine.BodyIgnored, engine.ByKey},
		{242, "i1", "signature 2", `{"i":1}`, engine.BodyIgnored, engine.ByKey},
		{243, "i3", "signature 2", `{"i":3}`, engine.BodyIgnored, engine.ByKey},
		{244, "i4", "", `{"i":4}`, engine.BodyMarked, engine.ByHeader}, {245, "i5", "", `{"i":4}`, engine.BodyMarked, engine.ByHeader},
		{246, "i6", "", `{"i":6}`, engine.BodyDuplicate, engine.ByHeader}, {247, "i7", "", `{"i":6}`, engine.BodyDuplicate, engine.ByHeader},
		{248, "i8", "signature 3", `{"i":8}`, engine.BodyIgnored, engine.ByContent}, {249, "i8", "signature 3", `{"i":8}`, engine.BodyDuplicate,
			engine.ByContent}, {250, "i4", "", `{"i":"other"}`, engine.BodyMarked, engine.ByHeader},
		{251, "i4", "", `{"i":"a third"}`, engine.BodyMarked, engine.ByHeader},
	} {
		out = append(out, resultWrite{fmt.Sprint("delivery ", x.n), func(ctx context.Context) (any, error) {
			d := deliveryAt("named", x.n, x.body)
			d.Key, d.SameBody, d.Identity, d.ClaimFor = x.key, x.same, x.identity, 2*time.Hour
			if x.claim != "" {
				d.Claim = []byte(x.claim)
			}
			return s.Accept(ctx, laterEvent(x.n), d)
		}})
	}
	return out
}
