package machine_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// longText is a text that cannot be compressed: PostgreSQL compresses texts before it compares them with
// the largest row of an index, which is 2,704 bytes.
func longText(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	r := rand.New(rand.NewPCG(uint64(n), 1))
	var b strings.Builder
	for range n {
		b.WriteByte(letters[r.IntN(len(letters))])
	}
	return b.String()
}

// TestAWaitForALongKeyEnds: events have the digest of such a key, whoever makes them.
func TestAWaitForALongKeyEnds(t *testing.T) {
	for _, n := range []int{300, 301, 20_000} {
		w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: got, wait: {event: back, key: \"${{ event.data.ref }}\"}}\n" +
			"output: ${{ steps.got.output.data.n }}"})
		e, s, stop := w.start(nil)
		ref := longText(n)
		if _, err := e.Accept(t.Context(), delivery("k", fmt.Sprintf(`{"ref": %q}`, ref))); err != nil {
			t.Fatal(err)
		}
		stands(t, s, engine.Waiting)
		d := delivery(workflows.ShortKey(ref), `{"n": 7}`)
		d.Trigger = "back"
		if _, err := e.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if got := output(t, s, stands(t, s, engine.Succeeded)); got != "succeeded 7 " {
			t.Errorf("%d bytes: %s", n, got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACallToAHostWithALongNameIsRecorded: data can make the name of a host as long as a delivery.
func TestACallToAHostWithALongNameIsRecorded(t *testing.T) {
	w := newWorld(t, map[string]string{"w": toHost + "\non_failure: [{id: b, uses: test/act, with: {n: told}}]"})
	w.target.do = func(in engine.Input, _ int) (any, error) {
		if in.With["n"] == "told" {
			return nil, nil
		}
		return nil, fmt.Errorf("no such host")
	}
	w.act = hosts{w.target}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(t.Context(), delivery("k", fmt.Sprintf(`{"host": %q}`, longText(20_000)))); err != nil {
		t.Fatal(err)
	}
	d, err := s.History.RunDetail(t.Context(), stands(t, s, engine.Failed))
	if err != nil || d.ErrorStep != "a" || len(d.Steps) != 2 || d.Steps[0].Destination != "" {
		t.Errorf("step %q, %d attempts, %v", d.ErrorStep, len(d.Steps), err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
