package triggers_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// ledger is a sink that stores what it is given, in a database of its own.
type ledger struct {
	mu       sync.Mutex
	store    *store.Store
	next     engine.EventID
	receipts []engine.Receipt
	taken    []*engine.Delivery
	// late is added to the time of arrival.
	late time.Duration
}

func newLedger(t testing.TB) *ledger {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &ledger{store: s}
}

func (l *ledger) Accept(ctx context.Context, d *engine.Delivery) (engine.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	d.Unsubscribed = true
	d.ReceivedAt = d.ReceivedAt.Add(l.late)
	r, err := l.store.Accept(ctx, l.next, d)
	l.receipts, l.taken = append(l.receipts, r), append(l.taken, d)
	return r, err
}

func (l *ledger) AcceptAll(ctx context.Context, ds []*engine.Delivery) ([]engine.Receipt, error) {
	var out []engine.Receipt
	for _, d := range ds {
		r, err := l.Accept(ctx, d)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (l *ledger) Await(context.Context, engine.EventID) (*engine.AwaitResult, error) {
	return &engine.AwaitResult{}, nil
}
func (l *ledger) Refuse(engine.Refusal) {}

func (l *ledger) last() engine.Receipt { return l.receipts[len(l.receipts)-1] }

// inlet is a server with one trigger t.
type inlet struct {
	t       testing.TB
	project *workflows.Project
	ledger  *ledger
	server  *httptest.Server
}

func newInlet(t testing.TB, webhook string) *inlet {
	t.Helper()
	x := &inlet{t: t, project: load(t, "triggers:\n  t: {webhook: "+webhook+"}\n"), ledger: newLedger(t)}
	x.server = httptest.NewServer(hooks(t, x.project, x.ledger))
	t.Cleanup(x.server.Close)
	return x
}

// plain sends a request as it is and gives the receipt of its event.
func (x *inlet) plain(method, target string, header http.Header, body []byte) engine.Receipt {
	x.t.Helper()
	req, err := http.NewRequest(method, x.server.URL+target, bytes.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header = header.Clone()
	resp, err := x.server.Client().Do(req)
	if err != nil {
		x.t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode/100 != 2 {
		x.t.Fatalf("%d %s %v", resp.StatusCode, text, err)
	}
	return x.ledger.last()
}

func (x *inlet) signed(o triggers.SampleOrder) (engine.Receipt, *triggers.SampleRequest) {
	x.t.Helper()
	o.Base = x.server.URL
	s, err := triggers.Sample(x.project, "t", lookup, o)
	if err != nil {
		x.t.Fatal(err)
	}
	target := s.Path
	if len(s.Query) > 0 {
		target += "?" + s.Query.Encode()
	}
	return x.plain(s.Method, target, s.Header, s.Body), s
}

const withSecret = `, secret: "${{ secrets.T }}"}`

// TestEqualBodiesOfTwoEventsAreTwoEvents tries reports about receivers that took the
// second for a repeat of the first.
func TestEqualBodiesOfTwoEventsAreTwoEvents(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name, webhook, body string
		first, second       triggers.SampleOrder
		marked              bool
	}{
		{"WooCommerce made and updated", "{provider: woocommerce" + withSecret, `{"id":7}`, triggers.SampleOrder{Type: "order.created"},
			triggers.SampleOrder{Type: "order.updated"}, true},
		{"Shopify made and paid", "{provider: shopify" + withSecret, `{"id":7}`, triggers.SampleOrder{Type: "orders/create"},
			triggers.SampleOrder{Type: "orders/paid"}, true},
		{"Shopify shop/redact after another install", "{provider: shopify" + withSecret, `{"shop_id":1,"shop_domain":"a.example"}`,
			triggers.SampleOrder{Type: "shop/redact"}, triggers.SampleOrder{Type: "shop/redact"}, true},
		{"GitHub workflow_dispatch of the same ref", "{provider: github" + withSecret, `{"ref":"refs/heads/main","inputs":{}}`,
			triggers.SampleOrder{Type: "workflow_dispatch"}, triggers.SampleOrder{Type: "workflow_dispatch"}, true},
		{"QStash ticks of a schedule", "{provider: qstash" + withSecret, `{"tick":true}`, triggers.SampleOrder{Now: now.Add(-2 * time.Second)},
			triggers.SampleOrder{Now: now}, false},
		{"Sanity publishes", "{provider: sanity" + withSecret, `{"_id":"post-1","slug":"hello"}`,
			triggers.SampleOrder{Now: now.Add(-2 * time.Second)}, triggers.SampleOrder{Now: now}, false},
		{"generic by X-Event-Id", "{provider: generic" + withSecret, `{}`, triggers.SampleOrder{ID: "e1"}, triggers.SampleOrder{ID: "e2"}, true},
		{"generic with a signed time", "{provider: generic, variant: timestamp" + withSecret, `{}`,
			triggers.SampleOrder{ID: "e1", Now: now.Add(-2 * time.Second)}, triggers.SampleOrder{ID: "e2", Now: now}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newInlet(t, c.webhook)
			c.first.Body, c.second.Body = []byte(c.body), []byte(c.body)
			first, _ := x.signed(c.first)
			second, again := x.signed(c.second)
			if first.Duplicate || second.Duplicate || (second.RepeatsBodyOf == first.Event) != c.marked {
				t.Errorf("%+v, %+v", first, second)
			}
			if r := x.plain(again.Method, again.Path, again.Header, again.Body); !r.Duplicate || r.Event != second.Event || r.Conflict {
				t.Errorf("the same delivery again: %+v", r)
			}
		})
	}
}

// TestContentIdentifiesAnEventWithoutIDForAMinute tries senders that name nothing.
func TestContentIdentifiesAnEventWithoutIDForAMinute(t *testing.T) {
	token := http.Header{"X-Token": {"a-long-shared-token"}}
	with := func(name, value string) http.Header {
		h := token.Clone()
		h.Set(name, value)
		return h
	}
	auth := `{auth: {header: {name: X-Token, value: "${{ secrets.T }}"}}, method: [GET, POST]}`
	type request struct {
		method, target string
		header         http.Header
		body           string
	}
	for _, c := range []struct {
		name           string
		webhook        string
		first, second  request
		later          time.Duration
		same           bool
		identity       engine.Identity
		identitySecond engine.Identity
	}{
		{"an empty body at once", auth, request{"POST", "", token, ""}, request{"POST", "", token, ""}, 0, true, engine.ByContent,
			engine.ByContent},
		{"an empty body a day later", auth, request{"POST", "", token, ""}, request{"POST", "", token, ""}, 24 * time.Hour, false,
			engine.ByContent, engine.ByContent},
		{"another query", auth, request{"GET", "?door=front", token, ""}, request{"GET", "?door=back", token, ""}, 0, false, engine.ByContent,
			engine.ByContent},
		{"another method", auth, request{"GET", "", token, ""}, request{"POST", "", token, ""}, 0, false, engine.ByContent, engine.ByContent},
		{"another Idempotency-Key", auth, request{"POST", "", with("Idempotency-Key", "k1"), "{}"},
			request{"POST", "", with("Idempotency-Key", "k2"), "{}"}, 0, false, engine.ByHeader, engine.ByHeader},
		{"the same Idempotency-Key", auth, request{"POST", "", with("Idempotency-Key", "k1"), "{}"},
			request{"POST", "", with("Idempotency-Key", "k1"), "{}"}, 24 * time.Hour, true, engine.ByHeader, engine.ByHeader},
		{"a CloudEvent of another source", auth,
			request{"POST", "", http.Header{"X-Token": token["X-Token"], "Ce-Id": {"1"}, "Ce-Source": {"a"}}, "{}"},
			request{"POST", "", http.Header{"X-Token": token["X-Token"], "Ce-Id": {"1"}, "Ce-Source": {"b"}}, "{}"}, 0, false, engine.ByHeader,
			engine.ByHeader},
		{"Mollie's classic webhook for payment and refund", "{auth: none}",
			request{"POST", "", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "id=tr_X"},
			request{"POST", "", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "id=tr_X"}, time.Hour, false, engine.ByContent,
			engine.ByContent},
		{"dedupe: written", `{auth: none, dedupe: 1d}`, request{"POST", "", nil, "{}"}, request{"POST", "", nil, "{}"}, time.Hour, true,
			engine.ByContent, engine.ByContent},
		{"dedupe: off", `{auth: none, dedupe: off}`, request{"POST", "", nil, "{}"}, request{"POST", "", nil, "{}"}, 0, false, engine.ByContent,
			engine.ByContent},
		{"a key of the trigger", `{auth: none, key: body.id}`, request{"POST", "", jsonHeader, `{"id":"a"}`},
			request{"POST", "", jsonHeader, `{"id":"a"}`}, time.Hour, true, engine.ByKey, engine.ByKey},
		{"a key that comes out empty", `{auth: none, key: body.id}`, request{"POST", "", jsonHeader, `{"a":1}`},
			request{"POST", "", jsonHeader, `{"a":1}`}, time.Hour, false, engine.ByContent, engine.ByContent},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newInlet(t, c.webhook)
			send := func(r request) engine.Receipt {
				if r.header == nil {
					r.header = http.Header{}
				}
				return x.plain(r.method, "/hooks/t"+r.target, r.header, []byte(r.body))
			}
			send(c.first)
			x.ledger.late = c.later
			if second := send(c.second); second.Duplicate != c.same {
				t.Errorf("%+v", second)
			}
			if a, b := x.ledger.taken[0], x.ledger.taken[1]; a.Identity != c.identity || b.Identity != c.identitySecond {
				t.Errorf("identified by %s %q, then by %s %q", a.Identity, a.Key, b.Identity, b.Key)
			}
		})
	}
}

