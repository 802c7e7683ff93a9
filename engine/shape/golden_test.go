package shape_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/shape"
	"github.com/hookloom/hookloom/engine/testgolden"
)

// shapes are events with every kind of value, by name.
var shapes = map[string][]string{
	"empty":        {},
	"scalar":       {`1`, `2`},
	"lists":        {`{"none": [], "mixed": [1, "a", null, {"b": 1}], "nested": [[1], [2.5]], "same": [{"x": 1}, {"x": 2, "y": "z"}]}`},
	"null or text": {`{"a": null, "b": "x"}`, `{"a": "t"}`, `{"a": "t", "b": null, "c": {"d": true}}`},
	"texts": {`{"at": "2026-01-31", "mail": "ada@x.example", "link": "https://x.example/", "plain": "http://x.example", "no": "a@b c",
		"id": "***"}`,
		`{"at": "2026-02-31", "mail": "b@y.example", "link": "ftp://x", "plain": "text", "no": "2026-01-3", "id": "7"}`,
		`{"at": "2026-03-31T10:00:00Z", "mail": "c@y.example", "link": "http://y", "plain": "x@y", "no": "1", "id": "8"}`},
	"optional": {`{}`, `{"a": 1}`},
	"deep": {strings.Repeat("[", 20) + "1" + strings.Repeat("]", 20),
		strings.Repeat(`{"d": `, 20) + "1" + strings.Repeat("}", 20)},
	"numbers": {`{"i": 1, "f": 1.5, "big": 123456789012345678901234567890, "e": 1e3, "m": 1}`, `{"i": 2, "f": 2, "big": 1, "e": 1, "m": 1.5}`},
	"names":   {`{"a b": 1, "": 2, "1a": 3, "a1": 4, "_x": 5, "é": 6, "A": 7, "q\"": 8, "type": 9, "a-b": {"c d": [1]}}`},
}

// TestShapesAreThoseOfTheGoldenFile checks everything that is made of a shape: its rows, a JSON Schema, a
// fixture, and types of TypeScript and Go.
func TestShapesAreThoseOfTheGoldenFile(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	write := func(name string, s *shape.Shape) {
		fmt.Fprintf(&out, "== %s: %d events\n", name, s.Events)
		for _, r := range s.Rows() {
			fmt.Fprintf(&out, "%+v\n", r)
		}
		for _, v := range []any{s.Schema(), s.Fixture()} {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(append(b, '\n'))
		}
		g, err := s.Go()
		if err != nil {
			g = err.Error() + "\n"
		}
		out.WriteString(s.TypeScript() + g)
	}
	for _, name := range []string{"empty", "scalar", "lists", "null or text", "texts", "numbers", "names", "optional", "deep"} {
		write(name, learn(t, shapes[name]...))
	}
	write("orders", learn(t, orders(40)...))
	other := shape.New("", "", "")
	for _, v := range []any{json.Number("12"), json.Number("1.5"), json.Number("1e5"), int64(3), 4, float32(2), 1e300} {
		other.Add(map[string]any{"n": v}, time.Unix(5, 0).UTC())
	}
	write("Go numbers", other)
	for _, n := range []json.Number{"12", "1.5", "1e5", "1E5"} {
		one := shape.New("", "", "")
		one.Add(n, time.Unix(5, 0).UTC())
		fmt.Fprintf(&out, "%s: %v\n", n, one.Data.TypeNames())
	}
	for _, c := range []shape.Change{{Path: "event.data.a", Kind: shape.NewType, What: "string", Count: 3, Of: 50},
		{Path: "event.data.a", Kind: shape.NewValue, What: "x", Count: 4, Of: 60}, {Path: "event.data.a", Kind: shape.FieldGone, Of: 70}} {
		out.WriteString(c.String() + "\n")
	}
	testgolden.Compare(t, "shapes.golden", out.String())
}
