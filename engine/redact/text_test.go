package redact

import (
	"html"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/workflows/value"
)

// TestFieldsInTextsInsideTextsAreMasked: JSON and XML in strings, elements and attributes, also if they are
// escaped or stand among other words.
func TestFieldsInTextsInsideTextsAreMasked(t *testing.T) {
	t.Parallel()
	const form, multi = "application/x-www-form-urlencoded", "multipart/form-data; boundary=B"
	for _, c := range []struct{ kind, in string }{
		{"text/xml", `<a j={"x":"1>2","pin":"4111"}>`},
		{"text/xml", `<a j={"pin":"1>4111"}>`},
		{"text/xml", `<a j={"x":">","pin":4111}/>`},
		{"text/xml", `<a j={&quot;x&quot;:&quot;1>2&quot;,&quot;pin&quot;:&quot;1>4111&quot;}>`},
		{"text/xml", `<a j='{"x":"it's > 5","pin":"4111"}'/>`},
		{"text/xml", `<a>&lt;pin&gt;4111&lt;/pin&gt;</a>`},
		{"text/xml", `<a>&lt;b k="1"&gt;&lt;pin t='4111'/&gt;&lt;/b&gt;</a>`},
		{"text/xml", `<a>&amp;lt;pin&amp;gt;4111&amp;lt;/pin&amp;gt;</a>`},
		{"text/xml", `<a>&#60;pin>4111&#x3C;/pin></a>`},
		{"text/xml", `<a>see: &lt;pin&gt;4111&lt;/pin&gt;</a>`},
		{"text/xml", `<a><![CDATA[<pin>4111</pin>]]></a>`},
		{"text/xml", `<a><![CDATA[see <pin k="v">4111</pin>]]></a>`},
		{"text/xml", `<a>note: {"pin":"4111"}</a>`},
		{"text/xml", `<a>note: {&quot;pin&quot;: &quot;4111&quot;} end</a>`},
		{"text/xml", `<a>note: {"pin":"41<b/>4111"}</a>`},
		{"text/xml", `<a>note: {"pi<!-- -->n":"4111"}</a>`},
		{"text/xml", `<a n='note: {"pin":"4111"}'/>`},
		{"text/xml", `<a n="&lt;pin&gt;4111&lt;/pin&gt;"/>`},
		{"text/xml", `<a><!-- {"pin":"4111"} --></a>`},
		{"text/xml", `<a>note: {"pin":"4111`},
		{"application/json", `{"t":"note: {\"pin\":\"4111\"}"}`},
		{"application/json", `{"t":"note: {\"pin\" : 4111} and more"}`},
		{"application/json", `{"t":"a {\"p\\u0069n\":\"4111\"}"}`},
		{"application/json", `{"t":"repr {'pin': '4111'}"}`},
		{"application/json", `{"t":"log \"{\\\"pin\\\":\\\"4,4111\\\"}\""}`},
		{"application/json", `{"t":"note {\"q\":\"n {\\\"pin\\\":\\\"4111\\\"}\"}"}`},
		{"application/json", `{"t":"note: <pin>4111</pin>"}`},
		{"application/json", `{"t":"note: &lt;x:pin&gt;4111&lt;/x:pin&gt;"}`},
		{"application/json", `{"t":"note: {&quot;pin&quot;:&quot;4111&quot;}"}`},
		{"application/json", `{"t":"\u003ca\u003e\u003cpin\u003e4111\u003c/pin\u003e`},
		{"application/json", `{"t":"{\u0022pin\u0022:\u00224,4111\u0022}`},
		{"application/json", `note: <a>["{\&#34;pin\&#34;:\&#34;4111\&#34;}"]</a>`},
		{"application/json", `note: <a>["{\&#34;pin\&#34;:\&#34;x\\\&#34;4111\&#34;}"]</a>`},
		{"application/json", `["note: {\"pin\":{\"n\":[4111]}}"]`},
		{"text/plain", "2026-01-01 INFO {\"pin\":\"4111\"}\n2026-01-01 INFO {\"pin\":\"4111\"}"},
		{"text/plain", `note: <pin>4111</pin>`},
		{form, "t=note%3A+%7B%22pin%22%3A%224111%22%7D"},
		{form, "t=note%3A+%26lt%3Bpin%26gt%3B4111%26lt%3B/pin%26gt%3B"},
		{multi, "--B\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nnote: {\"pin\":\"4111\"}\r\n--B--\r\n"},
	} {
		got, as := fieldsOf(t, "$..pin").Body(c.kind, []byte(c.in), "")
		if strings.Contains(string(got), "4111") || !strings.Contains(string(got), "1234abcd") || as != c.kind {
			t.Errorf("%s: %s\nbecame %s (%s)", c.kind, c.in, got, as)
		}
		if again, _ := fieldsOf(t, "$..pin").Body(c.kind, got, ""); string(again) != string(got) {
			t.Errorf("%s: %s\nbecame %s\nand then %s", c.kind, c.in, got, again)
		}
	}
}

