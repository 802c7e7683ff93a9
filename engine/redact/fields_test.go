package redact

import (
	"errors"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

func fieldsOf(t *testing.T, paths ...string) *Fields {
	t.Helper()
	f := &Fields{mark: func(string) (string, error) { return "1234abcd", nil }}
	for _, p := range paths {
		x, err := workflows.ParseRedactPath(p)
		if err != nil {
			t.Fatal(err)
		}
		f.paths = append(f.paths, x)
	}
	return f
}

func TestFieldsAreMaskedAndNothingElseChanges(t *testing.T) {
	const m = `"***:1234abcd"`
	const multi = "--B\r\nContent-Disposition: form-data; name=\"iban\"\r\n\r\nDE89\r\n--B\r\nContent-Disposition: form-data; " +
		"name=\"note\"\r\n\r\nhi\r\n--B--\r\n"
	for _, c := range []struct{ name, path, kind, data, in, want string }{
		{"a field", "event.data.card.number", "application/json", "", ` {"card" : {"number":"4111", "x":1.50}} `, ` {"card" : {"number":` + m +
			`, "x":1.50}} `},
		{"a number", "event.data.n", "application/json", "", `{"n":12e3,"m":1}`, `{"n":` + m + `,"m":1}`},
		{"null stays", "event.data.n", "application/json", "", `{"n":null}`, `{"n":null}`},
		{"an object whole", "event.data.card", "application/json", "", `{"card":{"n":[1,{"a":2}]},"b":[]}`, `{"card":` + m + `,"b":[]}`},
		{"any depth", "$..iban", "application/json", "", `{"iban":"a","l":[{"iban":"b"},[{"iban":{"x":1}}]]}`, `{"iban":` + m +
			`,"l":[{"iban":` + m + `},[{"iban":` + m + `}]]}`},
		{"each element", "event.data.items[*].pin", "application/json", "", `{"items":[{"pin":1},{"pin":2,"q":3}]}`, `{"items":[{"pin":` + m +
			`},{"pin":` + m + `,"q":3}]}`},
		{"one element", "event.data.l[1]", "application/json", "", `{"l":["a","b","c"]}`, `{"l":["a",` + m + `,"c"]}`},
		{"every field", "event.data.card.*", "application/json", "", `{"card":{"a":1,"b":{"c":2}}}`, `{"card":{"a":` + m + `,"b":` + m + `}}`},
		{"an odd name", `event.data["card-no"]`, "application/json", "", `{"card-no":"4"}`, `{"card-no":` + m + `}`},
		{"an escaped name", "event.data.iban", "application/json", "", `{"\u0069ban":"4"}`, `{"\u0069ban":` + m + `}`},
		{"a name twice", "event.data.a", "application/json", "", `{"a":"1","a":"2"}`, `{"a":` + m + `,"a":` + m + `}`},
		{"data in JSON in a string", "event.data.iban", "application/json", "fromJSON(body.p)", `{"p":"{\"iban\": \"x\"}","b":"<"}`,
			`{"p":"{\"iban\": \"***:1234abcd\"}","b":"<"}`},
		{"a field of JSON in a string", "event.data.p.l[*].iban", "application/json", "", `{"p":"{\"l\":[{\"iban\":\"x\"}],\"iban\":1}"}`,
			`{"p":"{\"l\":[{\"iban\":\"***:1234abcd\"}],\"iban\":1}"}`},
		{"JSON in strings in strings", "$..iban", "application/json", "", `["[\"{\\\"iban\\\":\\\"x\\\"}\"]"]`,
			`["[\"{\\\"iban\\\":\\\"***:1234abcd\\\"}\"]"]`},
		{"a text that is no JSON", "$..iban", "application/json", "", `{"p":"iban: x"}`, `{"p":"iban: x"}`},
		{"wrong JSON in a string", "$..iban", "application/json", "", `{"p":"{iban: x}"}`, `{"p":"{iban: ***:1234abcd}"}`},
		{"no such field", "event.data.a", "application/json", "", `{"b":"1"}`, `{"b":"1"}`},
		{"masked already", "event.data.a", "application/json", "", `{"a":"***:ffff0000"}`, `{"a":"***:ffff0000"}`},
		{"data inside of the body", "event.data.iban", "application/json", "body.data?.object ?? body",
			`{"iban":"x","data":{"object":{"iban":"y"}}}`, `{"iban":` + m + `,"data":{"object":{"iban":` + m + `}}}`},
		{"data by an expression", "event.data.iban", "application/json", `fromJSON(body.x)`, `{"q":{"iban":"y"}}`, `{"q":{"iban":` + m + `}}`},
		{"the body itself", "event.body.data.iban", "application/json", "body.data", `{"iban":"x","data":{"iban":"y"}}`,
			`{"iban":"x","data":{"iban":` + m + `}}`},
		{"no type", "$..iban", "", "", `{"iban":"x"}`, `{"iban":` + m + `}`},
		{"a form", "event.data.iban", "application/x-www-form-urlencoded", "", `a=1&iban=DE+89&ib%61n=2`,
			`a=1&iban=%2A%2A%2A%3A1234abcd&ib%61n=%2A%2A%2A%3A1234abcd`},
		{"JSON in a form", "event.data.payload.iban", "application/x-www-form-urlencoded", "", `payload=%7B%22iban%22%3A%22x%22%7D&b=2`,
			`payload=%7B%22iban%22%3A%22%2A%2A%2A%3A1234abcd%22%7D&b=2`},
		{"a bare percent", "event.data.iban", "application/x-www-form-urlencoded", "", `iban=5%&b=%`, `iban=%2A%2A%2A%3A1234abcd&b=%`},
		{"a repeated field", "event.data.iban[*]", "application/x-www-form-urlencoded", "", `iban=1&iban=2`,
			`iban=%2A%2A%2A%3A1234abcd&iban=%2A%2A%2A%3A1234abcd`},
		{"JSON of another charset", "$..iban", "application/json; charset=utf-16le", "", "{\x00\"\x00i\x00b\x00a\x00n\x00\"\x00:\x001\x00}\x00",
			`{"iban":` + m + `}`},
		{"a byte order mark", "$..iban", "application/json", "", "\ufeff{\"iban\":1}", `{"iban":` + m + `}`},
		{"parts", "event.data.iban", "multipart/form-data; boundary=B", "", multi, strings.Replace(multi, "DE89", "***:1234abcd", 1)},
		{"no JSON", "$..iban", "text/plain", "", `iban: x`, `iban: x`},
		{"half a JSON", "$..iban", "application/json", "", `{"iban":"x"`, `{"iban":` + m},
		{"JSON that breaks off in the field", "event.data.card.number", "application/json", "", `{"number":"41\"11`, `{"number":"***:1234abcd`},
		{"an object that breaks off", "event.data.card", "application/json", "", `{"a":1,"card":{"n":[1,"}"`, `{"a":1,"card":` + m},
		{"a number in wrong JSON", "$..pin", "application/json", "", `{"pin":42,"a":NaN}`, `{"pin":***:1234abcd,"a":NaN}`},
		{"JSON in half a JSON", "$..iban", "application/json", "", `{"p":"{\"iban\":\"x\",\"a\":\"b\"}"`,
			`{"p":"{\"iban\":\"***:1234abcd\",\"a\":\"b\"}"`},
		{"a longer name stays", "$..iban", "application/json", "", `{"my_iban":"x","iban2":"y"`, `{"my_iban":"x","iban2":"y"`},
		{"parts that break off", "event.data.iban", "multipart/form-data; boundary=B", "", multi[:65],
			strings.Replace(multi[:65], "DE89", "***:1234abcd", 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := fieldsOf(t, c.path).Body(c.kind, []byte(c.in), c.data)
			if string(got) != c.want {
				t.Errorf("%s\nbecame %s\nwanted %s", c.in, got, c.want)
			}
		})
	}
}

func TestWithoutAKeyFieldsAreMaskedWithoutDigits(t *testing.T) {
	f := fieldsOf(t, "event.data.a")
	f.mark = func(string) (string, error) { return "", errors.New("no key") }
	if got, _ := f.Body("application/json", []byte(`{"a":"x"}`), ""); string(got) != `{"a":"***"}` {
		t.Errorf("%s", got)
	}
}

func TestDeepBodiesCostNoMoreThanTheirBytes(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 5000) + `{"iban":"x"}` + strings.Repeat("}", 5000)
	got, _ := fieldsOf(t, "$..a..iban", "$..iban").Body("application/json", []byte(deep), "")
	if strings.Contains(string(got), `"x"`) {
		t.Error("it is not masked")
	}
}

