package transform_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions/transform"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// check runs an action with inputs in JSON; want is its output, or the beginning of an error's code
// and a part of its text as "code: text".
func check(t *testing.T, a engine.Action, with, want string) {
	t.Helper()
	in, err := value.DecodeJSON([]byte(with))
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.Do(t.Context(), engine.Input{With: in.(map[string]any)})
	if err != nil {
		var e *plan.Error
		code, part, _ := strings.Cut(want, ": ")
		if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, part) || e.Retryable {
			t.Errorf("%s: error %v, want %s", with, err, want)
		}
		return
	}
	if b, err := value.EncodeJSON(out); err != nil || string(b) != want {
		t.Errorf("%s:\n got %s %v\nwant %s", with, b, err, want)
	}
}

func TestJQMatchesTheProgram(t *testing.T) {
	for with, want := range map[string]string{
		`{"program": ".a + $n", "input": {"a": 1}, "args": {"n": 2}}`: `3`,
		`{"program": "map(.x)", "input": [{"x": 1}, {"x": null}]}`:    `[1,null]`,
		`{"program": ".[]", "input": [1, 2], "all": true}`:            `[1,2]`,
		`{"program": ".[]", "input": [1, 2]}`:                         `invalid_input: more than one result`,
		`{"program": "empty", "input": 1}`:                            `null`,
		`{"program": ".", "input": 12345678901234567890}`:             `12345678901234567890`,
		`{"program": "[. * 10]", "input": 12345678901234567890}`:      `[123456789012345678900]`,
		`{"program": ".a.b", "input": {"a": "text"}}`:                 `jq: expected an object`,
		`{"program": ".a |", "input": 1}`:                             `invalid_input: program`,
		`{"program": "$x", "input": 1}`:                               `invalid_input: $x`,
		`{"program": "env | length", "input": 1}`:                     `0`,
		`{"program": "import \"a\" as a; 1", "input": 1}`:             `invalid_input: program`,
		`{"program": "halt", "input": 1}`:                             `null`,
		`{"program": "error(\"no \" + .)", "input": "luck"}`:          `jq: no luck`,
		`{"program": "[range(300000)]", "input": 1}`:                  `too_large: `,
		`{"program": "\"x\" * 5000000", "input": 1}`:                  `too_large: `,
		`{"program": "range(infinite)", "input": 1, "all": true}`:     `too_large: `,
		`{"program": "[range(1000000) | \"x\" * 10000]", "input": 1}`: `too_large: `,
	} {
		check(t, transform.JQ{}, with, want)
	}
}

