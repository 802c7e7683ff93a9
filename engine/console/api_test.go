package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestAPITellsWhyAPollFailed checks the response to a poll that a person asks for.
func TestAPITellsWhyAPollFailed(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true, Poll: func(_ context.Context, trigger string) (any, error) {
		switch trigger {
		case "gone":
			return nil, engine.ErrNotFound
		case "busy":
			return nil, engine.ErrBusy
		case "down":
			return nil, errors.New("no answer")
		}
		return map[string]int{"items": 3}, nil
	}})
	for trigger, want := range map[string]int{"gone": 404, "busy": 409, "down": 502, "shop": 200} {
		w := get(c, "POST", "/api/v1/triggers/"+trigger+"/poll", map[string]string{"X-Hookloom": "1"}, "")
		if w.Code != want || (want == 200) != (strings.TrimSpace(w.Body.String()) == `{"items":3}`) {
			t.Errorf("%s: %d %s, want %d", trigger, w.Code, w.Body, want)
		}
	}
}

// TestOverviewCoversADayUnlessAskedOtherwise checks the number of steps, and that it is bounded.
func TestOverviewCoversADayUnlessAskedOtherwise(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true, State: func() *engine.ProjectState { return nil }})
	for query, want := range map[string]int{"": 25, "?since=2h": 3, "?since=2h&step=30m": 5,
		"?step=1ms": 0, "?since=1001h": 0, "?since=x": 0} {
		w := get(c, "GET", "/api/v1/overview"+query, nil, "")
		var answer struct{ Buckets []json.RawMessage }
		err := json.Unmarshal(w.Body.Bytes(), &answer)
		if err != nil || (w.Code == 200) != (want > 0) || len(answer.Buckets) != want {
			t.Errorf("%s: %d, %d steps, want %d: %.300s", query, w.Code, len(answer.Buckets), want, w.Body)
		}
	}
}

// TestValuesAreListedAndDeleted checks the responses about stored values.
func TestValuesAreListedAndDeleted(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true})
	if w := get(c, "GET", "/api/v1/store?limit=0", nil, ""); w.Code != 400 || !strings.Contains(w.Body.String(), "limit must be") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := get(c, "POST", "/api/v1/store/delete", map[string]string{"X-Hookloom": "1"}, `{"workflow": "w", "key": "k"}`)
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"status":"deleted"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestPlaygroundTakesOneSourceOfData checks what the playground refuses, and what it evaluates.
func TestPlaygroundTakesOneSourceOfData(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true, Evaluate: func(_ context.Context, text, event, data string) (*expr.Evaluation, error) {
		return expr.Evaluate("'got ' + a + b + c", &expr.Env{Names: expr.Names{"a": text, "b": event, "c": data}})
	}})
	for query, want := range map[string]string{
		"expression=1":                                "got 1",
		"expression=1&event=evt_1":                    "got 1evt_1",
		"expression=1&data=%7B%7D":                    "got 1{}",
		"expression=1&event=evt_1&data=+":             "got 1evt_1 ",
		"expression=1&event=evt_1&data=%7B7":          "choose a recorded event or paste one, not both",
		"expression=" + strings.Repeat("1", 64<<10):   "got 1",
		"expression=" + strings.Repeat("1", 64<<10+1): "the expression has 65537 bytes; at most 65536 are allowed",
		"expression=+":                                "type an expression",
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		v.Set("csrf", csrfOf(t, c, "/playground", nil))
		w := form(c, "/playground", nil, v)
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.50s: %d, no %q in %s", query, w.Code, want, w.Body)
		}
	}
}
