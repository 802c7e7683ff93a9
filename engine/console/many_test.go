package console_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// busy is an operator whose lists are long enough for several pages.
type busy struct{ *recordingOperator }

func (b busy) OpenAlerts() (list []engine.OpenAlert) {
	for i := range 51 {
		list = append(list, engine.OpenAlert{Kind: "run_failed", Message: fmt.Sprint("alert-", i)})
	}
	return list
}

func (b busy) Destinations() (list []destination.State) {
	for i := range 501 {
		name := fmt.Sprintf("https://h%d.example", i)
		list = append(list, destination.State{Name: name, Host: name, Circuit: "closed"})
	}
	return list
}

func (b busy) Batches(context.Context) (list []engine.Batch, err error) {
	for range 201 {
		list = append(list, *b.batch(9, engine.BatchRunning))
	}
	return list, nil
}

// manyRuns stores n runs of the workflow quiet in one transaction.
func (w *world) manyRuns(n int, status engine.RunStatus) {
	ids, ds, ms := make([]engine.EventID, n), make([]*engine.Delivery, n), make([]engine.Match, n)
	for i := range n {
		at := w.at(time.Minute)
		ids[i] = engine.EventID(w.id(time.Minute))
		ds[i] = &engine.Delivery{Trigger: "quiet", Inlet: workflows.InletWebhook, Key: fmt.Sprint("many", ids[i]), Type: "many",
			Time: at, ReceivedAt: at,
			Raw: []byte("{}"), Dedupe: time.Hour}
		r := &engine.Run{ID: engine.RunID(w.id(time.Minute)), Event: ids[i], Workflow: "quiet", Version: "q", Status: status,
			CreatedAt: at, DueAt: w.at(-time.Hour)}
		if status == engine.Failed {
			r.StartedAt, r.FinishedAt, r.DueAt = at, at, time.Time{}
			r.Error = &plan.Error{Message: "no luck", Code: "fail", Step: "s"}
		}
		ms[i] = engine.Match{Event: ids[i], At: at, Decisions: []engine.Decision{{Workflow: "quiet", Version: "q",
			Outcome: engine.Matched, Run: r.ID}},
			Starts: []engine.RunUpdate{{Run: r, New: true}}}
	}
	_, err := w.store.AcceptAll(w.t.Context(), ids, ds)
	w.must(err)
	_, err = w.store.Match(w.t.Context(), ms)
	w.must(err)
}

