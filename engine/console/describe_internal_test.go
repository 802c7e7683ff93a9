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
	if want := len(c.api()); calls != want {
		t.Errorf("%d calls are described, %d exist", calls, want)
	}
}
