package redact

import (
	"strings"
	"testing"
)

// TestStructureOfXMLDecidesWhatIsMasked checks paths in well-formed documents, which are followed exactly, and in
// damaged ones, of which every field of the last name is masked.
func TestStructureOfXMLDecidesWhatIsMasked(t *testing.T) {
	const m = "***:1234abcd"
	for _, c := range []struct{ name, path, in, want string }{
		{"a declaration before the root", "event.data.card", `<!DOCTYPE a><order><card>4111</card><a><card>9</card></a></order>`,
			`<!DOCTYPE a><order><card>*</card><a><card>9</card></a></order>`},
		{"a declaration without an end", "event.data.card", `<order><a><card>9</card></a></order><!DOCTYPE a`,
			`<order><a><card>*</card></a></order><!DOCTYPE a`},
		{"a declaration with an open comment", "event.data.card", `<!DOCTYPE a [<!-- x ]><order><a><card>9</card></a></order>`,
			`<!DOCTYPE a [<!-- x ]><order><a><card>*</card></a></order>`},
		{"a declaration with an open quote", "event.data.card", `<!DOCTYPE a [<!ENTITY p "4111]><order><a><card>9</card></a></order>`,
			`<!DOCTYPE a [<!ENTITY p "*`},
		{"a declaration with a quote outside", "event.data.card", `<!DOCTYPE a SYSTEM "a>b.dtd"><order><a><card>9</card></a></order>`,
			`<!DOCTYPE a SYSTEM "a>b.dtd"><order><a><card>9</card></a></order>`},
		{"a declaration with a comment", "event.data.card", `<!DOCTYPE a [<!-- <card>1</card> -->]><order><a><card>9</card></a></order>`,
			`<!DOCTYPE a [<!-- <card>*</card> -->]><order><a><card>9</card></a></order>`},
		{"JSON in the root element", "event.data.a.pin", `<a>{"pin":"1"}</a>`, `<a>{&#34;pin&#34;:&#34;*&#34;}</a>`},
		{"JSON in another element", "event.data.a.pin", `<a><b>[{"pin":"1"}]</b></a>`, `<a><b>[{"pin":"1"}]</b></a>`},
		{"a bracket alone", "$..pin", `<a>{</a>`, `<a>{</a>`},
		{"JSON without an end", "$..pin", `<a>{"pin":"4111"</a>`, `<a>*</a>`},
		{"JSON behind blanks", "event.data.a.pin", "<a> \n {\"pin\":\"1\"}</a>", "<a> \n {&#34;pin&#34;:&#34;*&#34;}</a>"},
		{"a processing instruction", "event.data.a.pin", `<?x pin="1"?><a><b><pin>2</pin></b><pin>1</pin></a>`,
			`<?x pin="1"?><a><b><pin>2</pin></b><pin>*</pin></a>`},
		{"a processing instruction without an end", "event.data.a.pin", `<a><b><pin>2</pin></b></a><?x`, `<a><b><pin>*</pin></b></a><?x`},
		{"a comment without an end", "event.data.a.pin", `<a><b><pin>2</pin></b></a><!-- <pin>1</pin>`,
			`<a><b><pin>*</pin></b></a><!-- <pin>*</pin>`},
		{"an element in a masked one", "event.data.a.pin", `<a><pin><pin>1</pin><b x="2">3</b></pin><c>4</c></a>`, `<a><pin>*</pin><c>4</c></a>`},
		{"an empty element", "event.data.a.pin", `<a><pin/><pin x="1" /><pin x="1"></pin><b/></a>`,
			`<a><pin/><pin x="*" /><pin x="*"></pin><b/></a>`},
		{"an attribute without a value", "event.data.a.pin", `<a><b><pin>2</pin></b><c pin></c></a>`, `<a><b><pin>*</pin></b><c pin></c></a>`},
		{"an attribute at the end", "event.data.a.pin", `<a><b><pin>2</pin></b><c pin=`, `<a><b><pin>*</pin></b><c pin=`},
		{"an attribute without quotes at the end", "$..pin", `<a pin=4111`, `<a pin=*`},
		{"blanks around =", "$..pin", "<a pin\n=\t'4111' b=\"1\"/>", "<a pin\n=\t'*' b=\"1\"/>"},
		{"an end tag with blanks", "event.data.a.pin", `<a><pin>1</pin ><b><pin>2</pin></b></a >`, `<a><pin>*</pin ><b><pin>2</pin></b></a >`},
		{"another end tag", "event.data.a.pin", `<a><b><pin>2</pin></c></a>`, `<a><b><pin>*</pin></c></a>`},
		{"text behind the root", "event.data.a.pin", `<a><b><pin>2</pin></b></a> x`, `<a><b><pin>2</pin></b></a> x`},
		{"text before the root", "event.data.a.pin", `x <a><b><pin>2</pin></b></a>`, `x <a><b><pin>*</pin></b></a>`},
		{"a byte order mark", "event.data.a.pin", "\ufeff<a><b><pin>2</pin></b><pin>1</pin></a>", `<a><b><pin>2</pin></b><pin>*</pin></a>`},
		{"CDATA with a mark inside", "$..pin", `<a><pin><![CDATA[1]]>2<![CDATA[3]]></pin></a>`, `<a><pin>*</pin></a>`},
		{"the namespace of an attribute", "$..xmlns", `<a xmlns="urn:1" xmlns:b="urn:2" x="3"/>`, `<a xmlns="urn:1" xmlns:b="urn:2" x="3"/>`},
		{"a star in the middle", "event.data.*.pin", `<a><b><pin>1</pin><c><pin>2</pin></c></b></a>`,
			`<a><b><pin>*</pin><c><pin>2</pin></c></b></a>`},
		{"a path with the root", "event.data.a.b.pin", `<a><b><pin>1</pin></b><pin>2</pin></a>`, `<a><b><pin>*</pin></b><pin>2</pin></a>`},
		{"a path without the root", "event.data.b.pin", `<a><b><pin>1</pin></b><pin>2</pin></a>`, `<a><b><pin>*</pin></b><pin>2</pin></a>`},
		{"an upper-case name", "event.data.a.pin", `<a><PIN>1</PIN><Pin>2</Pin><pin>3</pin></a>`, `<a><PIN>1</PIN><Pin>2</Pin><pin>*</pin></a>`},
	} {
		got, _ := fieldsOf(t, c.path).Body("application/xml", []byte(c.in), "")
		if want := strings.ReplaceAll(c.want, "*", m); string(got) != want {
			t.Errorf("%s:\n%s becomes\n%s, expected\n%s", c.name, c.in, got, want)
		}
	}
}
