//go:build unix

package e2e

import (
	"encoding/json"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

// TestSampleIsMarkedAsATestHoweverSent checks that deliveries sent by the console, inside the server,
// and by hookloom send are marked as tests, and that those of the provider are not.
func TestSampleIsMarkedAsATestHoweverSent(t *testing.T) {
	x := &lively{project: newProject(t, map[string]string{
		"hookloom.yaml":    "triggers: {shop: {webhook: {provider: generic, secret: \"${{ secrets.S }}\"}}}\n",
		"workflows/w.yaml": "on: shop\nsteps: [{uses: log, with: {message: came}}]\n",
		".env":             "S=0123456789abcdef\n",
	})}
	x.begin(t)
	defer x.stop()
	if status, b := x.call(t, "POST", "/api/v1/triggers/shop/send", "{}"); status != 200 {
		t.Fatalf("%d %s", status, b)
	}
	for _, agent := range []string{engine.SampleAgent, "shop/1.0"} {
		sample, err := triggers.Sample(x.flows, "shop", x.secrets.Lookup, triggers.SampleOrder{ID: agent})
		if err != nil {
			t.Fatal(err)
		}
		sample.Header.Set("User-Agent", agent)
		if status, body, err := deliver(t.Context(), x.hooksURL(), sample); err != nil || status/100 != 2 {
			t.Fatalf("%d %s %v", status, body, err)
		}
	}
	_, b := x.call(t, "GET", "/api/v1/events?trigger=shop", "")
	var page engine.Page[engine.EventItem]
	if err := json.Unmarshal(b, &page); err != nil || len(page.Items) != 3 {
		t.Fatalf("%s %v", b, err)
	}
	for i, want := range []bool{false, true, true} {
		if page.Items[i].Test != want {
			t.Errorf("event %d (%s) is a test: %v", i, page.Items[i].Key, page.Items[i].Test)
		}
	}
}
