package workflows_test

import (
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/workflows"
)

// TestTheRequestOfAPollNamesTheVersion checks where a poll's request names the version of the API, and
// what is not one.
func TestTheRequestOfAPollNamesTheVersion(t *testing.T) {
	for request, want := range map[string]string{
		`{url: "https://a.test/things", headers: {Stripe-Version: "2025-09-30.clover"}}`:      "2025-09-30.clover",
		`{url: "https://a.test/v3/things", headers: {Notion-Version: "2022-06-28"}}`:          "2022-06-28",
		`{url: "https://a.test/v3/things", headers: {X-Conversion: "1"}}`:                     "v3",
		`{url: "https://a.test/admin/api/2026-01/orders.json"}`:                               "2026-01",
		`{url: "https://a.test/services/data/v59.0/query"}`:                                   "v59.0",
		`{url: "https://a.test/things?api-version=7.1"}`:                                      "7.1",
		`{url: "https://a.test/things", query: {api-version: "7.2", page: "3"}}`:              "7.2",
		`{url: "/things", connection: shop}`:                                                  "v2",
		`{url: "https://a.test/things", headers: {Stripe-Version: "${{ secrets.VERSION }}"}}`: "",
		`{url: "https://a.test/vendors/2026/list"}`:                                           "",
	} {
		files := workflows.Files{"hookloom.yaml": []byte("connections: {shop: {base_url: https://shop.test/v2}}\n" +
			"triggers:\n  items:\n    poll:\n      every: 5m\n      key: item.id\n      request: " + request + "\n")}
		p, mistakes := workflows.LoadFiles(t.TempDir(), files, workflows.Catalog{Actions: actions.Catalog()},
			func(string) bool { return true })
		if mistakes.Errors() > 0 {
			t.Fatal(mistakes)
		}
		if got := p.PolledVersion(p.Triggers["items"].Poll); got != want {
			t.Errorf("%s: version %q, want %q", request, got, want)
		}
	}
}
