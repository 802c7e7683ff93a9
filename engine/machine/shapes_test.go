package machine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// TestAChangedPayloadShapeIsReportedOnce: a new type, a new value and a field that is gone
// open one alert each and close once; a rare field opens none.
func TestAChangedPayloadShapeIsReportedOnce(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nwhen: event.data.n == 5\nsteps: [{uses: log, with: {message: x}}]", "alerts": listens})
	w.onFile()
	var opened atomic.Pointer[store.History]
	w.options.ShapesEvery = 10 * time.Millisecond
	w.options.Recent = func(ctx context.Context, trigger string, limit int, visit func(*engine.Event) bool) error {
		h := opened.Load()
		if h == nil {
			return nil
		}
		_, err := h.EachEvent(ctx, trigger, "", limit, visit)
		return err
	}
	e, s, stop := w.start(nil)
	opened.Store(w.file())
	sent := 0
	send := func(n int, body func(i int) string) {
		t.Helper()
		for i := range n {
			sent++
			if _, err := e.Accept(context.Background(), delivery(fmt.Sprint(sent), body(i))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	usual := func(i int) string {
		rare := ""
		if i%30 == 0 {
			rare = `, "rare": 1`
		}
		return fmt.Sprintf(`{"n": 1, "old": true, "kind": %q, "id": "id-%d"%s}`, []string{"a", "b"}[i%2], sent, rare)
	}
	send(120, usual)
	if open := e.OpenAlerts(); len(open) != 0 {
		t.Fatalf("nothing has changed, and there are %v", open)
	}
	send(2, func(int) string { return `{"n": "x", "old": true, "kind": "c", "id": "x"}` })
	if open := e.OpenAlerts(); len(open) != 0 {
		t.Fatalf("two events are few, and there are %v", open)
	}
	send(1, func(int) string { return `{"n": "x", "old": true, "kind": "c", "id": "x"}` })
	alertMessages(t, s, 2)
	for _, a := range e.OpenAlerts() {
		if strings.Contains(a.Subject, ".n ") && !strings.HasSuffix(a.Message,
			"event.data.n is string in 3 of the last 50, which it never was before; it is read by w") {
			t.Errorf("the message is %s", a.Message)
		}
	}
	send(60, func(i int) string { return `{"n": 1, "kind": "a", "id": "x"}` })
	alertMessages(t, s, 5)
	send(60, usual)
	got := alertMessages(t, s, 6)
	time.Sleep(100 * time.Millisecond)
	got = alertMessages(t, s, len(got))
	slices.Sort(got)
	want := []string{
		"alert.shape_changed hook t event.data.kind new_value c open", "alert.shape_changed hook t event.data.n new_type string open",
		"alert.shape_changed hook t event.data.old field_gone  open", "alert.shape_changed.closed hook t event.data.kind new_value c closed",
		"alert.shape_changed.closed hook t event.data.n new_type string closed",
		"alert.shape_changed.closed hook t event.data.old field_gone  closed"}
	if !slices.Equal(got, want) {
		t.Errorf("heard\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
