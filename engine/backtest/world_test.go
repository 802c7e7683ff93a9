package backtest_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

const settings = `triggers:
  hook: {webhook: {auth: none}}
  back: {webhook: {auth: none}}
  inside: {}
`

var specs = map[string]*workflows.ActionSpec{
	"test/act": {Name: "test/act", SideEffects: true, Inputs: []workflows.ActionInput{{Name: "n", Type: "any"}, {Name: "url", Type: "string"},
		{Name: "fail", Type: "any"}}},
	"test/look": {Name: "test/look", Inputs: []workflows.ActionInput{{Name: "n", Type: "string"}}},
	"log":       {Name: "log", Inputs: []workflows.ActionInput{{Name: "message", Type: "string"}}},
}

// load loads a project with workflows by name.
func load(t testing.TB, flows map[string]string) *workflows.Project {
	t.Helper()
	files := workflows.Files{"hookloom.yaml": []byte(settings)}
	for id, text := range flows {
		if strings.Contains(id, "/") { // a connector
			files["hookloom.yaml"] = append(files["hookloom.yaml"], "connections: {crm: {}}\n"...)
			files[id+".yaml"] = []byte(text)
			continue
		}
		files["workflows/"+id+".yaml"] = []byte(text)
	}
	all := actions.Catalog().With(slices.Collect(maps.Values(specs))...)
	p, mistakes := workflows.LoadFiles(t.TempDir(), files, workflows.Catalog{Actions: all}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	return p
}

// target answers test/act: with what it was sent, after some time, or with an error as often as
// requested.
type target struct {
	mu    sync.Mutex
	tries map[string]int
}

func (g *target) Do(_ context.Context, in engine.Input) (any, error) {
	g.mu.Lock()
	g.tries[in.Key]++
	n := g.tries[in.Key]
	g.mu.Unlock()
	time.Sleep(time.Duration(10+len(in.Path)*7)*time.Millisecond + 370*time.Microsecond) // stored times are in milliseconds
	if fail, ok := in.With["fail"].(int); ok && n <= fail {
		return nil, &plan.Error{Message: "busy", Code: "http_status", Status: 503, Retryable: true}
	}
	return map[string]any{"got": in.With["n"], "try": n}, nil
}

func (g *target) Destination(in engine.Input) string {
	if u, _ := in.With["url"].(string); u != "" {
		return "https://api.example.com"
	}
	return ""
}

func table() map[string]engine.Action {
	out := actions.Executors(actions.Options{Client: &http.Client{Transport: service{}}})
	out["test/act"] = &target{tries: map[string]int{}}
	out["test/look"] = look{}
	return out
}

// look is an action without external effects, which fails if requested.
type look struct{}

func (look) Do(_ context.Context, in engine.Input) (any, error) {
	switch in.With["n"] {
	case "known":
		return nil, &plan.Error{Message: "not there", Code: "not_found", Step: "of its own"}
	case "other":
		return nil, io.ErrUnexpectedEOF
	}
	return in.With["n"], nil
}

// service answers the requests of connectors: with an id, after some time.
type service struct{}

func (service) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(5 * time.Millisecond)
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(`{"id": "c1", "name": "Ada"}`))}, nil
}

// delivery returns a delivery of a trigger.
func delivery(trigger, key, body string) *engine.Delivery {
	now := time.Now().UTC()
	return &engine.Delivery{Trigger: trigger, Inlet: "webhook", Key: key, Type: "t", Time: now, ReceivedAt: now, Raw: []byte(body),
		Headers: map[string]string{"content-type": "application/json"}, Dedupe: time.Hour}
}

// record runs workflows with the real engine and a real database, in simulated time.
func record(t *testing.T, flows map[string]string, drive func(ctx context.Context, e *machine.Engine)) (path string) {
	t.Helper()
	return recordFrom(t, time.Time{}, flows, drive)
}

// recordFrom is record that begins at a time.
func recordFrom(t *testing.T, begin time.Time, flows map[string]string, drive func(ctx context.Context, e *machine.Engine)) (path string) {
	t.Helper()
	path = newPath(t)
	recordInto(t, path, begin, flows, drive)
	return path
}

// newPath returns a path for a new database.
func newPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "db")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "x.db")
}

