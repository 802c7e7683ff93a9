package console_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testgolden"
)

func forecastOf(w *world) *engine.Forecast {
	return &engine.Forecast{Events: 9, Looked: 8, Runs: 2, Chosen: []engine.Chosen{{Event: 1, Workflow: "orders"}},
		Workflows: []engine.PlannedWorkflow{{Workflow: "orders", Version: "v", Runs: 2, NotMatched: 3, RuleFailed: 1,
			Known: 4, Repeated: 1, DoneSteps: 2}}}
}

func switches(w *world) map[string]engine.Switch {
	return map[string]engine.Switch{"paused": {Workflow: "paused", By: "ada", At: w.at(time.Hour), State: engine.SwitchHold},
		"quiet": {Workflow: "quiet", State: engine.SwitchDraining}}
}

// order is a request that changes something: a form, or with api a call.
type order struct {
	name, path, body string
	api              bool
}

// orders reads a list of forms or calls.
func (w *world) orders(list string, api bool) []order {
	if w.groups == nil {
		groups, err := w.o.Log.DeadGroups(w.t.Context(), engine.Query{Workflow: "orders"})
		w.must(err)
		w.groups = strings.NewReplacer("GROUP", groups[0].ID)
	}
	var out []order
	for _, line := range strings.Split(strings.Trim(list, "\n"), "\n") {
		path, body, _ := strings.Cut(line, " ")
		out = append(out, order{line, w.named(path), w.named(w.groups.Replace(body)), api})
	}
	return out
}

// send carries out an order.
func (w *world) send(c http.Handler, csrf string, o order) *httptest.ResponseRecorder {
	if o.api {
		return get(c, "POST", "/api/v1/"+o.path, map[string]string{"X-Hookloom": "1"}, o.body)
	}
	return get(c, "POST", o.path, map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"},
		strings.TrimSuffix("csrf="+csrf+"&"+o.body, "&"))
}

// forms are the forms of the pages: a path, and the fields besides the CSRF token.
const forms = `
/runs/FAILED/replay from=failed&version=current&again=yes
/runs/FAILED/replay from=x
/runs/x/replay
/runs/RUNNING/cancel
/runs/x/cancel
/runs/x/cancel confirm=yes
/runs/RUNNING/cancel confirm=yes
/runs/run_0000000000000001/cancel
/runs/ASKING/answer step=check/ask&verdict=approve&by=+ada+&comment=fine+by+me
/runs/x/answer
/events/MATCHED/replay
/events/MATCHED/replay from=failed
/events/MATCHED/replay confirm=yes
/events/MATCHED/replay confirm=yes&workflow=orders&version=current
/events/MATCHED/replay confirm=yes&from=x
/events/MATCHED/replay from=x
/events/PENDING/replay confirm=yes
/events/PENDING/replay
/events/x/replay
/events/x/replay confirm=yes
/conflicts/cfl_1/admit
/conflicts/x/admit
/quarantine/ref_1/admit
/quarantine/x/admit
/quarantine/admit trigger=shop
/quarantine/admit trigger=none
/quarantine/admit trigger=shop&reason=signature+missing&confirm=yes
/trigger/send name=shop&kind=order.paid
/trigger/send name=shop&kind=order.paid&how=send
/trigger/send name=quiet&kind=tick&how=send
/trigger/send name=shop&kind=order.paid&how=send&confirm=yes
/trigger/poll name=feed
/trigger/await-secret name=shop
/workflow/fire id=none
/workflow/fire id=billing/refund&input.card=4242&input.full=true&input.kind=late&input.lines=[1]&why=asked&once=form1
/workflow/fire id=billing/refund&once=form1
/workflow/fire id=orders&input.amount=900&input.note=n&why=asked
/workflow/enable id=orders
/workflow/enable id=paused
/workflow/disable id=orders
/workflow/disable id=none
/workflow/disable id=orders&hold=yes
/workflow/disable id=orders&hold=yes&confirm=yes
/workflow/disable id=orders&confirm=yes
/destinations/resume endpoint=https://gone.example/x
/destinations/resume endpoint=x
/deadletters/replay
/deadletters/replay run=FAILED&from=failed
/deadletters/replay run=FAILED&from=x
/deadletters/replay run=x
/deadletters/replay run=run_0000000000000001
/deadletters/replay run=LONG&run=FAILED2&run=FAILED&run=FAILED&run=CONFLICTING+quiet&run=x+quiet&confirm=yes
/deadletters/replay group=GROUP&filters=workflow%3Dorders
/deadletters/replay group=GROUP&filters=workflow%3Dorders&confirm=yes&version=current
/deadletters/replay group=GROUP&filters=%25zz
/deadletters/replay group=none
/deadletters/replay group=GROUP&filters=workflow%3Dnone
/deadletters/replay group=GROUP&filters=limit%3D0
/replays trigger=shop&since=1h&status=filtered&rate=5&skip_done=yes&once=form2
/replays trigger=shop&once=form2
/replays since=x
/replays until=x
/replays rate=x
/batches/bat_0000000000000009/pause
/batches/bat_0000000000000009/resume
/batches/bat_0000000000000009/cancel
/batches/x/cancel
/store key=k&value=plain&ttl=+1h+
/store workflow=orders&key=a+b&value={"n":+1}
/store key=k&value=1&ttl=-1h
/store/delete key=k&workflow=orders
/playground expression=a+%2B+1&event=+last+
/playground expression=a+%2B
/workflow/changes id=orders&since=2h&limit=7
/workflow/changes id=orders&from=text&text=on:+shop
/workflow/changes id=orders&from=text
/workflow/changes id=orders&limit=0
/workflow/changes id=orders&limit=20001
/workflow/changes id=orders&since=x
/logout
`

