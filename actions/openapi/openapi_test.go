package openapi_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/actions/openapi"
	"github.com/hookloom/hookloom/workflows"
)

func load(t *testing.T, text string, only ...string) *openapi.Result {
	t.Helper()
	r, err := openapi.Import(t.Context(), []byte(text), openapi.Options{Name: "crm", Source: "crm.yaml", Only: only})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// valid returns the connector of a file without mistakes.
func valid(t *testing.T, text []byte) *workflows.Connector {
	t.Helper()
	c, mistakes := workflows.CheckConnector("connectors/crm.yaml", text)
	if mistakes.Errors() > 0 {
		t.Fatalf("%v\n%s", mistakes, text)
	}
	return c
}

// minimum is the share of operations of a document that must be imported, by the prefix of its
// name; by default all.
var minimum = map[string]float64{"zoho": 0.8}

// TestEachPublishedDocumentBecomesAConnector imports vendors' own documents, if they are installed.
func TestEachPublishedDocumentBecomesAConnector(t *testing.T) {
	const folder = "/work/shared/openapi"
	files, err := filepath.Glob(folder + "/*.*")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("%s is not there: the vendors' documents were NOT imported", folder)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if name == "README.md" || strings.HasPrefix(name, "telegram") {
			continue // telegram's has its own format
		}
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := load(t, string(text))
			share := 1.0
			for prefix, m := range minimum {
				if strings.HasPrefix(name, prefix) {
					share = m
				}
			}
			if float64(r.Imported) < share*float64(r.Operations) {
				t.Errorf("%d of %d: %v", r.Imported, r.Operations, r.Skipped)
			}
			c := valid(t, r.Text)
			tried := 0
			for _, s := range c.Specs() {
				problems, did, err := actions.TryExample(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				if did {
					tried++
				}
				for _, p := range problems {
					if !strings.HasPrefix(p, "the response is an error") {
						t.Errorf("%s: %s", s.Name, p)
					}
				}
			}
			t.Logf("%d of %d operations, %d examples tried, %d KiB", r.Imported, r.Operations, tried, len(r.Text)>>10)
		})
	}
}

// TestOperationBecomesANamedAction shows what is imported and what is skipped.
func TestOperationBecomesANamedAction(t *testing.T) {
	r := load(t, `
openapi: 3.1.0
info: {title: CRM}
servers: [{url: "https://{region}.crm.example.com/v1", variables: {region: {default: eu, enum: [eu, us]}}}]
components: {securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}}
security: [{key: []}]
paths:
  /contacts/{contactId}:
    parameters: [{name: contactId, in: path, required: true, schema: {type: string}}]
    patch:
      operationId: updateContact
      tags: [contacts]
      parameters:
        - {name: X-Key, in: header, required: true, schema: {type: string}}
        - {name: dryRun, in: query, schema: {type: [boolean, "null"]}}
      requestBody:
        content:
          application/json:
            schema: {type: object, required: [email],
              properties: {email: {type: string, example: a@b.c,
                description: "such as <b>Ada</b> <ada@example.com><br/><img/src=x>"}, id: {type: string, readOnly: true}}}
      responses: {"200": {content: {application/json: {schema: {type: object, required: [id], properties: {id: {type: string}}}}}}}
  /session: {get: {parameters: [{name: sid, in: cookie, required: true, schema: {type: string}}]}}
`)
	if r.Operations != 2 || r.Imported != 1 || len(r.Skipped) != 1 || r.Skipped[0].Reason != "it requires the cookie sid" {
		t.Errorf("%+v", r)
	}
	c := valid(t, r.Text)
	base, err := c.Base(map[string]any{"region": "us"})
	if err != nil || base != "https://us.crm.example.com/v1" {
		t.Errorf("base %q, %v", base, err)
	}
	a := c.Actions[0]
	if a.Name != "update_contact" || a.Method != "PATCH" || fmt.Sprint(a.Query.Keys(), a.Body.Keys()) != "[dryRun] [email]" ||
		a.Returns.String() != "{id: string}" || c.Auth.HeaderName != "X-Key" {
		t.Errorf("%+v\n%s", a, r.Text)
	}
	if got := a.Inputs[1].Description; got != "such as Ada <ada@example.com>" {
		t.Errorf("markup is taken out, and addresses stay: %q", got)
	}
	var inputs []string
	for _, in := range a.Inputs {
		inputs = append(inputs, fmt.Sprint(in.Name, " ", in.Type, " ", in.Required))
	}
	if got := strings.Join(inputs, ", "); got != "contact_id string true, email string true, dry_run boolean false" {
		t.Error(got)
	}
}

