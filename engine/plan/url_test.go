package plan_test

import (
	"fmt"
	"testing"

	"github.com/hookloom/hookloom/engine/plan"
)

// TestInsertedValueStaysInItsPartOfAURL: data cannot climb a path, add a
// segment, a parameter or a host, alone or together with what stands beside it.
func TestInsertedValueStaysInItsPartOfAURL(t *testing.T) {
	for _, c := range []struct{ url, a, b, want string }{
		{"https://x/v1/${{ event.data.a }}/orders", "..", "", ""},
		{"https://x/v1/${{ event.data.a }}/orders", ".", "", ""},
		{"https://x/v1/${{ event.data.a }}/orders", "%2e%2E", "", ""},
		{"https://x/v1/${{ event.data.a }}/orders", "../admin", "", ""},
		{"https://x/v1/${{ event.data.a }}/orders", `..\admin`, "", ""},
		{"https://x/v1/${{ event.data.a }}/orders", "..;x=1", "", ""},
		{"https://x/v1/${{ event.data.a }}${{ event.data.b }}/orders", ".", ".", ""},
		{"https://x/v1/.${{ event.data.a }}/orders", ".", "", ""},
		{"https://x/v1/${{ event.data.a }}.", ".", "", ""},
		{"https://x/v1/%2e${{ event.data.a }}", ".", "", ""},
		{"https://x/v1/${{ event.data.a }}?q=${{ event.data.b }}", "..", "1", ""},
		{"https://x/v1/${{ event.data.a }}/orders", "a..b", "", "https://x/v1/a..b/orders"},
		{"https://x/v1/${{ event.data.a }}/orders", "a/b?c#d", "", "https://x/v1/a%2Fb%3Fc%23d/orders"},
		{"https://x/v1/${{ event.data.a }}.json", "1.2", "", "https://x/v1/1.2.json"},
		{"https://x/v1/..hidden${{ event.data.a }}", "a", "", "https://x/v1/..hiddena"},
		{"https://x/v1?q=${{ event.data.a }}&r=${{ event.data.b }}", "..", "a&r=2+3", "https://x/v1?q=..&r=a%26r%3D2%2B3"},
	} {
		w := flow(t, fmt.Sprintf("on: manual\nsteps:\n  - {id: a, uses: test/act, with: {url: %q}}", c.url))
		d := plan.Next(state(w, map[string]any{"a": c.a, "b": c.b}))
		got := ""
		if len(d.Due) == 1 {
			got = fmt.Sprint(d.Due[0].With["url"])
		}
		if got != c.want {
			t.Errorf("%s with %q, %q gave %q; want %q", c.url, c.a, c.b, got, c.want)
		}
	}
}