// calls are the calls of the API that change something: a path, and the body.
const calls = `
runs/FAILED/replay {"from":"failed","version":"current","by":"ada","again":true}
runs/x/replay {}
runs/FAILED/replay {"version":"x"}
events/MATCHED/replay {"by":"ada"}
events/MATCHED/replay {"dry_run":true}
events/MATCHED/replay {"workflow":"orders","again":true}
events/MATCHED/replay {"from":"x"}
events/x/replay {}
events/PENDING/replay {}
runs/cancel {"workflow":"orders"}
runs/cancel {"workflow":"orders","status":"queued, waiting","dry_run":true}
runs/cancel {"workflow":"orders","status":["failed"]}
runs/cancel {}
runs/cancel {
runs/cancel {"since":"5m"}
runs/cancel {"since":"x"}
runs/cancel {"trigger":"none"}
deadletters/replay {"workflow":"orders","by":"ada"}
deadletters/replay {"dry_run":true}
deadletters/replay {"group":"GROUP"}
deadletters/replay {"again":true}
deadletters/replay {"since":"x"}
deadletters/replay {"host":"nowhere"}
deadletters/replay {"from":"x"}
deadletters/replay {"status":"rule_failed"}
replays {"trigger":"shop","since":"1h","until":"1m","status":"filtered,skipped","rate":3,"by":"ada"}
replays {"workflow":"orders","since":"1h","dry_run":true}
replays {"workflow":"orders","dry_run":true,"whole":true,"until":"1m"}
replays {"since":"x"}
replays {"until":"x"}
replays {"x":1}
batches/bat_0000000000000009/pause
batches/bat_0000000000000009/resume
batches/bat_0000000000000009/cancel
batches/x/cancel
workflows/orders/enable {"by":"ada"}
workflows/paused/enable {"hold":true}
workflows/billing/refund/disable {"hold":true}
workflows/orders/disable
workflows/orders/disable []
workflows/orders/none
workflows/fire
quarantine/replay {"trigger":"shop","reason":"signature missing","since":"1h"}
quarantine/replay {"trigger":"shop","since":"x"}
quarantine/ref_1/replay
quarantine/x/replay
conflicts/cfl_1/admit {"by":"ada"}
conflicts/x/admit
conflicts/cfl_1/admit []
destinations/resume {"endpoint":"https://gone.example/x"}
destinations/resume {"endpoint":"x"}
destinations/resume []
prune {"keep":"30d","bodies":"7d","max_size":"1GB"}
prune {"keep":"x"}
prune []
triggers/feed/poll
triggers/shop/await-secret
triggers/shop/send {"type":"order.paid"}
triggers/shop/send []
nodes/n2/drain
workflows/orders/fire {"inputs":{"amount":3},"by":"ada","why":"asked"}
workflows/orders/fire {"inputs":7}
workflows/orders/fire []
workflows/orders/fire
workflows/none/fire {"inputs":{"a":1}}
runs/ASKING/approve {"step":"check/ask","verdict":"reject","by":"ada","comment":"no"}
runs/ASKING/approve {"link":true,"step":"check/ask","by":"ada"}
runs/ASKING/approve {"link":true}
runs/x/approve
runs/ASKING/approve []
runs/ASKING/approve {"result":{"n":1}}
runs/RUNNING/cancel
runs/x/cancel
store {"key":"k","value":{"n":1},"ttl":"1h","expect":null,"by":"ada"}
store {"key":"k"}
store {"key":"k","value":1,"ttl":"0s"}
store []
store/delete {"key":"k","workflow":"orders","by":"ada"}
store/delete []
connections/crm/test
connections/crm/connect {"redirect":"https://x.example/"}
connections/crm/connect
connections/crm/connect []
connections/crm/finish {"state":"s","code":"c"}
connections/crm/finish []
`

// event is the id of a run's event.
func (d *recordingOperator) event(id engine.RunID) string {
	x, err := d.w.o.Log.RunOne(d.w.t.Context(), id)
	d.w.must(err)
	return x.Event
}