// TestHostileDocumentsEndWithAnErrorInBoundedTime checks that hostile documents are rejected
// quickly.
func TestHostileDocumentsEndWithAnErrorInBoundedTime(t *testing.T) {
	bomb := "openapi: 3.0.0\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	for name, x := range map[string]struct{ text, want string }{
		"empty":       {" ", "the document is empty"},
		"no document": {"{}", "neither openapi: nor swagger:"},
		"100 MB":      {strings.Repeat("x", 100<<20), "more than 32 MiB"},
		"aliases":     {bomb, "excessive aliasing|too many values"},
		"itself":      {"openapi: 3.0.0\npaths: &a {x: *a}\n", "alias of itself|contains itself"},
		"deep":        {strings.Repeat(`{"a":`, 100_000), "nested deeper than 200 levels"},
		"cut":         {`{"openapi": "3.0.0", "paths": {`, "unexpected EOF|byte 31"},
		"no paths":    {`{"openapi": "3.0.0"}`, "no paths"},
		"only":        {`{"openapi": "3.0.0", "paths": {"/a": {"get": {}}}}`, ""},
		"control":     {"openapi: 3.0.0\nx: \"\x01\"\n", "control characters"},
	} {
		began := time.Now()
		_, err := openapi.Import(t.Context(), []byte(x.text), openapi.Options{Name: "crm", Source: "x", From: ""})
		found := x.want == "" && err == nil
		for _, w := range strings.Split(x.want, "|") {
			found = found || x.want != "" && err != nil && strings.Contains(err.Error(), w)
		}
		if !found {
			t.Errorf("%s: %v, want %s", name, err, x.want)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// TestCyclesAndNameCollisionsAreResolved checks that cycles end, that a name already in use gets a
// number, and that no text of the document becomes an expression or another key of the file.
func TestCyclesAndNameCollisionsAreResolved(t *testing.T) {
	r := load(t, `{"swagger": "2.0", "info": {"title": "a\u0000b: {\"\n# ${{ secrets.X }}"}, "host": "x.example.com", "paths": {
 "/a": {"get": {"operationId": "get-A", "summary": "x\" }\nbase_url: evil", "parameters": [{"$ref": "#/parameters/p"}], "responses": {"200":
   {"schema": {"$ref": "#/definitions/n"}}}},
  "post": {"operationId": "getA", "parameters": [{"name": "a-b", "in": "query", "type": "string"},
    {"name": "a_b", "in": "query", "type": "string"},
   {"name": "body", "in": "body", "schema": {"$ref": "#/definitions/n"}}]}}},
 "parameters": {"p": {"$ref": "#/parameters/p"}},
 "definitions": {"n": {"type": "object", "properties": {"next": {"$ref": "#/definitions/n"}, "a-b": {"type": "string"}, "${{ x }}": {}}}}}`)
	if r.Imported != 1 || len(r.Skipped) != 1 {
		t.Fatalf("%+v\n%s", r, r.Text)
	}
	c := valid(t, r.Text)
	if len(c.Actions) != 1 || len(c.Actions[0].Inputs) != 4 || strings.Contains(string(r.Text), "evil\n") {
		t.Errorf("%s", r.Text)
	}
}

// TestACurlCommandBecomesAnActionWithoutItsCredential imports a curl command.
func TestACurlCommandBecomesAnActionWithoutItsCredential(t *testing.T) {
	for command, want := range map[string]string{
		`curl -X PATCH 'https://api.example.com/v1/contacts/12345?api_key=sk_secret' -d '{"email":"a@b.c"}'`:               "PATCH",
		`curl https://api.example.com/x -u me:sk_secret --data-urlencode name=x`:                                           "POST",
		`curl https://api.example.com/x -u sk_secret: -d name=x`:                                                           "POST",
		"curl https://api.example.com/x \\\n -H 'Authorization: Bearer sk_secret' --json '{\"a\": 1}'":                     "POST",
		`curl -H "X-Api-Key: sk_secret" -F file=@a.png -F note=x https://api.example.com/up`:                               "POST",
		`curl -G https://api.example.com/find -d q=x -H 'Cookie: sk_secret'`:                                               "GET",
		`/usr/bin/curl --silent --compressed -o out.json -H 'authorization: Token sk_secret' https://api.example.com/list`: "GET",
	} {
		r, err := openapi.FromCurl(context.Background(), command, "", openapi.Options{Name: "crm", Source: "curl"})
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		c := valid(t, r.Text)
		if strings.Contains(string(r.Text), "sk_secret") || c.Auth.Kind() == "none" || c.Actions[0].Method != want {
			t.Errorf("%s:\n%s", command, r.Text)
		}
		if masked := slices.ContainsFunc(c.Fields, func(f workflows.ConnectionField) bool { return f.Secret }); !masked {
			t.Errorf("%s: no field of the connection is secret:\n%s", command, r.Text)
		}
	}
}

// TestAPostmanCollectionBecomesAConnector imports a Postman collection.
func TestAPostmanCollectionBecomesAConnector(t *testing.T) {
	r := load(t, `{"info": {"name": "Shop", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
 "auth": {"type": "bearer"}, "variable": [{"key": "baseUrl", "value": "https://shop.example.com/api"}],
 "item": [{"name": "Orders", "item": [{"name": "Create order", "request": {"method": "POST", "url": {"raw": "{{baseUrl}}/orders/:shop",
   "variable": [{"key": "shop", "value": "s1"}]}, "header": [{"key": "X-Version", "value": "2"}],
   "body": {"mode": "raw", "raw": "{\"total\": 12.5}"}}}]}]}`)
	c := valid(t, r.Text)
	if a := c.Actions[0]; a.Name != "orders.create_order" || len(a.Inputs) != 2 || c.Auth.Kind() != "bearer" {
		t.Errorf("%s", r.Text)
	}
}

// TestRequestCredentialBecomesTheConnectors is for collections without their own auth,
// which are common.
func TestRequestCredentialBecomesTheConnectors(t *testing.T) {
	for _, own := range []string{`"header": [{"key": "Authorization", "value": "Bearer sk_live_1"}]`,
		`"auth": {"type": "bearer", "bearer": [{"key": "token", "value": "sk_live_1"}]}`} {
		r := load(t, `{"info": {"name": "Shop", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
			"item": [{"name": "Ping", "request": {"method": "GET", "url": "https://api.example.com/ping", `+own+`}}]}`)
		if text := string(r.Text); !strings.Contains(text, "bearer: ${{ connection.token }}") || strings.Contains(text, "sk_live_1") {
			t.Errorf("%s: %s", own, text)
		}
	}
}

// TestTRACEOperationIsReportedAndSkipped checks that each operation is either imported or has a
// reason.
func TestTRACEOperationIsReportedAndSkipped(t *testing.T) {
	r := load(t, `{"openapi": "3.0.0", "info": {"title": "T", "version": "1"}, "servers": [{"url": "https://api.example.com"}],
		"paths": {"/a": {"get": {"responses": {"200": {"description": "ok"}}}, "trace": {"responses": {"200": {"description": "ok"}}}}}}`)
	if r.Operations != 2 || r.Imported != 1 || len(r.Skipped) != 1 || r.Skipped[0].Operation != "TRACE /a" {
		t.Errorf("%+v", r)
	}
}

// TestListsAreReadPageByPage checks each kind of pagination that can be recognized, and what stays
// a single request.
func TestListsAreReadPageByPage(t *testing.T) {
	list := func(params, answer, headers string) string {
		return "openapi: 3.0.0\ninfo: {title: T}\nservers: [{url: https://api.example.com}]\npaths:\n  /things:\n    get:\n      parameters: [" +
			params + "]\n      responses: {\"200\": {description: d" + headers + ", content: {application/json: {schema: " + answer + "}}}}\n"
	}
	integer := func(name, more string) string {
		return "{name: " + name + ", in: query, schema: {type: integer" + more + "}}"
	}
	text := func(name string) string { return "{name: " + name + ", in: query, schema: {type: string}}" }
	rows := func(more string) string {
		return "{type: object, properties: {data: {type: array, items: {type: object, properties: {id: {type: string}}}}" + more + "}}"
	}
	number, word := "{type: integer}", "{type: string}"
	for name, c := range map[string]struct{ document, want string }{
		"page": {list(integer("page", ", default: 1")+", "+integer("per_page", ", maximum: 50"), rows(", total: "+number), ""),
			"items: response.body.data ?? []\npage: {query: page}\nsize: {value: 50, query: per_page}\ntotal: response.body.total"},
		"a list that is always there": {list(integer("pageNumber", ", default: 0"), "{required: [data], "+rows("")[1:], ""),
			"items: response.body.data\npage: {query: pageNumber, from: 0}"},
		"page from 0": {list(integer("pageNumber", ", default: 0"), rows(""), ""),
			"items: response.body.data ?? []\npage: {query: pageNumber, from: 0}"},
		"offset": {list(integer("offset", "")+", "+integer("limit", ", default: 20"),
			rows(", meta: {type: object, properties: {totalCount: "+number+"}}"), ""),
			"items: response.body.data ?? []\noffset: {query: offset}\nsize: {value: 20, query: limit}\ntotal: response.body.meta?.totalCount"},
		"token": {list(text("pageToken"), rows(", nextPageToken: "+word), ""),
			"items: response.body.data ?? []\ntoken: response.body.nextPageToken\nquery: pageToken"},
		"token of a deep place": {list(text("after"),
			rows(", paging: {type: object, properties: {next: {type: object, properties: {after: "+word+"}}}}"), ""),
			"items: response.body.data ?? []\ntoken: response.body.paging?.next?.after\nquery: after"},
		"link": {list(integer("page", ""), "{type: array, items: {type: string}}", ", headers: {Link: {schema: "+word+"}}"),
			"items: response.body\nnext: header link"},
		"next": {list("", rows(", next: "+word+", previous: "+word), ""),
			"items: response.body.data ?? []\nnext: response.body.next"},
		"a date that is called after": {list(text("after"), rows(", next_cursor_of: "+number), ""), ""},
		"two lists":                   {list(integer("page", ""), "{type: object, properties: {a: {type: array}, b: {type: array}}}", ""), ""},
		"no list":                     {list(integer("page", ""), "{type: object, properties: {id: "+word+"}}", ""), ""},
	} {
		r := load(t, c.document)
		valid(t, r.Text)
		_, found, there := strings.Cut(string(r.Text), "    pages:\n")
		found, _, _ = strings.Cut(found, "    returns:")
		found = strings.TrimSpace(strings.NewReplacer("      ", "", "\"", "").Replace(found))
		if found != c.want || there != (c.want != "") {
			t.Errorf("%s: %s\nwant %s\n%s", name, found, c.want, r.Text)
		}
	}
}
