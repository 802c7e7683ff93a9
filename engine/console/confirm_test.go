package console_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// TestPageActionAsksForConfirmation checks that one click changes nothing.
func TestPageActionAsksForConfirmation(t *testing.T) {
	c, op := made(t, tokens("a-token", ""))
	k, _ := login(t, c, "a-token", "/", nil)
	run, event := "/runs/run_0000000000000002", "/events/evt_0000000000000001"
	for _, x := range []struct {
		path   string
		fields url.Values
		says   string
	}{
		{run + "/cancel", nil, "What its steps have done stays done."},
		{event + "/replay", url.Values{"from": {"start"}}, "from the start"},
		{event + "/replay", url.Values{"workflow": {"w"}}, "decide by w"},
		{"/workflow/disable", url.Values{"id": {"w"}, "hold": {"yes"}}, "New events are held"},
	} {
		fields := url.Values{"csrf": {csrfOf(t, c, run, k)}}
		for name, v := range x.fields {
			fields[name] = v
		}
		w := form(c, x.path, k, fields)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), x.says) || !strings.Contains(w.Body.String(), `name="confirm"`) {
			t.Errorf("%s: %d %s", x.path, w.Code, w.Body)
		}
		for name, v := range x.fields {
			if !strings.Contains(w.Body.String(), `name="`+name+`" value="`+v[0]+`"`) {
				t.Errorf("%s: the page has lost %s", x.path, name)
			}
		}
	}
	if len(op.asked) != 0 {
		t.Errorf("without confirmation: %v", op.asked)
	}
}

// TestSampleIsEvaluatedWithoutSending checks that evaluating a sample sends nothing.
func TestSampleIsEvaluatedWithoutSending(t *testing.T) {
	sent := 0
	o := tokens("a-token", "")
	o.Judge = func(context.Context, string, string) (string, string, []*engine.Delivery, error) {
		return "accepted", "", []*engine.Delivery{{Trigger: "shop", Type: "orders/paid", Key: "k1"}}, nil
	}
	o.Send = func(context.Context, string, string) (int, string, error) { sent++; return 202, "accepted", nil }
	c, _ := made(t, o)
	k, _ := login(t, c, "a-token", "/", nil)
	fields := url.Values{"csrf": {csrfOf(t, c, "/runs/run_0000000000000002", k)}, "name": {"shop"}}
	if w := form(c, "/trigger/send", k, fields); !strings.Contains(w.Body.String(), "orders/paid") || sent != 0 {
		t.Errorf("%d %d %s", sent, w.Code, w.Body)
	}
	fields.Set("how", "send")
	if w := form(c, "/trigger/send", k, fields); !strings.Contains(w.Body.String(), "It is a delivery like any other") || sent != 0 {
		t.Errorf("%d %d %s", sent, w.Code, w.Body)
	}
	fields.Set("confirm", "yes")
	if w := form(c, "/trigger/send", k, fields); w.Code != http.StatusSeeOther || sent != 1 {
		t.Errorf("%d %d %s", sent, w.Code, w.Body)
	}
}