func TestJQEndsWithItsStep(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := transform.JQ{}.Do(ctx, engine.Input{With: map[string]any{"program": "def f: f; f", "input": 1}})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

func TestJQDoesNotChangeItsInput(t *testing.T) {
	in := map[string]any{"list": []any{1, 2}, "o": map[string]any{"a": 1}}
	if _, err := (transform.JQ{}).Do(t.Context(), engine.Input{With: map[string]any{"program": ".list[0] = 9 | .o.a = 9 | del(.list[1])",
		"input": in}}); err != nil || fmt.Sprint(in) != "map[list:[1 2] o:map[a:1]]" {
		t.Errorf("%v %v", in, err)
	}
}

func TestCSVIsReadAndWritten(t *testing.T) {
	for with, want := range map[string]string{
		`{"text": "\ufeffa,b\r\n1,\"x,\"\"y\"\"\nz\"\r\n"}`:               `{"columns":["a","b"],"count":1,"rows":[{"a":"1","b":"x,\"y\"\nz"}]}`,
		`{"text": "a;b\n1;2", "delimiter": "semicolon", "numbers": true}`: `{"columns":["a","b"],"count":1,"rows":[{"a":1,"b":2}]}`,
		`{"text": "007,1.50,1.5,1e5,", "header": false, "numbers": true}`: `{"columns":[],"count":1,"rows":[["007","1.50",1.5,"1e5",""]]}`,
		`{"text": "x\ty", "delimiter": "tab", "header": false, "columns": ["a", "b"]}`: `{"columns":["a","b"],"count":1,` +
			`"rows":[{"a":"x","b":"y"}]}`,
		`{"text": ""}`:                     `{"columns":[],"count":0,"rows":[]}`,
		`{"text": "a,b\n1"}`:               `bad_data: line 2 of the CSV has 1 cells`,
		`{"text": "a,a\n1,2"}`:             `bad_data: "a" exists twice`,
		`{"text": "a\n\"x"}`:               `bad_data: cannot be read`,
		`{"text": "a", "delimiter": "::"}`: `invalid_input: delimiter "::"`,
		`{"text": "a", "columns": "a"}`:    `invalid_input: columns is a list`,
	} {
		check(t, transform.CSVParse{}, with, want)
	}
	for with, want := range map[string]string{
		`{"rows": [{"b": 1, "a": "x,y"}, {"a": null, "c": true}]}`:            `{"count":2,"text":"a,b,c\r\n\"x,y\",1,\r\n,,true\r\n"}`,
		`{"rows": [[1, 2]], "columns": ["n", "m"], "delimiter": "semicolon"}`: `{"count":1,"text":"n;m\r\n1;2\r\n"}`,
		`{"rows": [{"a": 1}], "header": false}`:                               `{"count":1,"text":"1\r\n"}`,
		`{"rows": [{"a": "=HYPERLINK(1)"}, {"a": -5}], "spreadsheet": true}`: `{"count":2,"text":"` + "\ufeff" +
			`a\r\n'=HYPERLINK(1)\r\n-5\r\n"}`,
		`{"rows": [1]}`: `invalid_input: rows[0] is neither`,
		`{"rows": "a"}`: `invalid_input: rows is a list`,
		`{"rows": []}`:  `{"count":0,"text":""}`,
	} {
		check(t, transform.CSVMake{}, with, want)
	}
}

func TestXMLIsReadAndWritten(t *testing.T) {
	for with, want := range map[string]string{
		`{"text": "<?xml version=\"1.0\"?><o id=\"7\"><l>a</l><l>b</l><n/></o>"}`: `{"o":{"@id":"7","l":["a","b"],"n":""}}`,
		`{"text": "<o><l>a</l></o>", "lists": ["l"]}`:                             `{"o":{"l":["a"]}}`,
		`{"text": "<a:o xmlns:a=\"u\"><a:b>1 &amp; <![CDATA[<2>]]></a:b></a:o>"}`: `{"o":{"b":"1 & <2>"}}`,
		`{"text": "<a:o xmlns:a=\"u\"/>", "prefixes": true}`:                      `{"a:o":{"@xmlns:a":"u"}}`,
		`{"text": "<o a=\"1\">t<b/></o>"}`:                                        `{"o":{"#text":"t","@a":"1","b":""}}`,
		`{"text": "<o><b></o>"}`:                                                  `bad_data: line 1`,
		`{"text": "<o>"}`:                                                         `bad_data: ends inside element o`,
		`{"text": "<o/><p/>"}`:                                                    `bad_data: second root`,
		`{"text": "x"}`:                                                           `bad_data: text outside`,
		`{"text": ""}`:                                                            `bad_data: no element`,
		`{"text": "<!DOCTYPE o [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><o>&x;</o>"}`: `bad_data: entity`,
		`{"text": "` + strings.Repeat("<a>", 70) + `"}`:                                  `bad_data: more than 64 levels`,
	} {
		check(t, transform.XMLParse{}, with, want)
	}
	for with, want := range map[string]string{
		`{"value": {"o": {"@id": "a\"<", "z": 1, "l": ["x&", null], "#text": "t"}}, "order": ["z"], "declaration": false}`: `{"text":` +
			`"<o id=\"a&#34;&lt;\">t<z>1</z><l>x&amp;</l><l></l></o>"}`,
		`{"value": {"o": 1.5}}`:         `{"text":"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<o>1.5</o>"}`,
		`{"value": {"o": {"a b": 1}}}`:  `invalid_input: "a b" cannot be the name`,
		`{"value": {"o": {"@a b": 1}}}`: `invalid_input: "a b" cannot be the name of an attribute`,
		`{"value": {"a": 1, "b": 2}}`:   `invalid_input: one field`,
		`{"value": {"o": "a\u0000"}}`:   `invalid_input: U+0000 cannot be in XML`,
		`{"value": {"o": [1, 2]}}`:      `invalid_input: there can be only one`,
	} {
		check(t, transform.XMLMake{}, with, want)
	}
}

// FuzzXML checks that parsed data written as XML is parsed as the same data.
func FuzzXML(f *testing.F) {
	f.Add(`<o id="7"><l>a</l><l>b</l><n/>t</o>`)
	f.Add("<a:b xmlns:a='x'>\r\n&#13;</a:b>")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := transform.XMLParse{}.Do(t.Context(), engine.Input{With: map[string]any{"text": text}})
		if err != nil {
			return
		}
		made, err := transform.XMLMake{}.Do(t.Context(), engine.Input{With: map[string]any{"value": first}})
		if err != nil {
			t.Skip(err) // only a name with a prefix, or a text beyond XML 1.0
		}
		again, err := transform.XMLParse{}.Do(t.Context(), engine.Input{With: map[string]any{"text": made.(map[string]any)["text"]}})
		a, _ := value.EncodeJSON(first)
		b, _ := value.EncodeJSON(again)
		if err != nil || string(a) != string(b) {
			t.Errorf("%q: %s, and then %s %v", text, a, b, err)
		}
	})
}
