package backtest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/backtest"
)

const crm = `connector: crm
base_url: https://crm.example.com/v1
connection: {region: {type: string, default: eu}}
headers: {x-region: "${{ connection.region }}"}
actions:
  people.add:
    inputs: {name: {type: string, required: true}, n: {type: integer}}
    request:
      method: POST
      path: /people
      headers: {x-kind: plain}
      body: {name: "${{ inputs.name }}", count: "${{ inputs.n }}"}
    output: {id: "${{ response.body.id }}"}
  people.get:
    inputs: {id: {type: string, required: true}}
    request: {method: GET, path: "/people/${{ inputs.id }}", query: {full: "1"}}
`

// TestAChangedConnectorShowsItsRequestsFieldByField checks that an edit of a connector's file is
// reported for the recorded steps that use it, with the parts of the HTTP request that differ, and
// that steps with other actions are unchanged.
func TestAChangedConnectorShowsItsRequestsFieldByField(t *testing.T) {
	golden(t)
	flows := map[string]string{
		"connectors/crm": crm,
		"adds": "on: hook\nsteps:\n  - {id: a, uses: crm/people.add, with: {name: \"p${{ event.data.n }}\", n: 3}}\n" +
			"output: ${{ steps.a.output.id }}\n",
		"gets": "on: hook\nsteps:\n  - {id: g, uses: crm/people.get, with: {id: \"a b\"}}\n",
		"acts": "on: hook\n" + acts,
	}
	path := record(t, flows, send(t, bodies[:2]...))
	same := test(t, path, flows, nil)
	if same.Unchanged != 6 || same.Assumed != 0 || len(same.changes)+len(same.unknown) > 0 {
		t.Errorf("%+v %+v", same.Report, same)
	}
	for _, x := range []struct{ from, to, workflow, because, fields string }{
		{"path: /people\n", "path: /v2/people\n", "adds", "a.request.url",
			"request.url: https://crm.example.com/v1/people -> https://crm.example.com/v1/v2/people"},
		{"method: POST", "method: PUT", "adds", "a.request.method", "request.method: POST -> PUT"},
		{"x-kind: plain", "x-kind: rich", "adds", "a.request.headers.X-Kind", "request.headers.X-Kind: plain -> rich"},
		{"count: \"${{ inputs.n }}\"", "count: \"${{ inputs.n + 1 }}\"", "adds", "a.request.body.count", "request.body.count: 3 -> 4"},
		{"body: {name:", "body: {full_name:", "adds", "a.request.body.full_name",
			"request.body.full_name: <nil> -> p1; request.body.name: p1 -> <nil>"},
		{`full: "1"`, `full: "0"`, "gets", "g.request.query.full", "request.query.full: 1 -> 0"},
		{`full: "1"`, `full: ["1", "2"]`, "gets", "g.request.query.full", "request.query.full: 1 -> [1 2]"},
		{"default: eu", "default: us", "adds gets", "", "request.headers.X-Region: eu -> us"},
		{"/v1\n", "/v3\n", "adds gets", "", ""},
		{"response.body.id", "response.body.name", "", "", ""},
	} {
		edited := maps.Clone(flows)
		edited["connectors/crm"] = strings.Replace(crm, x.from, x.to, 1)
		if edited["connectors/crm"] == crm {
			t.Fatalf("%q is not in it", x.from)
		}
		f := test(t, path, edited, nil)
		checkConnectorChange(t, x.to, x.workflow, x.because, x.fields, f)
		if x.workflow == "" && (len(f.unknown) != 2 || !strings.HasSuffix(f.unknown[0].Reason,
			"connector crm reads the response differently, and the response itself is not recorded")) {
			t.Errorf("%+v", f.unknown)
		}
	}
}

func checkConnectorChange(t *testing.T, edit, workflows, because, fields string, f found) {
	t.Helper()
	want := 2 * len(strings.Fields(workflows))
	if len(f.changes) != want || workflows != "" && (f.Assumed != want || len(f.unknown) > 0) {
		b, _ := json.Marshal(f.changes)
		t.Errorf("%s: %d changes, %d assumed, unknown %v\n%s", edit, len(f.changes), f.Assumed, f.unknown, b)
	}
	for i, c := range f.changes {
		if c.Kind != backtest.RequestChanged || !slices.Contains(strings.Fields(workflows), c.Workflow) || len(c.Requests.Changed) != 1 ||
			because != "" && c.Because.Expression != because || !c.Assumed || len(c.Path) > 0 {
			t.Errorf("%s: %+v", edit, c)
			continue
		}
		var got []string
		for _, d := range c.Requests.Changed[0].Fields {
			got = append(got, fmt.Sprint(d.Field, ": ", d.Before, " -> ", d.After))
		}
		if text := strings.Join(got, "; "); i == 0 && fields != "" && text != fields {
			t.Errorf("%s: %s, want %s", edit, text, fields)
		}
	}
}