// TestOneCapturedMailgunSignatureAdmitsNothingElse holds the token that Mailgun signs
// against other event data.
func TestOneCapturedMailgunSignatureAdmitsNothingElse(t *testing.T) {
	x := newInlet(t, "{provider: mailgun"+withSecret)
	first, s := x.signed(triggers.SampleOrder{ID: "event-1"})
	forged := bytes.ReplaceAll(bytes.ReplaceAll(s.Body, []byte(`"id":"event-1"`), []byte(`"id":"event-2"`)), []byte("delivered"),
		[]byte("complained"))
	if r := x.plain(s.Method, s.Path, s.Header, forged); !r.Duplicate || r.Event != first.Event || !r.Conflict {
		t.Errorf("%+v", r)
	}
	if r, _ := x.signed(triggers.SampleOrder{ID: "event-3"}); r.Duplicate {
		t.Errorf("another delivery: %+v", r)
	}
	d, err := x.ledger.store.History().EventDetail(t.Context(), first.Event)
	if err != nil || len(d.Conflicting) != 1 || len(d.Conflicting[0].Differences) == 0 {
		t.Errorf("%+v %v", d, err)
	}
}

// TestUsedSignatureIsRememberedForItsTolerance captures whole
// deliveries and sends them again when their content is no longer remembered.
func TestUsedSignatureIsRememberedForItsTolerance(t *testing.T) {
	verify := `{verify: {algorithm: hmac-sha256, signature: {from: {header: X-Signature}, encoding: hex},
    timestamp: {from: {header: X-Time}, unit: unix_s, tolerance: 10m},
    signed_content: "{timestamp}.{body}"}`
	for _, c := range []struct {
		name, webhook string
		identity      engine.Identity
	}{
		{"a scheme of one's own, by content", verify + withSecret, engine.ByContent},
		{"an id that is not signed, dedupe: 1m", "{provider: mailgun, dedupe: 1m" + withSecret, engine.ByProvider},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newInlet(t, c.webhook)
			s := must(triggers.Sample(x.project, "t", lookup, triggers.SampleOrder{ID: "event-1", Base: x.server.URL}))
			s.Header.Del("X-Event-Id")
			first := x.plain(s.Method, s.Path, s.Header, s.Body)
			if got := x.ledger.taken[0].Identity; got != c.identity {
				t.Fatalf("identified by %s: %v", got, s.Header)
			}
			x.ledger.late = 4 * time.Minute
			forged := bytes.ReplaceAll(s.Body, []byte(`"id":"event-1"`), []byte(`"id":"event-2"`))
			if strings.Contains(c.webhook, "verify") {
				forged = s.Body
			}
			if r := x.plain(s.Method, s.Path, s.Header, forged); !r.Duplicate || r.Event != first.Event {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestRepeatWithANewSignatureInItsBodyIsNoConflict compares what Mailgun says, not how
// it signed.
func TestRepeatWithANewSignatureInItsBodyIsNoConflict(t *testing.T) {
	x := newInlet(t, `{provider: mailgun, key: 'body["event-data"].id'`+withSecret)
	now := time.Now()
	first, _ := x.signed(triggers.SampleOrder{ID: "event-1", Now: now.Add(-10 * time.Second)})
	again, _ := x.signed(triggers.SampleOrder{ID: "event-1", Now: now})
	if !again.Duplicate || again.Event != first.Event || again.Conflict {
		t.Errorf("%+v", again)
	}
}

// TestComparedBodyOmitsItsSignature: also if data: chooses what the event is.
func TestComparedBodyOmitsItsSignature(t *testing.T) {
	for _, data := range []string{"", ", data: 'body.signature'", ", data: 'body[\"event-data\"].id'"} {
		x := newInlet(t, "{provider: mailgun"+data+withSecret)
		sum := func(id string, at time.Time) int64 {
			x.signed(triggers.SampleOrder{ID: id, Now: at})
			return x.ledger.taken[len(x.ledger.taken)-1].ContentSum
		}
		now := time.Now()
		first, again, other := sum("event-1", now.Add(-10*time.Second)), sum("event-1", now), sum("event-2", now)
		if first == 0 || first != again {
			t.Errorf("%s: %d, and signed anew %d", data, first, again)
		}
		if same := first == other; same != strings.Contains(data, "signature") {
			t.Errorf("%s: %d, and with another id %d", data, first, other)
		}
	}
}

func TestReplaysBodyTreatsEqualBodiesAsOneEvent(t *testing.T) {
	x := newInlet(t, "{provider: github, replays: body"+withSecret)
	first, s := x.signed(triggers.SampleOrder{Type: "push", Body: []byte(`{"ref":"a"}`)})
	s.Header.Set("X-GitHub-Delivery", "another")
	if r := x.plain(s.Method, s.Path, s.Header, s.Body); !r.Duplicate || r.Event != first.Event || r.Conflict {
		t.Errorf("%+v", r)
	}
	if r, _ := x.signed(triggers.SampleOrder{Type: "ping", Body: []byte(`{"ref":"a"}`)}); r.Duplicate {
		t.Errorf("another type: %+v", r)
	}
}

func TestElementsOfAListWithOneIDHaveSeparateKeys(t *testing.T) {
	x := newInlet(t, "{provider: generic, split: body.events"+withSecret)
	batch := func(id, body string) []engine.Receipt {
		before := len(x.ledger.receipts)
		x.signed(triggers.SampleOrder{ID: id, Body: []byte(body)})
		return x.ledger.receipts[before:]
	}
	if got := batch("list-1", `{"events":[{"a":1},{"a":2},{"a":1}]}`); len(got) != 3 ||
		slices.ContainsFunc(got, func(r engine.Receipt) bool { return r.Duplicate }) {
		t.Errorf("%+v", got)
	}
	if got := batch("list-1", `{"events":[{"a":1},{"a":2},{"a":1}]}`); !got[0].Duplicate || !got[1].Duplicate || !got[2].Duplicate {
		t.Errorf("the list again: %+v", got)
	}
	keys := make([]string, 0, 3)
	for _, d := range x.ledger.taken[:3] {
		keys = append(keys, d.Key)
	}
	if keys[2] != keys[0]+"#2" || !strings.HasPrefix(keys[1], "list-1/") || strings.Contains(keys[0]+keys[1], "#") {
		t.Errorf("keys of elements, which are stored: %q", keys)
	}
}

// TestSignedContentIdentifiesADelivery holds, for every scheme of every preset: the same
// signed content under another unsigned id is the same delivery where a moment is
// signed, and is marked where only the body is; another signed time with an equal body
// is never a replay of it.
func TestSignedContentIdentifiesADelivery(t *testing.T) {
	t.Parallel()
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range library.Names() {
		p, err := library.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range p.Verify {
			if v.Key != nil && v.Key.Format == "x5c" {
				continue // only the provider's own chain signs
			}
			t.Run(name+"/"+v.Variant, func(t *testing.T) { t.Parallel(); trySignedContent(t, p, v) })
		}
	}
}

func trySignedContent(t *testing.T, p *workflows.Preset, v *workflows.Verify) {
	project, secret := presetProject(t, p, v)
	l := newLedger(t)
	h := hooksWith(t, project, l, secret)
	send := func(s *triggers.SampleRequest) (engine.Receipt, *engine.Delivery, bool) {
		t.Helper()
		target := s.Path
		if len(s.Query) > 0 {
			target += "?" + s.Query.Encode()
		}
		before := len(l.receipts)
		w := post(h, s.Method, target, s.Header, s.Body)
		if w.Code/100 != 2 || len(l.receipts) == before {
			return engine.Receipt{}, nil, false
		}
		return l.last(), l.taken[len(l.taken)-1], true
	}
	sample := func(o triggers.SampleOrder) *triggers.SampleRequest {
		t.Helper()
		s, err := triggers.Sample(project, "hook", secret, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	now := time.Now().Truncate(time.Second)
	s := sample(triggers.SampleOrder{ID: "1c1b7f0e-0000-4000-8000-00000000000a", Now: now.Add(-2 * time.Second)})
	first, one, ok := send(s)
	if !ok || first.Duplicate {
		t.Fatalf("the first delivery: %+v", first)
	}
	moment := one.Claim != nil && one.Identity != engine.ByContent
	for _, header := range []string{p.Sample.IDHeader, "Idempotency-Key"} {
		if header == "" || slices.Contains(v.SignedHeaders(), strings.ToLower(header)) {
			continue
		}
		again := *s
		again.Header = s.Header.Clone()
		again.Header.Set(header, "another-"+header)
		r, two, ok := send(&again)
		switch {
		case !ok:
		case two.Key == one.Key || moment || one.Identity == engine.ByContent:
			if !r.Duplicate || r.Event != first.Event || r.Conflict {
				t.Errorf("the same signed content with another %s: %+v", header, r)
			}
		case v.Algorithm != "static-token" && v.Algorithm != "basic-auth" && v.SignsBody():
			if r.Duplicate || r.RepeatsBodyOf != first.Event {
				t.Errorf("the same body with another %s: %+v", header, r)
			}
		}
	}
	if v.Timestamp == nil || v.Timestamp.From.JSON != "" || v.Timestamp.From.Form != "" {
		return // its time, if it has one, is in the body
	}
	later := sample(triggers.SampleOrder{ID: "1c1b7f0e-0000-4000-8000-00000000000b", Body: s.Body, Now: now})
	r, three, ok := send(later)
	if ok && three.Key != one.Key && r.Duplicate {
		t.Errorf("another signed time with an equal body is taken for a replay: %+v, keys %q and %q", r, one.Key, three.Key)
	}
}

// TestVerifyAndServerGiveTheSameKey compares hookloom verify with what is stored.
func TestVerifyAndServerGiveTheSameKey(t *testing.T) {
	for _, webhook := range []string{"{auth: none}", "{auth: none, key: body.id}", "{provider: generic" + withSecret,
		"{provider: stripe, secret: \"${{ secrets.S }}\"}"} {
		x := newInlet(t, webhook)
		_, s := x.signed(triggers.SampleOrder{ID: "evt-1"})
		var raw bytes.Buffer
		fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\nHost: %s\r\n", s.Method, s.Path, strings.TrimPrefix(x.server.URL, "http://"))
		if err := s.Header.Write(&raw); err != nil {
			t.Fatal(err)
		}
		raw.WriteString("\r\n")
		raw.Write(s.Body)
		v, err := triggers.Verify(x.project, "t", outside(secrets), raw.Bytes(), "", time.Now())
		if err != nil || v.Event == nil {
			t.Fatalf("%s: %+v %v", webhook, v, err)
		}
		if d := x.ledger.taken[0]; v.Event.Key != d.Key || v.Event.Identity != d.Identity.String() || v.Event.Type != d.Type {
			t.Errorf("%s: verify says %+v, stored is %q by %s", webhook, v.Event, d.Key, d.Identity)
		}
	}
}
