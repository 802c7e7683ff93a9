package content_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/content"
)

// TestBodiesAreReadByTheirType includes forms and multipart bodies, which become maps of text.
func TestBodiesAreReadByTheirType(t *testing.T) {
	multipart := strings.ReplaceAll(`--b
Content-Disposition: form-data; name="formID"

252
--b
Content-Disposition: form-data; name="payload"

{"a":1}
--b
Content-Disposition: form-data; name="cv"; filename="cv.pdf"
Content-Type: application/pdf

%PDF
--b--
`, "\n", "\r\n")
	for _, c := range []struct{ kind, body, want string }{
		{"application/json", `{"a":1}`, `{"a":1}`},
		{"application/cloudevents+json; charset=utf-8", `[1]`, `[1]`},
		{"application/x-www-form-urlencoded", "a=1&b=2&b=3&payload=%7B%22x%22%3A1%7D", `{"a":"1","b":["2","3"],"payload":{"x":1}}`},
		{"multipart/form-data; boundary=b", multipart, `{"cv":{"content_type":"application/pdf","filename":"cv.pdf","size":4},"formID":"252",` +
			`"payload":{"a":1}}`},
		{"text/plain", `{"a":1}`, `{"a":1}`},
		{"text/plain", "hello", `"hello"`},
		{"", "\xff", "null"},
		{"application/json", "", "null"},
	} {
		v, err := content.Decode(c.kind, []byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", c.kind, err)
			continue
		}
		if got, err := json.Marshal(v); err != nil || string(got) != c.want {
			t.Errorf("%s: %s %v, want %s", c.kind, got, err, c.want)
		}
	}
	for _, c := range [][2]string{{"application/json", `{"a":1,"a":2}`}, {"application/json", "{"},
		{"multipart/form-data; boundary=b", "--b\r\nx"}} {
		if _, err := content.Decode(c[0], []byte(c[1])); err == nil {
			t.Errorf("%s %q is read", c[0], c[1])
		}
	}
}
