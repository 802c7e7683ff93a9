package registry

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
)

// TestASecretInAnotherCharsetIsMasked: its bytes are other ones there. A body without a secret keeps
// its bytes.
func TestASecretInAnotherCharsetIsMasked(t *testing.T) {
	const secret = "s3cr\u00e9t-0042-canary"
	r := &redact.Redactor{}
	r.Set([]string{secret})
	g := &Registry{o: Options{Redactor: r}}
	wide := func(order binary.AppendByteOrder, text string) string {
		var out []byte
		for _, u := range utf16.Encode([]rune(text)) {
			out = order.AppendUint16(out, u)
		}
		return string(out)
	}
	latin := func(text string) string { return strings.ReplaceAll(text, "\u00e9", "\xe9") }
	for _, c := range []struct{ kind, body string }{
		{"text/plain; charset=utf-16le", wide(binary.LittleEndian, "x "+secret+" y")},
		{"text/plain; charset=utf-16be", wide(binary.BigEndian, "x "+secret+" y")},
		{"", wide(binary.LittleEndian, "\ufeffx "+secret+" y")},
		{"application/json; charset=utf-16", wide(binary.BigEndian, `{"k":"`+secret+`"}`)},
		{"text/xml; charset=iso-8859-1", latin("<k>" + secret + "</k>")},
		{"text/csv; charset=windows-1252", latin("a;" + secret + ";b")},
	} {
		d := &engine.Delivery{Headers: map[string]string{"content-type": c.kind}, Raw: []byte(c.body)}
		g.MaskEvent(d)
		v, err := content.Decode(d.Headers["content-type"], d.Raw)
		if m, ok := v.(map[string]any); ok {
			v = m["k"]
		}
		text, _ := v.(string)
		if err != nil || !strings.Contains(text, "***") || strings.Contains(text, "0042") || !utf8.Valid(d.Raw) {
			t.Errorf("%s: %q (%q), %v", c.kind, d.Raw, text, err)
		}
		plain := []byte(strings.NewReplacer("0042", "4711", wide(binary.LittleEndian, "0042"), wide(binary.LittleEndian, "4711"),
			wide(binary.BigEndian, "0042"), wide(binary.BigEndian, "4711")).Replace(c.body))
		d = &engine.Delivery{Headers: map[string]string{"content-type": c.kind}, Raw: plain}
		if g.MaskEvent(d); !unchanged(d.Raw, plain) || d.Headers["content-type"] != c.kind {
			t.Errorf("%s: a body without a secret becomes %q of type %s", c.kind, d.Raw, d.Headers["content-type"])
		}
	}
}

// TestFieldsOfEachPartOfADeliveryAreMasked: of its query, of XML and of forms; a refused delivery keeps
// what its signature covers.
func TestFieldsOfEachPartOfADeliveryAreMasked(t *testing.T) {
	var paths []workflows.RedactPath
	for _, text := range []string{"event.query.mail", "event.data.order.card"} {
		path, err := workflows.ParseRedactPath(text)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	g := &Registry{o: Options{Redactor: &redact.Redactor{}}}
	g.project.Store(&Snapshot{Project: &workflows.Project{}, fields: redact.NewFields(paths, nil)})
	for kind, body := range map[string]string{
		"text/xml":                          "<order><card>4111</card><n>1</n></order>",
		"application/x-www-form-urlencoded": "order=%7B%22card%22%3A%224111%22%7D&n=1", "": "",
	} {
		d := &engine.Delivery{Headers: map[string]string{"content-type": kind}, Raw: []byte(body),
			Query: map[string]string{"mail": "ada", "x": "1"}}
		if g.MaskEvent(d); strings.Contains(string(d.Raw), "4111") || d.Query["mail"] != "***" || d.Query["x"] != "1" {
			t.Errorf("%s: %s, %v is stored", kind, d.Raw, d.Query)
		}
		const url = "https://h/in?x=1&mail=ada"
		r := &engine.Refusal{Headers: d.Headers, Body: []byte(body), URL: url}
		if g.MaskRefusal(r); strings.Contains(string(r.Body), "4111") || strings.Contains(r.URL, "ada") || r.WholeURL != url ||
			body != "" && string(r.Whole) != body {
			t.Errorf("%s: the refused %+v", kind, r)
		}
	}
}