// recordInto is recordFrom with the path of the database.
func recordInto(t *testing.T, path string, begin time.Time, flows map[string]string, drive func(ctx context.Context, e *machine.Engine)) {
	t.Helper()
	p := load(t, flows)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(begin))
		s, err := store.Open(context.Background(), path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		e := machine.New(machine.Options{Store: s, Grace: 200 * time.Millisecond, Actions: table(),
			Log: slog.New(slog.DiscardHandler), Secrets: func(name string) (string, bool) { return "hidden-" + name, true }})
		ctx, cancel := context.WithCancel(context.Background())
		if err := e.Use(ctx, p); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		drive(ctx, e)
		for range 2000 {
			synctest.Wait()
			c, err := s.History().Counts(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if c.Open == 0 && c.Inbox == 0 {
				break
			}
			time.Sleep(20 * time.Minute)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// send sends events of hook with the given bodies.
func send(t testing.TB, bodies ...string) func(context.Context, *machine.Engine) {
	return func(ctx context.Context, e *machine.Engine) {
		for i, body := range bodies {
			if _, err := e.Accept(ctx, delivery("hook", fmt.Sprint("k", i), body)); err != nil {
				t.Error(err)
			}
			time.Sleep(3 * time.Second)
		}
	}
}

// found is the result of a backtest.
type found struct {
	*backtest.Report
	changes []backtest.Change
	unknown []backtest.Unknown
}

func test(t testing.TB, path string, flows map[string]string, set func(*backtest.Options)) found {
	t.Helper()
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var f found
	o := backtest.Options{History: h, Project: load(t, flows), Actions: table(),
		Change:  func(c backtest.Change) error { f.changes = append(f.changes, c); return nil },
		Unknown: func(u backtest.Unknown) error { f.unknown = append(f.unknown, u); return nil }}
	if set != nil {
		set(&o)
	}
	if f.Report, err = backtest.Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if g := goldens[t.Name()]; g != nil {
		g.note(t, path, f)
	}
	return f
}

// randomFlow returns a workflow of random steps that can all end by themselves.
func randomFlow(r *rand.Rand) string {
	n := 0
	var steps func(depth int, pad string) string
	steps = func(depth int, pad string) (out string) {
		for range 1 + r.IntN(3) {
			n++
			own := n // the steps inside continue the count
			kind := r.IntN(12)
			if depth >= 3 && kind >= 6 {
				kind = 0
			}
			inner := func() string { return steps(depth+1, pad+"    ") }
			switch kind {
			case 0, 1:
				out += fmt.Sprintf("%s- {id: s%d, uses: test/act, with: {n: \"${{ event.data.n }} ${{ uuid() }} ${{ now() }}\", fail: %d}, "+
					"retry: {max: 2, delay: 1s}, continue_on_error: %v}\n", pad, n, r.IntN(5), r.IntN(2) == 0)
			case 2:
				out += fmt.Sprintf("%s- sleep: %dm\n", pad, 1+r.IntN(90))
			case 3:
				out += fmt.Sprintf("%s- set: {v%d: \"${{ event.data.n + %d }}\"}\n", pad, n, r.IntN(9))
			case 4:
				out += fmt.Sprintf("%s- {if: event.data.n > %d, uses: log, with: {message: \"${{ now() }}\"}}\n", pad, r.IntN(9))
			case 5:
				out += fmt.Sprintf("%s- {id: s%d, call: callee, with: {x: %d}, detach: %v}\n", pad, n, n, r.IntN(2) == 0)
			case 6:
				out += fmt.Sprintf("%s- parallel:\n%s", pad, inner())
			case 7:
				out += fmt.Sprintf("%s- foreach: event.data.list\n%s  as: i%d\n%s  max_parallel: %d\n%s  steps:\n%s", pad, pad, own, pad,
					1+r.IntN(3), pad, inner())
			case 8:
				out += fmt.Sprintf("%s- switch: event.data.kind\n%s  cases:\n%s    x:\n%s", pad, pad, pad, steps(depth+1, pad+"      "))
			case 9:
				out += fmt.Sprintf("%s- deadline: %dm\n%s  continue_on_error: true\n%s  steps:\n%s", pad, 1+r.IntN(40), pad, pad, inner())
			case 10:
				out += fmt.Sprintf("%s- timeout: %dm\n%s  continue_on_error: true\n%s  steps:\n%s", pad, 1+r.IntN(40), pad, pad, inner())
			case 11:
				out += fmt.Sprintf("%s- if: event.data.n > %d\n%s  steps:\n%s%s  else:\n%s", pad, r.IntN(9), pad, inner(), pad, inner())
			}
		}
		return out
	}
	head := "on: hook\ntimeout: 100h\n"
	switch r.IntN(5) {
	case 0:
		head += "concurrency: 1\n"
	case 1:
		head += "rate: {limit: 2, per: 10m}\n"
	case 2:
		head += fmt.Sprintf("deadline: %dm\nfinally: [{uses: test/act, with: {n: \"${{ run.status }}\"}}]\n", 1+r.IntN(200))
	}
	return head + "steps:\n" + steps(0, "  ")
}

// idsOf lists the events of a database, oldest first.
func idsOf(t testing.TB, path string) (ids []string) {
	t.Helper()
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	err = h.RecordedIDs(context.Background(), engine.RecordedQuery{}, func(id engine.EventID) { ids = append(ids, id.String()) })
	if err != nil {
		t.Fatal(err)
	}
	return ids
}