// TestPagesAndOrdersAreLimitedInSize counts what long lists show, and what one order changes.
func TestPagesAndOrdersAreLimitedInSize(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for range 1001 {
			w.must(w.store.Refuse(t.Context(), engine.Refusal{At: w.at(time.Minute), Trigger: "quiet", Reason: "wrong method", Method: "GET"}))
		}
		for i := range 998 {
			_, err := w.store.ChangeValue(t.Context(), engine.ValueChange{ValueRef: engine.ValueRef{Key: fmt.Sprint("many", i)},
				Kind:  engine.ValueSet,
				Value: "1", Now: w.now, MaxKeys: 9999, MaxBytes: 99999})
			w.must(err)
		}
		w.manyRuns(1001, engine.Failed)
		w.manyRuns(1001, engine.Queued)
		c := w.made(func(o *console.Options) { o.Operator = busy{w.operator} })
		var run struct{ Items []struct{ ID string } }
		w.decode(get(c, "GET", "/api/v1/runs?workflow=quiet&status=failed&limit=1", nil, "").Body.String(), &run)
		for _, x := range []struct {
			path, part string
			want       int
		}{
			{"/runs/" + run.Items[0].ID, `<option value="run_`, 20},
			{"/", "alert-", 50}, {"/", `<a class="title" href="/destination?name=`, 10},
			{"/destinations", `<a class="title" href="/destination?name=`, 500}, {"/batches", `<a href="/batches/bat_`, 200},
			{"/trigger?name=quiet", `<a href="/events/evt_`, 10}, {"/trigger?name=quiet", `<a href="/quarantine/ref_`, 5},
			{"/search?q=many", `<a href="/events/evt_`, 20}, {"/search?q=quiet", `<a href="/runs/run_`, 20},
			{"/search?q=method", `<a href="/quarantine/ref_`, 20}, {"/quarantine", `<a href="/quarantine/ref_`, 50},
			{"/playground", `<option value="evt_`, 20}, {"/deadletters?workflow=quiet&reason=fail", `name="run" value="run_`, 500},
			{"/api/v1/quarantine", `"id":"ref_`, 50}, {"/api/v1/quarantine?limit=1000", `"next":"ref_`, 1},
			{"/api/v1/store?limit=1000", `"key":`, 1000}, {"/api/v1/store?limit=1000", `"next":""`, 0},
			{"/api/v1/store?limit=2", `"key":`, 2},
		} {
			if got := strings.Count(get(c, "GET", x.path, nil, "").Body.String(), x.part); got != x.want {
				t.Errorf("%s shows %d of %s, want %d", x.path, got, x.part, x.want)
			}
		}
		act := map[string]string{"X-Hookloom": "1"}
		for path, x := range map[string]struct{ body, want, asked string }{
			"runs/cancel":        {`{"workflow":"quiet"}`, `"count":1000,`, "cancel"},
			"deadletters/replay": {`{"workflow":"quiet","reason":"fail"}`, `"count":1000,"left":1,`, "replay"},
			"quarantine/replay":  {`{"trigger":"quiet"}`, `"refused":0,"left":true}`, "admit"},
		} {
			w.operator.asked, w.operator.audited = nil, nil
			got := get(c, "POST", "/api/v1/"+path, act, x.body).Body.String()
			if !strings.Contains(got, x.want) || len(w.operator.asked) != 1000 || !strings.HasPrefix(w.operator.asked[999], x.asked) ||
				path == "runs/cancel" && !strings.HasSuffix(strings.TrimSpace(got), `"more":true}`) {
				t.Errorf("%s: %d asked, %.80s … %s", path, len(w.operator.asked), got, got[max(0, len(got)-80):])
			}
			if n := len(w.operator.audited[0].Detail); n < 800 || n > 2000 {
				t.Errorf("%s: %d letters are audited", path, n)
			}
		}
		csrf := csrfOf(t, c, "/store", nil)
		ids := url.Values{}
		w.decode(get(c, "GET", "/api/v1/runs?workflow=quiet&status=failed&limit=1000", nil, "").Body.String(), &run)
		for i := range 1001 {
			ids.Add("run", fmt.Sprintf("evt_%016x quiet", i+1))
		}
		if got := w.send(c, csrf, order{path: "/deadletters/replay", body: ids.Encode()}); got.Code != 400 ||
			!strings.Contains(got.Body.String(), "at most 1000 at once; you chose 1001") {
			t.Errorf("%d %s", got.Code, said(got.Body.String()))
		}
		ids.Del("run")
		for _, x := range run.Items[:201] {
			ids.Add("run", x.ID)
		}
		ids.Set("confirm", "yes")
		to := w.send(c, csrf, order{path: "/deadletters/replay", body: ids.Encode()}).Header().Get("Location")
		if got := get(c, "GET", to, nil, "").Body.String(); strings.Count(got, "<li>run_") != 200 || !strings.Contains(got, "201 replayed") {
			t.Errorf("%d runs are listed", strings.Count(got, "<li>run_"))
		}
		to = w.send(c, csrf, order{path: "/quarantine/admit", body: "trigger=quiet&confirm=yes"}).Header().Get("Location")
		if got := get(c, "GET", to, nil, "").Body.String(); strings.Count(got, "/events/evt_") != 200 {
			t.Errorf("%d events are listed", strings.Count(got, "/events/evt_"))
		}
	})
}