// pending is the id of the event that is not decided.
func (d *recordingOperator) pending() string {
	p, err := d.w.o.Log.EventPage(d.w.t.Context(), engine.Query{Trigger: "shop", Status: "pending"})
	d.w.must(err)
	return p.Items[0].ID
}

// TestRefusedActionIsAnsweredInTheFormOfItsRequest: a page for a form, and JSON for a call of the API.
func TestRefusedActionIsAnsweredInTheFormOfItsRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.made(nil)
		for path, want := range map[string]string{"/runs/RUNNING/cancel": "<p role=\"alert\">this form has expired",
			"/api/v1/runs/RUNNING/cancel": `{"error":"this call`} {
			out := get(c, "POST", w.named(path), nil, "")
			if out.Code != http.StatusForbidden || !strings.Contains(out.Body.String(), want) || len(w.operator.calls()) != 0 {
				t.Errorf("%s: %d %s", path, out.Code, out.Body)
			}
		}
	})
}

// TestFormsDoWhatTheySay compares what each form asks of the operator, what it answers and what the audit log has
// of it with the golden file.
func TestFormsDoWhatTheySay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.operator.forecast, w.operator.undecided, w.operator.outcome = forecastOf(w), []string{"orders", "paused"}, "matched"
		c := w.made(nil)
		csrf := csrfOf(t, c, "/store", nil)
		var b bytes.Buffer
		for _, again := range []bool{false, true} {
			for _, o := range w.orders(forms, false) {
				r := w.send(c, csrf, o)
				if asked := w.operator.calls(); !again || len(asked) > 1 {
					fmt.Fprintf(&b, "=== %s %s%s\n", o.name, shownPart(r), strings.Join(asked, "\n"))
				}
				if to := r.Header().Get("Location"); strings.HasPrefix(to, "/shown/") || strings.Contains(to, "&shown=") {
					fmt.Fprintf(&b, "--- %s\n", shownPart(get(c, "GET", to, nil, "")))
				}
			}
			w.operator.already, w.operator.outcome, w.operator.undecided = true, "filtered", []string{"orders"}
		}
		testgolden.Compare(t, "forms.golden", b.String())
	})
}

// TestCallsDoWhatTheySay does the same for the calls of the API.
func TestCallsDoWhatTheySay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.operator.forecast, w.operator.undecided, w.operator.outcome = forecastOf(w), []string{"orders", "paused"}, "matched"
		c := w.made(nil)
		var b bytes.Buffer
		for _, again := range []bool{false, true} {
			for _, o := range w.orders(calls, true) {
				r := w.send(c, "", o)
				if asked := w.operator.calls(); !again || len(asked) > 1 {
					fmt.Fprintf(&b, "=== %s %s%s\n", o.name, shownPart(r), strings.Join(asked, "\n"))
				}
			}
			w.operator.already, w.operator.outcome, w.operator.undecided = true, "filtered", []string{"orders"}
		}
		testgolden.Compare(t, "calls.golden", b.String())
	})
}

// TestFailedOrdersAreExplained checks the status of each form and call when the operator refuses it.
func TestFailedOrdersAreExplained(t *testing.T) {
	refusals := []error{engine.ErrNotFound, engine.ErrStale, engine.ErrFull, engine.ErrBusy, engine.ErrClosed,
		fmt.Errorf("%w: a mistake", engine.ErrQuery),
		context.Canceled, &plan.Error{Message: "too long", Code: "invalid_input"}, &plan.Error{Message: "another value",
			Code: "conflict"},
		&plan.Error{Message: "no room", Code: "store_full"}, errors.New("the reason")}
	inBubble(t, func(t *testing.T, w *world) {
		w.operator.forecast = forecastOf(w)
		csrf := csrfOf(t, w.made(func(o *console.Options) { o.SessionKey = sameKey }), "/store", nil)
		var b bytes.Buffer
		for _, o := range append(w.orders(forms, false), w.orders(calls, true)...) {
			c := w.made(func(o *console.Options) { o.SessionKey = sameKey })
			var list []string
			for i, err := range refusals {
				if i == 2 && list[0] == list[1] {
					break // it does not come so far
				}
				w.operator.err = err
				text := shownPart(w.send(c, csrf, o))
				w.operator.err = nil
				asked := ""
				for _, x := range w.operator.calls() {
					if !strings.HasPrefix(x, "audit") || !strings.HasSuffix(x, text[:3]) {
						asked += " " + strings.Fields(x)[0]
					}
				}
				list = append(list, text[:3]+asked+" "+said(text))
			}
			fmt.Fprintf(&b, "=== %s\n%s\n", o.name, strings.Join(compact(list), "\n"))
		}
		testgolden.Compare(t, "refused.golden", b.String())
	})
}
