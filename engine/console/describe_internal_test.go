package console

import "testing"

// TestEveryCallOfTheAPIIsDescribed: the document is made of Go types when it is asked for, and a
// type that it cannot describe ends the request.
func TestEveryCallOfTheAPIIsDescribed(t *testing.T) {
	t.Parallel()
	c := &Console{}
	calls := 0
	paths, _ := c.describe()["paths"].(map[string]any)
	for _, p := range paths {
		of, _ := p.(map[string]any)
		calls += len(of)
	}
	for _, r := range c.api() {
		if r.status != 200 && r.status != 202 { // done, or accepted and done later
			t.Errorf("%s answers %d", r.path, r.status)
		}
	}
	if want := len(c.api()); calls != want {
		t.Errorf("%d calls are described, %d exist", calls, want)
	}
}
