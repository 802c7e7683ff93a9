package backtest_test

import (
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/backtest"
)

// TestLimitsOfWorkflowsThatAreNotSelectedAreUnknown: a run that is selected makes an event otherwise, and whether another
// event would have held that one's run back needs all events.
func TestLimitsOfWorkflowsThatAreNotSelectedAreUnknown(t *testing.T) {
	flows := map[string]string{
		"shop":  "on: hook\nsteps:\n  - {uses: hookloom/emit, with: {trigger: inside, key: \"${{ event.key }}\", data: {n: 3}}}\n",
		"heard": "on: inside\nconcurrency: {limit: 1, on_full: drop}\nsteps: [{uses: test/act, with: {n: \"${{ event.data.n }}\"}}]\n"}
	path := record(t, flows, send(t, bodies[0]))
	flows["shop"] = strings.Replace(flows["shop"], "n: 3", "n: 4", 1)
	flows["heard"] = strings.Replace(flows["heard"], "limit: 1, on_full: drop", "limit: 1", 1)
	f := test(t, path, flows, func(o *backtest.Options) { o.Query.Trigger = "hook" })
	if len(f.unknown) != 1 || !strings.Contains(f.unknown[0].Reason, "needs all events") {
		t.Errorf("%+v %q", f.unknown, summary(f))
	}
}
