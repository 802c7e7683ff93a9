package triggers

import (
	"testing"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// TestAPolledItemIsStoredWithItsVersion checks that an item's event has the version of the API, that of
// the item before that of the request, where shapes find it.
func TestAPolledItemIsStoredWithItsVersion(t *testing.T) {
	library, err := Presets()
	if err != nil {
		t.Fatal(err)
	}
	files := workflows.Files{"hookloom.yaml": []byte("triggers:\n  pay:\n    poll:\n      every: 5m\n      key: item.id\n" +
		"      request: {url: \"https://a.test/v3/things\"}\n")}
	p, mistakes := workflows.LoadFiles(t.TempDir(), files, workflows.Catalog{Presets: library}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	poll := p.Triggers["pay"].Poll
	for _, x := range []struct{ provider, want string }{{"", "v3"}, {"stripe", "2025-09-30.clover"}} {
		one := *poll
		one.Provider = x.provider
		r := &poller{trigger: p.Triggers["pay"], poll: &one, now: time.Now, version: func(item any) string { return p.ItemVersion(&one, item) }}
		got, err := r.row(nil, map[string]any{"id": "evt_1", "api_version": "2025-09-30.clover"})
		if err != nil {
			t.Fatal(err)
		}
		headers := got.delivery.Headers
		if v := p.APIVersion("pay", headers, map[string]any{"inlet": "poll", "data": got.data}); v != x.want {
			t.Errorf("%q: version %q, want %q; %v", x.provider, v, x.want, headers)
		}
	}
}
