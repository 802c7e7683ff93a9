package triggers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows/value"
)

// pollRecorder is an inbox that records what a poll stores.
type pollRecorder struct {
	Inbox
	text  *strings.Builder
	state engine.InletState
	known map[string]bool
	// fails are the errors of the calls to InletState, Known and Poll.
	fails [3]error
}

func (b *pollRecorder) InletState(context.Context, string, string) (engine.InletState, error) {
	return b.state, b.fails[0]
}

func (b *pollRecorder) Known(context.Context, string, []string) (map[string]bool, error) {
	return maps.Clone(b.known), b.fails[1]
}

func (b *pollRecorder) Alert(_ context.Context, a engine.Alert) {
	fmt.Fprintf(b.text, "    alert %s %s: %s %v\n", a.Kind, a.Trigger, a.Message, a.Data)
}

func (b *pollRecorder) Turn(context.Context, string) (func(), bool) { return func() {}, true }

func (b *pollRecorder) AskForTurn(context.Context, string) (func(), bool) { return func() {}, true }

func (b *pollRecorder) Poll(_ context.Context, x *engine.PollBatch) (fresh int, err error) {
	if b.fails[2] != nil {
		return 0, b.fails[2]
	}
	s := x.State
	fmt.Fprintf(b.text, "    stored %s %s: %+v, remember %t, observe %t, new %v\n", x.Trigger, x.Inlet, x.Cost, x.Remember, x.Observe,
		slices.Sorted(maps.Keys(x.New)))
	fmt.Fprintf(b.text, "    state: cursor %s, etag %q %q, asked %s, ok %s, failures %d, error %q, retry %s, times %s\n      rest %s\n",
		s.Cursor,
		s.ETag, s.Modified, brief(s.AskedAt), brief(s.OKAt), s.Failures, s.Error, brief(s.RetryAt), s.Timetable, s.Rest)
	for _, d := range x.Items {
		note := ""
		if !b.known[d.Key] {
			fresh, note = fresh+1, "new"
		}
		fmt.Fprintf(b.text, "    %s item %s of %s %s at %s, flag %q, for %v, %v, recovered %t, partial %t: %s\n", note, d.Key, d.Inlet,
			d.Type, brief(d.Time), d.Flag, d.Dedupe, d.Headers, d.Recovered, d.Partial, d.Raw)
		b.known[d.Key] = true
	}
	b.state = s
	return fresh, nil
}

func brief(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("15:04:05.999")
}

// answers makes an Ask of lines: a body, and headers as " ;; name=value"; "!429 90s" is a failure with a time to wait.
func (b *pollRecorder) answers(t *testing.T, lines []string) Ask {
	return func(_ context.Context, with map[string]any) (map[string]any, error) {
		asked, err := value.EncodeJSON(with)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b.text, "    asked %s\n", strings.ReplaceAll(string(asked), `"accept":["200-299",304],`, ""))
		if len(lines) == 0 {
			return nil, &plan.Error{Code: "network", Message: "no more answers"}
		}
		parts := strings.Split(lines[0], " ;; ")
		lines = lines[1:]
		if code, ok := strings.CutPrefix(parts[0], "!"); ok {
			status, wait, _ := strings.Cut(code, " ")
			e := &plan.Error{Code: "http_status", Message: "answered " + status}
			e.Status, _ = strconv.Atoi(status)
			e.RetryAfter, _ = time.ParseDuration(wait)
			return nil, e
		}
		headers := map[string]any{}
		out := map[string]any{"status": 200, "headers": headers, "url": with["url"], "bytes": len(parts[0])}
		for _, h := range parts[1:] {
			k, v, _ := strings.Cut(h, "=")
			switch k {
			case "status":
				out["status"], _ = strconv.Atoi(v)
			case "url":
				out["url"] = v
			default:
				headers[k] = v
			}
		}
		if out["body"], err = value.DecodeJSON([]byte(parts[0])); err != nil {
			out["body"] = parts[0]
		}
		return out, nil
	}
}

// clockOfPolls is the time of the first poll of a case. Each one after it comes an hour later.
var clockOfPolls = time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)

// TestPollsStoreWhatTheyFind: each request of a poll, what it stores of the answer, and what it reports, for answers of any kind.
func TestPollsStoreWhatTheyFind(t *testing.T) {
	var out strings.Builder
	for _, c := range pollCases {
		out.WriteString(c.name + "\n")
		config := c.config
		if config == "" {
			config = `poll: {every: 30m, request: {url: "https://shop.example/orders"}, ` + c.poll + `}`
		}
		p := projectOf(t, "server: {public_url: https://hooks.example.com}\ntriggers:\n  t:\n    "+config+"\n")
		book := &pollRecorder{text: &out, known: map[string]bool{}, state: c.state}
		in := NewInlets(book, slog.New(slog.DiscardHandler))
		for i, answers := range c.polls {
			err := in.Use(p, book.answers(t, answers), func(n string) (string, bool) { return "secret of " + n, true })
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			now := clockOfPolls.Add(time.Duration(i) * time.Hour)
			for _, x := range in.set.all() {
				x.now, x.firstPages = func() time.Time { return now }, 4
				if c.pages > 0 {
					x.firstPages = c.pages
				}
			}
			fmt.Fprintf(&out, "  poll %d\n", i+1)
			report, err := in.Poll(t.Context(), "t")
			text, jerr := json.Marshal(report)
			if jerr != nil {
				t.Fatal(jerr)
			}
			fmt.Fprintf(&out, "    report %s %v\n", text, err)
		}
	}
	testgolden.Compare(t, "polls.golden", out.String())
}

// TestPollNeedsItsStore: where its state cannot be read, nothing is asked. Where what is known cannot be read, or nothing can be
// stored, the poll has failed.
func TestPollNeedsItsStore(t *testing.T) {
	p := projectOf(t, `triggers: {t: {poll: {every: 30m, request: {url: "https://shop.example/orders"}, key: item.id}}}`)
	for i, want := range []string{"no state", "page 1: not known", "not stored"} {
		var out strings.Builder
		book := &pollRecorder{text: &out, known: map[string]bool{}}
		book.fails[i] = errors.New(strings.TrimPrefix(want, "page 1: "))
		in := NewInlets(book, slog.New(slog.DiscardHandler))
		if err := in.Use(p, book.answers(t, []string{`[{"id":1}]`}), func(string) (string, bool) { return "", false }); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Poll(t.Context(), "t"); err == nil || err.Error() != want || strings.Contains(out.String(), "asked") != (i > 0) {
			t.Errorf("%v, want %s: %s", err, want, out.String())
		}
		if _, err := in.Poll(t.Context(), "other"); !errors.Is(err, engine.ErrNotFound) ||
			err.Error() != `trigger "other" has no poll inlet: `+
				engine.ErrNotFound.Error() {
			t.Errorf("another trigger: %v", err)
		}
	}
}