func FuzzMaskedFieldsStayJSON(f *testing.F) {
	f.Add(`{"a":[1,{"iban":"x"}],"iban":{"b":[]}}`)
	f.Fuzz(func(t *testing.T, in string) {
		fr := &Fields{}
		p, err := workflows.ParseRedactPath("$..iban")
		if err != nil {
			t.Fatal(err)
		}
		fr.paths = append(fr.paths, p)
		out, err := fr.json([]byte(in), fr.states(""))
		if err != nil {
			return
		}
		before, err := value.DecodeJSON([]byte(in))
		if err != nil {
			return
		}
		after, err := value.DecodeJSON(out)
		if err != nil {
			t.Fatalf("%q became %q: %v", in, out, err)
		}
		_, was := before.(map[string]any)
		if _, is := after.(map[string]any); was != is {
			t.Fatalf("%q became %q", in, out)
		}
	})
}

// TestFieldsOfRefusedBodiesAreMaskedAtAnyDepth is for refused deliveries, whose bodies may be
// anything.
func TestFieldsOfRefusedBodiesAreMaskedAtAnyDepth(t *testing.T) {
	const m = `"***:1234abcd"`
	for _, c := range []struct{ kind, in, want string }{
		{"application/json", `{"data":{"object":{"card":{"number":"4111"}}}}`, `{"data":{"object":{"card":{"number":` + m + `}}}}`},
		{"application/json", `{"card":{"number":"4111"}`, `{"card":{"number":` + m + `}`},
		{"application/json", `{"card":{"n\u0075mber":"4111"}}`, `{"card":{"n\u0075mber":` + m + `}}`},
		{"text/plain", `{"number":"4111"}`, `{"number":` + m + `}`},
		{"text/xml", `<card><number>4111</number></card>`, `<card><number>***:1234abcd</number></card>`},
		{"", "number=4111&a=1", "number=***:1234abcd&a=1"},
		{"application/x-www-form-urlencoded", "a=1&card=%7B%22number%22%3A%224111%22%7D",
			"a=1&card=%7B%22number%22%3A%22%2A%2A%2A%3A1234abcd%22%7D"},
		{"application/x-www-form-urlencoded", `{"card":{"number":"4111"}}`, `{"card":{"number":` + m + `}}`},
		{"application/x-www-form-urlencoded", `{"card":{"number":"4111"}`, `{"card":{"number":` + m + `}`},
		{"application/json", `{"a":1}`, `{"a":1}`},
	} {
		if got := fieldsOf(t, "event.data.card.number").Refused(c.kind, []byte(c.in)); string(got) != c.want {
			t.Errorf("%s\nbecame %s\nwanted %s", c.in, got, c.want)
		}
	}
}

