package triggers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
)

// shop is a service that lists its orders, as a handler says.
type shop struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	handle   http.HandlerFunc
}

func newShop(t *testing.T) *shop {
	s := &shop{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.URL.RequestURI())
		h := s.handle
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// says makes the shop answer with bodies, one a request, the last again and again.
func (s *shop) says(bodies ...string) {
	n := -1
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		n = min(n+1, len(bodies)-1)
		body := strings.ReplaceAll(bodies[n], "HOST", s.URL)
		s.mu.Unlock()
		_, _ = w.Write([]byte(body))
	}
}

// counter is a running engine over a database, with the polls of one trigger.
type counter struct {
	t      *testing.T
	store  *store.Store
	engine *machine.Engine
	inlets *triggers.Inlets
	// run lets the engine decide; openCounter has called it.
	run func()
	// close ends the engine and closes its store.
	close func() error
}

func newCounter(t *testing.T, path, poll string, fault func(int) error) *counter {
	t.Helper()
	return openCounter(t, path, asTrigger(poll), fault)
}

// asTrigger is the configuration of a trigger with a webhook and the poll.
func asTrigger(poll string) string {
	return "triggers:\n  orders:\n    webhook: {auth: none, key: body.id}\n    poll: {every: 1h, " + poll + "}\n"
}

func openCounter(t *testing.T, path, config string, fault func(int) error) *counter {
	t.Helper()
	c := stoppedCounter(t, path, config, fault)
	c.run()
	return c
}

// stoppedCounter is a counter whose engine stores events and decides nothing until its run.
func stoppedCounter(t *testing.T, path, config string, fault func(int) error) *counter {
	t.Helper()
	p := load(t, config)
	s, err := store.Open(context.Background(), path, store.Options{Fault: fault, Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	e := machine.New(machine.Options{Store: s, Secrets: lookup, Grace: time.Second})
	if err := e.Use(context.Background(), p); err != nil && fault == nil {
		t.Fatal(err)
	}
	in := triggers.NewInlets(e, slog.New(slog.DiscardHandler))
	if err := in.Use(p, actions.Ask(nil, lookup, &http.Client{}, nil), lookup); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &counter{t: t, store: s, engine: e, inlets: in}
	var ended sync.WaitGroup
	var failed error
	c.run = func() { ended.Go(func() { failed = e.Run(ctx) }) }
	c.close = sync.OnceValue(func() error {
		cancel()
		ended.Wait()
		return errors.Join(failed, s.Close())
	})
	t.Cleanup(func() { _ = c.close() }) // its error is looked at where it matters
	return c
}

// differs waits until the only sighting of the event has the differences.
func (c *counter) differs(event engine.EventID, want string) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		d, err := c.store.History().EventDetail(context.Background(), event)
		if err == nil && len(d.Sightings) == 1 && string(d.Sightings[0].Differences) == want {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%+v %v, want %s", d, err, want)
		}
	}
}

func (c *counter) poll(want string) {
	c.t.Helper()
	r, err := c.inlets.Poll(context.Background(), "orders")
	got := fmt.Sprintf("%d new of %d in %d", r.New, r.Items, r.Requests)
	if err != nil {
		got = err.Error()
	}
	if !strings.Contains(got, want) {
		c.t.Errorf("%s, want %s", got, want)
	}
}

func (c *counter) keys() string {
	c.t.Helper()
	items, err := c.store.History().Events(context.Background(), engine.Query{Limit: 1000, Ascending: true})
	if err != nil {
		c.t.Fatal(err)
	}
	var out []string
	for _, e := range items {
		out = append(out, string(e.Inlet[:1])+e.Key)
	}
	return strings.Join(out, " ")
}

func (c *counter) webhook(key string) engine.Receipt {
	c.t.Helper()
	now := time.Now().UTC()
	r, err := c.engine.Accept(context.Background(), &engine.Delivery{Trigger: "orders", Inlet: "webhook", Key: key, Type: "orders",
		Time: now.Add(-2 * time.Second), ReceivedAt: now, Raw: []byte(`{"id":1}`), Dedupe: time.Hour})
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// noInbox knows nothing.
type noInbox struct{ triggers.Inbox }

func (noInbox) InletState(context.Context, string, string) (engine.InletState, error) {
	return engine.InletState{}, nil
}

func (noInbox) Known(context.Context, string, []string) (map[string]bool, error) { return nil, nil }
