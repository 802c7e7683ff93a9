package actions_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/hookloom/hookloom/actions"
)

// TestEachExampleOfAConnectorIsTrue makes the call of each action's example against a
// stand-in: what is sent and what comes out are as the file says.
func TestEachExampleOfAConnectorIsTrue(t *testing.T) {
	cat := catalog(t)
	for _, name := range slices.Sorted(maps.Keys(cat)) {
		if cat[name].Connector == nil {
			continue
		}
		problems, tried, err := actions.TryExample(t.Context(), cat[name])
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", name, p)
		}
		if !tried {
			t.Errorf("%s: the file shows no call: add example: {with, request, response, output}", name)
		}
	}
}