func FuzzLooseRedaction(f *testing.F) {
	f.Add(`{"iban":"x\"`)
	f.Add(`iban:\\`)
	f.Fuzz(func(t *testing.T, body string) {
		x := &Fields{}
		p, err := workflows.ParseRedactPath("$..iban")
		if err != nil {
			t.Fatal(err)
		}
		x.paths = []workflows.RedactPath{p}
		once := x.maskByName([]byte(body))
		if twice := x.maskByName(once); string(twice) != string(once) {
			t.Errorf("%q becomes %q and then %q", body, once, twice)
		}
	})
}

// TestBodyWithoutTheFieldIsUnchanged, to the byte and with its type, also where it has the name at another
// place.
func TestBodyWithoutTheFieldIsUnchanged(t *testing.T) {
	const parts = "a preamble\r\n--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--B--\r\n"
	for name, c := range map[string]struct{ path, kind, data, in string }{
		"JSON":                          {"event.data.a.b", "application/json", "", ` { "b" : 1 } `},
		"JSON that calls itself a form": {"event.data.a.b", "application/json; boundary=B", "", `{"b":"1"}`},
		"JSON in another charset": {"event.data.a.b", "application/json; charset=utf-16le", "",
			"{\x00\"\x00b\x00\"\x00:\x001\x00}\x00"},
		"a form":                             {"event.data.a.b", "application/x-www-form-urlencoded", "", "b=1&c=%7b%22b%22%3a1%7d"},
		"a form with JSON in the field":      {"event.data.a.b", "application/x-www-form-urlencoded", "", "a=%7b%22c%22%3a1%7d"},
		"a form with text in the field":      {"event.data.a.b", "application/x-www-form-urlencoded", "", "a=%2f"},
		"a form with an empty field":         {"event.data.a", "application/x-www-form-urlencoded", "", "a=&a"},
		"parts":                              {"event.data.a", "multipart/form-data; boundary=B", "", parts},
		"parts without a boundary":           {"event.data.a.b", "multipart/form-data", "", parts},
		"text":                               {"$..a", "text/plain", "", "a text"},
		"a text of JSON":                     {"$..a", "application/json", "", `"a"`},
		"null":                               {"$..a", "application/json", "", "null"},
		"nothing":                            {"$..a", "application/json", "", ""},
		"the field of the body, in the data": {"event.body.iban", "application/json", "body.data", `{"data":{"data":{"iban":"x"},"iban":"y"}}`},
		"another element":                    {"event.data.l[1]", "application/json", "", `{"l":["x"],"m":["y","z"]}`},
	} {
		if got, kind := fieldsOf(t, c.path).Body(c.kind, []byte(c.in), c.data); string(got) != c.in || kind != c.kind {
			t.Errorf("%s: %q became %q of type %q", name, c.in, got, kind)
		}
	}
}