// TestWordsAreNotFields: a text that only mentions a name is unchanged, to the byte, and a path that leads
// elsewhere does not mask it.
func TestWordsAreNotFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, kind, in string }{
		{"$..pin", "application/json", `{"t":"the pin: ask {for} it","u":"a \"pin\" is 4 digits; 1 < 2 &amp; pin > 3"}`},
		{"$..pin", "application/json", `{"t":"at [2026] pin: 4111","u":"https://a.example/?a=1&pin=2"}`},
		{"$..pin", "text/plain", `the pin {is} "pin" &lt;b&gt; < pin >`},
		{"$..pin", "text/xml", `<a>a pin: {x} and &lt;b&gt;pin&lt;/b&gt;</a>`},
		{"event.data.card.pin", "application/json", `{"t":"note: {\"pin\":\"4111\"}"}`},
		{"event.data.card.pin", "text/xml", `<a><t>note: {"pin":"4111"}</t></a>`},
		{"event.data.card.pin", "text/xml", `<a><t>&lt;pin&gt;1&lt;/pin&gt;</t></a>`},
	} {
		if got, as := fieldsOf(t, c.path).Body(c.kind, []byte(c.in), ""); string(got) != c.in || as != c.kind {
			t.Errorf("%s: %s\nbecame %s (%s)", c.path, c.in, got, as)
		}
	}
}

// layers put a text inside another one.
var layers = []func(string) string{
	func(s string) string { return `{"t":` + quoted(s) + `}` },
	func(s string) string { return `note: ` + s },
	func(s string) string { return s + ` & more` },
	func(s string) string { return `<a>` + html.EscapeString(s) + `</a>` },
	func(s string) string { return `<a><![CDATA[` + strings.ReplaceAll(s, "]]>", "") + `]]></a>` },
	func(s string) string { return `<a k="` + html.EscapeString(s) + `"/>` },
	func(s string) string { return html.EscapeString(s) },
	func(s string) string { return `[1,` + quoted(s) + `]` },
	func(s string) string { return `see {"x":[` + quoted(s) + `]}` },
}

func quoted(s string) string {
	b, err := value.EncodeJSON(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// FuzzTextsInsideTexts looks for the value of a field in a text that is inside of others.
func FuzzTextsInsideTexts(f *testing.F) {
	for _, seed := range []string{"", "\x00", "\x01", "\x03", "\x01\x00", "\x01\x03", "\x03\x03", "\x04\x03", "\x05", "\x06\x03",
		"\x06\x01\x00", "\x08\x01", "\x00\x08", "\x03\x00\x03\x00", strings.Repeat("\x03", 20), "\x05\x03\x01\x02", "\x06\x06\x06"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, choice string, inXML bool) {
		if len(choice) > 24 {
			return
		}
		text := `{"x":1,"pin":"SECRET"}`
		if inXML {
			text = `<x><pin>SECRET</pin></x>`
		}
		for _, c := range []byte(choice) {
			if text = layers[int(c)%len(layers)](text); len(text) > 1<<16 {
				return
			}
		}
		for _, kind := range []string{"application/json", "text/xml", "text/plain"} {
			if got, _ := fieldsOf(t, "$..pin").Body(kind, []byte(text), ""); strings.Contains(string(got), "SECRET") {
				t.Fatalf("%s: %s\nbecame %s", kind, text, got)
			}
		}
	})
}

// TestHostileTextsTakeLinearTime gives 64 KB of what makes a careless search begin again and again.
func TestHostileTextsTakeLinearTime(t *testing.T) {
	const n = 64 << 10
	fill := func(s string) string { return strings.Repeat(s, n/len(s)) }
	deep := "<pin"
	for step := "lt;"; len(deep) < n; step = "amp;" + step {
		deep += "&" + step + "a>"
	}
	for name, in := range map[string]string{
		"braces": "note " + fill("{"), "pairs": "note " + fill("{}"), "names": "note " + fill("pin "), "quoted names": "note " + fill(`"pin" `),
		"fields": "note " + fill(`{"pin":`), "entities": "note " + fill("&lt;pin&gt;"), "ampersands": "note &" + fill("amp;"),
		"quotes": "note " + fill(`&quot;pin&quot;:&quot;`), "tags": "note " + fill("<pin "), "backslashes": "note pin " + fill(`\`),
		"levels": "<pin>" + deep, "levels of others": "<b>" + deep, "attributes": fill("<a b={ "), "numbers": `note "pin` + fill(`\u0022`),
		"texts": `{"t":["pin` + fill(`","{ pin `) + `"]}`, "open texts": "<a>" + fill("<b>{ pin</b>"),
	} {
		for _, kind := range []string{"application/json", "text/xml", "text/plain"} {
			began := time.Now()
			fieldsOf(t, "$..pin").Body(kind, []byte(in), "")
			took := time.Since(began)
			t.Log(name, kind, took)
			if took > 2*time.Second {
				t.Errorf("%s as %s: %v", name, kind, took)
			}
		}
	}
}
