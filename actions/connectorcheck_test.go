package actions_test

import (
	"net/http/httptest"
	"strings"
	"testing"
)

const smallDocument = `
openapi: 3.0.0
servers: [{url: "https://api.example.com/v1"}]
paths:
  /people/{id}:
    put:
      parameters:
        - {name: notify, in: query, schema: {type: boolean}}
        - {name: X-Tenant, in: header, required: true, schema: {type: string}}
      requestBody:
        content:
          application/json: {schema: {$ref: "#/components/schemas/Person"}}
          application/x-www-form-urlencoded: {schema: {$ref: "#/components/schemas/Person"}}
      responses:
        "200": {content: {application/json: {schema: {$ref: "#/components/schemas/Person"}}}}
components:
  schemas:
    Person:
      type: object
      required: [email, id]
      properties:
        id: {type: string, readOnly: true}
        email: {type: string}
        age: {type: integer}
        state: {type: string, enum: [active, gone]}
        address: {anyOf: [{type: object, properties: {city: {type: string}}}, {type: string, enum: [""]}]}
        extra: {type: object, additionalProperties: {type: string}}
`

// TestDocumentCheckFindsEachKindOfMistake tests the check that all connectors must pass.
func TestDocumentCheckFindsEachKindOfMistake(t *testing.T) {
	d := readPublished(t, "small.yaml", []byte(smallDocument))
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct{ name, method, target, tenant, media, body, problem string }{
		{"right", "PUT", "/v1/people/7?notify=true", "t", "application/json", `{"email":"a","age":3,"extra":{"b":"c"}}`, ""},
		{"right form", "PUT", "/v1/people/7", "t", form, "email=a&age=3&address[city]=Vienna&extra[b]=c", ""},
		{"other method", "POST", "/v1/people/7", "t", "application/json", `{"email":"a"}`, "no operation"},
		{"other path", "PUT", "/v1/persons/7", "t", "application/json", `{"email":"a"}`, "no operation"},
		{"unknown parameter", "PUT", "/v1/people/7?notice=true", "t", "application/json", `{"email":"a"}`, "query notice is not"},
		{"wrong parameter", "PUT", "/v1/people/7?notify=yes", "t", "application/json", `{"email":"a"}`, `query notify is "yes"`},
		{"no header", "PUT", "/v1/people/7", "", "application/json", `{"email":"a"}`, "headers have no X-Tenant"},
		{"other media", "PUT", "/v1/people/7", "t", "text/plain", `x`, "body has the type"},
		{"no field", "PUT", "/v1/people/7", "t", "application/json", `{"age":3}`, "body has no email"},
		{"unknown field", "PUT", "/v1/people/7", "t", "application/json", `{"email":"a","mail":"b"}`, "body has mail"},
		{"unknown inner field", "PUT", "/v1/people/7", "t", "application/json", `{"email":"a","address":{"town":"b"}}`, "body.address has town"},
		{"wrong type", "PUT", "/v1/people/7", "t", "application/json", `{"email":"a","age":"3"}`, "body.age is 3 (string)"},
		{"wrong word", "PUT", "/v1/people/7", "t", "application/json", `{"email":"a","state":"new"}`, "body.state is new"},
		{"wrong value of any name", "PUT", "/v1/people/7", "t", "application/json", `{"email":"a","extra":{"b":1}}`, "body.extra.b is 1"},
		{"wrong form", "PUT", "/v1/people/7", "t", form, "email=a&age=three", `body.age is "three"`},
	} {
		r := httptest.NewRequest(c.method, c.target, nil)
		if c.tenant != "" {
			r.Header.Set("X-Tenant", c.tenant)
		}
		r.Header.Set("Content-Type", c.media)
		got := "no operation"
		if op, item := d.operation(r.Method, r.URL.Path); op != nil {
			got = strings.Join(d.request(op, item, r, []byte(c.body)), "; ")
		}
		if c.problem == "" && got != "" || !strings.Contains(got, c.problem) {
			t.Errorf("%s: the check says %q, and should say %q", c.name, got, c.problem)
		}
	}
	op, _ := d.operation("PUT", "/v1/people/7")
	got := strings.Join(d.answer(op, 200, map[string]any{"age": 3, "town": "b"}), "; ")
	if got != "answer has town, which is not in the document" {
		t.Errorf("the check of an answer says %q", got)
	}
	if got := d.answer(op, 404, nil); len(got) != 1 {
		t.Errorf("an answer of an unknown status gives %q", got)
	}
}