// TestMaskDigitsAreComputedFromTheValue, whatever its type, so that equal values can be compared.
func TestMaskDigitsAreComputedFromTheValue(t *testing.T) {
	for in, want := range map[string]string{
		`{"a": "x\ty"}`: "x\ty", `{"a" :12e3}`: "12e3", `{"a":true}`: "true", `{"a":false}`: "false",
		`{"a": [1, {"b":2}] }`: `[1, {"b":2}]`, "{\"a\":\r\n\t{}}": "{}",
	} {
		f := fieldsOf(t, "event.data.a")
		got := ""
		f.mark = func(text string) (string, error) { got = text; return "00000000", nil }
		out, kind := f.Body("application/json", []byte(in), "")
		raw := want
		if strings.Contains(in, `"x`) {
			raw = `"x\ty"`
		}
		if got != want || kind != "application/json" || string(out) != strings.Replace(in, raw, `"***:00000000"`, 1) {
			t.Errorf("%s: the digits are of %q, it became %s", in, got, out)
		}
	}
	utf16 := []byte("{\x00\"\x00i\x00b\x00a\x00n\x00\"\x00:\x001\x00}\x00")
	if _, kind := fieldsOf(t, "$..iban").Body("application/json; charset=utf-16le", utf16, ""); kind != "application/json" {
		t.Errorf("a body that is written again has the type %q", kind)
	}
}

// TestFormsAreMaskedByTheirStructure: elements of lists, JSON of any kind inside, and no files.
func TestFormsAreMaskedByTheirStructure(t *testing.T) {
	const m = "%2A%2A%2A%3A1234abcd"
	part := func(disposition, body string) string {
		return "--B\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + body + "\r\n"
	}
	for name, c := range map[string]struct{ path, kind, in, want string }{
		"the first element": {"event.data.a[0]", "application/x-www-form-urlencoded", "a=1&b=2", "a=" + m + "&b=2"},
		"a field below":     {"event.data.a.b[0]", "application/x-www-form-urlencoded", "a=1&b=2", "a=1&b=2"},
		"a list in a field": {"event.data.l[*].pin", "application/x-www-form-urlencoded", "l=%5B%7B%22pin%22%3A1%7D%5D",
			"l=%5B%7B%22pin%22%3A%22" + m + "%22%7D%5D"},
		"blanks around it": {"event.data.l.pin", "application/x-www-form-urlencoded", "l=+%7B%22pin%22%3A1%7D",
			"l=+%7B%22pin%22%3A%22" + m + "%22%7D"},
		"a name with a byte order mark": {"event.data.a", "application/x-www-form-urlencoded", "\ufeffa=1", "\ufeffa=" + m},
		"JSON with a boundary":          {"event.data.a", "application/json; boundary=B", `{"a":"1"}`, `{"a":"***:1234abcd"}`},
		"JSON that calls itself parts":  {"event.data.a", "multipart/form-data", `{"a":"1"}`, `{"a":"***:1234abcd"}`},
		"a file stays": {"$..pin", "multipart/form-data; boundary=B",
			part(`name="pin"; filename="f"`, `"pin":"1"`) + part(`name="pin"`, "2") + "--B--\r\n",
			part(`name="pin"; filename="f"`, `"pin":"1"`) + part(`name="pin"`, "***:1234abcd") + "--B--\r\n"},
	} {
		if got, _ := fieldsOf(t, c.path).Body(c.kind, []byte(c.in), ""); string(got) != c.want {
			t.Errorf("%s: %q\nbecame %q\nwanted %q", name, c.in, got, c.want)
		}
	}
}

