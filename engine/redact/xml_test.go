package redact

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestFieldsOfXMLAreMasked by their path, elements and attributes, without their prefixes.
func TestFieldsOfXMLAreMasked(t *testing.T) {
	const m = "***:1234abcd"
	for _, c := range []struct{ name, path, in, want string }{
		{"an element", "event.data.order.card", `<?xml version="1.0"?><order id="1"><card>4111</card><name>x</name></order>`,
			`<?xml version="1.0"?><order id="1"><card>` + m + `</card><name>x</name></order>`},
		{"from below the root", "event.data.card", `<order><card>4111</card><a><card>9</card></a></order>`,
			`<order><card>` + m + `</card><a><card>9</card></a></order>`},
		{"any depth", "$..card", `<o><a><b><card>4111</card></b></a><card/></o>`, `<o><a><b><card>` + m + `</card></b></a><card/></o>`},
		{"an attribute", "event.body.order.card.number", `<order><card number='4111' type="v">t</card></order>`,
			`<order><card number='` + m + `' type="v">t</card></order>`},
		{"an attribute with @", `event.body.order["@id"]`, `<order id="7"><id>8</id></order>`, `<order id="` + m + `"><id>8</id></order>`},
		{"an element with all in it", "$..card", `<o><card type="visa"><n>4111</n><card>2</card></card><x>1</x></o>`,
			`<o><card type="` + m + `">` + m + `</card><x>1</x></o>`},
		{"namespaces", "event.data.Envelope.Body.card",
			`<s:Envelope xmlns:s="urn:card"><s:Body><c:card xmlns:c="card">4111</c:card></s:Body></s:Envelope>`,
			`<s:Envelope xmlns:s="urn:card"><s:Body><c:card xmlns:c="card">` + m + `</c:card></s:Body></s:Envelope>`},
		{"a name with its prefix", `$..["c:pin"]`, `<a><c:pin>1</c:pin><d:pin>2</d:pin></a>`, `<a><c:pin>` + m + `</c:pin><d:pin>2</d:pin></a>`},
		{"an attribute with a prefix", "$..pin", `<a x:pin="1" pin = "2" pinned="3"/>`, `<a x:pin="` + m + `" pin = "` + m + `" pinned="3"/>`},
		{"each of a list", "event.data.items.item[*].pin", `<items><item><pin>1</pin></item><item><pin>2</pin></item></items>`,
			`<items><item><pin>` + m + `</pin></item><item><pin>` + m + `</pin></item></items>`},
		{"one of a list", "event.data.items.pin[1]", `<items><pin>1</pin><pin>2</pin></items>`,
			`<items><pin>` + m + `</pin><pin>` + m + `</pin></items>`},
		{"every element", "event.data.card.*", `<card a="0"><n>1</n><m>2</m></card>`, `<card a="` + m + `">` + m + `</card>`},
		{"CDATA", "$..pin", `<a><pin><![CDATA[4<11]]></pin><![CDATA[<pin>1</pin>]]></a>`,
			`<a><pin>` + m + `</pin><![CDATA[<pin>` + m + `</pin>]]></a>`},
		{"entities", "$..pin", `<a><pin>&#52;1&amp;1</pin></a>`, `<a><pin>` + m + `</pin></a>`},
		{"entities that the document declares", "$..pin",
			`<!DOCTYPE a [<!ENTITY p "4111"><!-- " --><!ATTLIST a pin CDATA '4112'>]><a><pin>&p;</pin></a>`,
			`<!DOCTYPE a [<!ENTITY p "` + m + `"><!-- " --><!ATTLIST a pin CDATA '` + m + `'>]><a><pin>` + m + `</pin></a>`},
		{"what is commented out", "$..pin", `<a><!-- <pin>4111</pin> --><!-- pin --></a>`, `<a><!-- <pin>` + m + `</pin> --><!-- pin --></a>`},
		{"JSON in an element", "$..pin", `<a><j>{"pin":"1","b":"&lt;"}</j><j><![CDATA[[{"pin":2}]]]></j></a>`,
			`<a><j>{&#34;pin&#34;:&#34;` + m + `&#34;,&#34;b&#34;:&#34;&lt;&#34;}</j><j><![CDATA[[{"pin":"` + m + `"}]]]></j></a>`},
		{"masked already", "$..pin", `<a><pin>***:0123abcd</pin><pin> </pin><pin></pin></a>`,
			`<a><pin>***:0123abcd</pin><pin> </pin><pin></pin></a>`},
		{"no such field", "$..pin", `<a><card>pin</card>&pin; pin="1"</a>`, `<a><card>pin</card>&pin; pin="1"</a>`},
		// Not well-formed: by the last name, at any depth.
		{"an end tag that is missing", "event.data.a.pin", `<x><b><pin>4111</pin></x>`, `<x><b><pin>` + m + `</pin></x>`},
		{"no end", "event.data.a.pin", `<x><b><pin type="t">4111<c>2`, `<x><b><pin type="` + m + `">` + m},
		{"no end of a tag", "$..pin", `<x><pin a="4111`, `<x><pin a="` + m},
		{"no end of CDATA", "$..pin", `<x><pin><![CDATA[4111`, `<x><pin>` + m},
		{"no quotes", "$..pin", `<x pin=4111 b=2><pin c=4112>1</pin></x>`, `<x pin=` + m + ` b=2><pin c=` + m + `>` + m + `</pin></x>`},
		{"two documents", "event.data.a.pin", `<a><pin>1</pin></a><b><pin>2</pin></b>`, `<a><pin>` + m + `</pin></a><b><pin>` + m + `</pin></b>`},
		{"a tag in a tag", "$..pin", `<a <pin>4111</pin></a>`, `<a <pin>` + m + `</pin></a>`},
		{"a < alone", "$..pin", `<a>1 < 2<pin>4111</pin></a>`, `<a>1 < 2<pin>` + m + `</pin></a>`},
	} {
		for _, kind := range []string{"application/xml", "text/xml; charset=utf-8", "application/soap+xml", "text/plain", ""} {
			if got, as := fieldsOf(t, c.path).Body(kind, []byte(c.in), ""); string(got) != c.want || as != kind {
				t.Errorf("%s (%s):\n%s becomes\n%s (%s), expected\n%s", c.name, kind, c.in, got, as, c.want)
			}
		}
		if got := fieldsOf(t, c.path).Refused("text/xml", []byte(c.in)); strings.Contains(string(got), "4111") {
			t.Errorf("%s: refused: %s", c.name, got)
		}
	}
}