// TestFieldsOfAFormWithTooManyPartsAreMasked: it is not read as a form, and is stored as it came.
func TestFieldsOfAFormWithTooManyPartsAreMasked(t *testing.T) {
	part := func(name, body string) string {
		return "--B\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + body + "\r\n"
	}
	for _, n := range []int{999, 1000, 1001, 5000} {
		body := part("iban", "DE89") + part("f\"; filename=\"f", `"iban":"x"`) + strings.Repeat(part("x", "1"), n-2) + "--B--\r\n"
		got, _ := fieldsOf(t, "event.data.iban").Body("multipart/form-data; boundary=B", []byte(body), "")
		if want := strings.Replace(body, "DE89", "***:1234abcd", 1); n <= 1000 && string(got) != want || strings.Contains(string(got), "DE89") {
			t.Errorf("%d parts: the field is masked: %t, the file too: %t", n, !strings.Contains(string(got), "DE89"),
				!strings.Contains(string(got), `"x"`))
		}
	}
}

// TestOnlyOneValueThatIsNotTooDeepIsReadAsJSON; the rest is left to the search by name.
func TestOnlyOneValueThatIsNotTooDeepIsReadAsJSON(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for in, want := range map[string]string{
		`{"a":1}`: "", "5": "", nested(10_000): "", nested(10_001): "nested too deeply", `{"a":1} {}`: "more follows", "{}x": "more follows",
		"{": "EOF", "": "EOF",
	} {
		f := fieldsOf(t, "$..a")
		if _, err := f.json([]byte(in), f.states("")); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", in, err, want)
		}
	}
}

// TestJSONThatDoesNotEndIsMaskedInOtherTexts: in strings, forms, parts, elements, attributes and
// texts of other types.
func TestJSONThatDoesNotEndIsMaskedInOtherTexts(t *testing.T) {
	const form, parts = "application/x-www-form-urlencoded", "multipart/form-data; boundary=B"
	for _, c := range []struct{ kind, in string }{
		{"application/json", `{"p":"{\"pin\":\"4111"}`},
		{"application/json", `{"p":"{\"pin\":\"4111\",}"}`},
		{"application/json", `{"p":"[{\"q\":\"{\\\"pin\\\":\\\"4111\"}"}`},
		{"application/json", `{"p":"{\"pin\":\"x\\\"4111\"`},
		{"application/json", `{"p\u0069n":"4111"`},
		{"application/json", `{"p":"{\"p\\u0069n\":\"4111"}`},
		{"application/x-ndjson", "{\"p\":\"{\\\"pin\\\":\\\"4111\"}\n{}\n"},
		{"text/plain", `{"pin":"4111"`},
		{form, "p=%7B%22pin%22%3A%224111"},
		{form, "p=%7B%22p%5Cu0069n%22%3A%224111"},
		{parts, "--B\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n{\"pin\":\"4111\r\n--B--\r\n"},
		{"text/xml", `<a>{"pin":"4111"</a>`},
		{"text/xml", `<a>{&quot;pin&quot;:&quot;4111</a>`},
		{"text/xml", `<a>&#123;"pin":"4111"</a>`},
		{"text/xml", `<a>{"p\u0069n":"4111"</a>`},
		{"text/xml", `<a>{"pin":"x<b/>4111"}</a>`},
		{"text/xml", `<a>{"x":1,<b k="{"/>"pin":"4111"}</a>`},
		{"text/xml", `<a>{"pi<!-- -->n":"4111"}</a>`},
		{"text/xml", `<a>{"pin":<![CDATA["4111"]]>}</a>`},
		{"text/xml", `<a><![CDATA[{"pin":"4111]]></a>`},
		{"text/xml", `<a><b>{"pin":"x</c>4111"}</a>`},
		{"text/xml", `<a>{"pin":"4111`},
		{"text/xml", `<a j='{"pin":"4111"}'/>`},
		{"text/xml", `<a j='{"pin":"4111"'/>`},
		{"text/xml", `<a j="{&quot;pin&quot;:&quot;4111"/>`},
		{"text/xml", `<a j={"pin": "4111"}>`},
		{"application/json", `{"x":"<a>{\"pin\":\"4111</a>"}`},
		{form, "x=%3Ca%3E%7B%22pin%22%3A%224111%3C/a%3E"},
	} {
		got, _ := fieldsOf(t, "$..pin").Body(c.kind, []byte(c.in), "")
		if strings.Contains(string(got), "4111") || !strings.Contains(string(got), "1234abcd") {
			t.Errorf("%s: %s\nbecame %s", c.kind, c.in, got)
		}
	}
	for _, in := range []string{`<a>{"pins":"4111"</a>`, `<a>[pin] 4111<b/></a>`, `<a k="[pin]">{</a>`} {
		if got, _ := fieldsOf(t, "$..pin").Body("text/xml", []byte(in), ""); string(got) != in {
			t.Errorf("%s\nbecame %s", in, got)
		}
	}
}