// TestXMLInsideJSONAndFormsIsMasked, and in other charsets.
func TestXMLInsideJSONAndFormsIsMasked(t *testing.T) {
	for _, c := range []struct{ kind, in, want, as string }{
		{"application/json", `{"x":"<a><pin>4111<\/pin><\/a>","y":1}`, `{"x":"<a><pin>***:1234abcd</pin></a>","y":1}`, "application/json"},
		{"application/x-www-form-urlencoded", "x=%3Ca%3E%3Cpin%3E4111%3C%2Fpin%3E%3C%2Fa%3E&y=1",
			"x=%3Ca%3E%3Cpin%3E%2A%2A%2A%3A1234abcd%3C%2Fpin%3E%3C%2Fa%3E&y=1", "application/x-www-form-urlencoded"},
		{"text/xml; charset=iso-8859-1", "<a>\xe9<pin>4111</pin></a>", "<a>é<pin>***:1234abcd</pin></a>", "text/xml; charset=utf-8"},
		{"text/xml", "<a>\xe9<pin>4111</pin></a>", "<a>\xe9<pin>***:1234abcd</pin></a>", "text/xml"},
		{"", "\xff\xfe<\x00p\x00i\x00n\x00>\x004\x001\x00<\x00/\x00p\x00i\x00n\x00>\x00", "<pin>***:1234abcd</pin>", "text/plain; charset=utf-8"},
	} {
		if got, as := fieldsOf(t, "$..pin").Body(c.kind, []byte(c.in), ""); string(got) != c.want || as != c.as {
			t.Errorf("%s: %q becomes %q (%s), expected %q", c.kind, c.in, got, as, c.want)
		}
	}
}

// TestHostileXMLTakesLinearTime gives what makes a careless scanner search the rest again and again.
func TestHostileXMLTakesLinearTime(t *testing.T) {
	const n = 200_000
	for name, in := range map[string]string{
		"elements that are not closed": strings.Repeat("<a>", n), "comments": "<a>" + strings.Repeat("<!--", n),
		"comments in a comment": "<a><!--" + strings.Repeat("<!-- <a>", n) + "-->", "CDATA": strings.Repeat("<![CDATA[", n),
		"quotes": "<a " + strings.Repeat(`b="`, n), "declarations": strings.Repeat("<!D [\"", n), "ends": strings.Repeat("</pin>", n),
		"masked elements": strings.Repeat("<pin>", n), "masked in one": "<pin>" + strings.Repeat("<pin></pin>", n),
		"JSON": "<a>" + strings.Repeat("[<b>", n), "instructions": strings.Repeat("<?x ", n),
		"attributes": "<a " + strings.Repeat("b=1 ", n) + ">",
		"<":          strings.Repeat("<", n), "names": "<" + strings.Repeat("a:", n), "states": strings.Repeat("<pin><a>", n),
	} {
		began := time.Now()
		for _, path := range []string{"$..pin", "event.data.a.pin", "$..a..pin.*"} {
			fieldsOf(t, path).Body("text/xml", []byte(in), "")
		}
		t.Log(name, time.Since(began))
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// TestNoValueOfAMaskedFieldRemainsInXML builds documents, breaks some of them, and looks for the value.
func TestNoValueOfAMaskedFieldRemainsInXML(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var b strings.Builder
		var element func(depth int)
		element = func(depth int) {
			name := rapid.SampledFrom([]string{"a", "b", "x:pin", "pin", "pins"}).Draw(r, "name")
			value := rapid.SampledFrom([]string{"text", "&amp;", "<![CDATA[<pin>]]>", "<!-- c -->", "<?p i?>"}).Draw(r, "value")
			if strings.HasSuffix(name, "pin") {
				value = "SECRET" + value
			}
			b.WriteString("<" + name + rapid.SampledFrom([]string{"", ` k="1>2"`, ` pin = 'SECRET'`, "\n"}).Draw(r, "attribute") + ">" + value)
			for range rapid.IntRange(0, 2).Draw(r, "children") {
				if depth < 4 {
					element(depth + 1)
				}
			}
			b.WriteString("</" + name + ">")
		}
		element(0)
		doc := b.String()
		if cut := rapid.IntRange(0, len(doc)).Draw(r, "cut"); rapid.Bool().Draw(r, "broken") {
			doc = doc[:cut]
		}
		for _, path := range []string{"$..pin", "event.data..pin"} {
			if got, _ := fieldsOf(t, path).Body("text/xml", []byte(doc), ""); strings.Contains(string(got), "SECRET") {
				r.Fatalf("%s\nbecomes\n%s", doc, got)
			}
		}
	})
}
