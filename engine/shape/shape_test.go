package shape_test

import (
	"encoding/json"
	"fmt"
	"go/format"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/shape"
)

func learn(t *testing.T, texts ...string) *shape.Shape {
	t.Helper()
	s := shape.New("shop", "order.paid", "")
	for i, text := range texts {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		s.Add(v, time.Unix(int64(i), 0).UTC())
	}
	return s
}

func orders(n int) (out []string) {
	for i := range n {
		status := []string{"paid", "open"}[i%2]
		extra := ""
		if i%4 == 0 {
			extra = `, "coupon": null`
		}
		out = append(out, fmt.Sprintf(`{"id": "o-%d", "status": %q, "total": %d.5, "lines": [{"sku": "a", "n": 1}], "mail": "p%d@x.example"%s}`,
			i, status, i, i, extra))
	}
	return out
}

func TestAShapeCountsPathsTypesAndPresence(t *testing.T) {
	t.Parallel()
	got := map[string]shape.Row{}
	for _, r := range learn(t, orders(40)...).Rows() {
		got[r.Path] = r
	}
	for path, want := range map[string]string{
		"event.data.status":      "[string] 40 of 40 [open paid]",
		"event.data.id":          "[string] 40 of 40 []",
		"event.data.mail":        "[string] 40 of 40 []",
		"event.data.total":       "[number] 40 of 40 []",
		"event.data.coupon":      "[null] 10 of 40 []",
		"event.data.lines[].sku": "[string] 40 of 40 [a]",
	} {
		r := got[path]
		if text := fmt.Sprintf("%v %d of %d %v", r.Types, r.Present, r.Of, r.Values); text != want {
			t.Errorf("%s: %s, want %s", path, text, want)
		}
	}
}

// TestMaskedAndPersonalValuesAreNotShown checks what is printed and what is generated.
func TestMaskedAndPersonalValuesAreNotShown(t *testing.T) {
	t.Parallel()
	var texts []string
	for range 40 {
		texts = append(texts, `{"card": "***", "mail": "ada.real@x.example"}`)
	}
	s := learn(t, texts...)
	all, err := json.Marshal([]any{s.Rows(), s.Schema(), s.Fixture()})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(all), "ada.real") || strings.Contains(string(all), "***") {
		t.Errorf("a value is shown: %s", all)
	}
}

// TestTheFixtureHasTheShapeOfItsEvents adds the fixture and compares.
func TestTheFixtureHasTheShapeOfItsEvents(t *testing.T) {
	t.Parallel()
	s := learn(t, orders(40)...)
	text, err := json.Marshal(s.Fixture())
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"id","lines":[{"n":1,"sku":"a"}],"mail":"ada@example.com","status":"open","total":1.5}`; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

// TestGoTypeDecodesEachKey uses keys that encoding/json treats specially, and checks that the
// output is formatted.
func TestGoTypeDecodesEachKey(t *testing.T) {
	t.Parallel()
	s := learn(t, `{"a-b": 1, "a_b": null, "": "x", "1x": [{"y": true}], "q\"": 1.5, "-": "dash", `+
		`"a,b": 2, "a`+"`"+`c": 3, "type": {"long_name": 1}}`,
		`{"a_b": 3, "-": "x"}`)
	got, err := s.Go()
	if err != nil {
		t.Fatal(err)
	}
	want := "type ShopOrderPaid struct {\n" +
		"\t// encoding/json has no tag for the key \"\".\n" +
		"\tField1 string `json:\"-,\"`\n" +
		"\tX      []struct {\n\t\tY bool `json:\"y\"`\n\t} `json:\"1x,omitempty\"`\n" +
		"\t// encoding/json has no tag for the key \"a,b\".\n" +
		"\tAB int64 `json:\"a-b,omitempty\"`\n" +
		"\tABField5 *int64 `json:\"a_b\"`\n"
	if words := func(s string) string { return strings.Join(strings.Fields(s), " ") }; !strings.HasPrefix(words(got), words(want)) {
		t.Errorf("got:\n%s\nwant first:\n%s", got, want)
	}
	if clean, err := format.Source([]byte(got)); err != nil || string(clean) != got {
		t.Errorf("gofmt would change it (%v):\n%s", err, got)
	}
}

func TestTypeScriptQuotesItsKeys(t *testing.T) {
	t.Parallel()
	ts := learn(t, `{"a-b": 1, "a_b": null, "q\"": 1.5, "\u0007": true}`, `{"a_b": 3}`).TypeScript()
	for _, part := range []string{`export type ShopOrderPaid = {`, `"a-b"?: number;`, `"a_b": `, `"q\""?: number;`, `"\u0007"?: boolean;`} {
		if !strings.Contains(ts, part) {
			t.Errorf("%s is not in\n%s", part, ts)
		}
	}
}

// TestAShapeIsBounded adds events with new keys, values and depths.
func TestAShapeIsBounded(t *testing.T) {
	t.Parallel()
	s := shape.New("t", "", "")
	deep := any("x")
	for range 200 {
		deep = map[string]any{"d": deep}
	}
	for i := range 5000 {
		s.Add(map[string]any{fmt.Sprint("k", i): fmt.Sprint("v", i), "same": fmt.Sprint(i), "deep": deep,
			"wide": map[string]any{fmt.Sprint("w", i): map[string]any{fmt.Sprint(i): i}}}, time.Unix(0, 0))
	}
	if n := len(s.Rows()); n > 2100 {
		t.Errorf("%d places are kept", n)
	}
	if text, _ := json.Marshal(s); len(text) > 1<<20 {
		t.Errorf("the shape takes %d bytes", len(text))
	}
}

// TestAShapeSaysWhenAndWhatItDidNotKeep checks the times of the first and the last event, and the limits of
// fields and values.
func TestAShapeSaysWhenAndWhatItDidNotKeep(t *testing.T) {
	t.Parallel()
	s := shape.New("t", "", "2026-01")
	for _, at := range []int64{5, 9, 3, 7} {
		s.Add(map[string]any{"a9": 1}, time.Unix(at, 0))
	}
	if s.First.Unix() != 3 || s.Last.Unix() != 9 || s.Events != 4 || s.Version != "2026-01" || s.Rows()[1].Path != "event.data.a9" {
		t.Errorf("%+v, %+v", s, s.Rows())
	}
	fields := func(n int) map[string]any {
		out := map[string]any{}
		for i := range n {
			out[fmt.Sprint("f", i)] = i
		}
		return out
	}
	for n, more := range map[int]bool{200: false, 201: true} {
		s := shape.New("t", "", "")
		s.Add(fields(n), time.Unix(0, 0))
		text, err := s.Go()
		if err != nil || s.Data.More != more || len(s.Data.Fields) != 200 || strings.Contains(text, "There were more fields") != more {
			t.Errorf("%d fields: more %t, %d are kept, %v", n, s.Data.More, len(s.Data.Fields), err)
		}
	}
	values := func(texts ...string) []string {
		s := shape.New("t", "", "")
		for _, text := range texts {
			s.Add(text, time.Unix(0, 0))
		}
		return s.Data.Enum()
	}
	many := func(n, times int) (out []string) {
		for i := range n * times {
			out = append(out, fmt.Sprint("v", i%n))
		}
		return out
	}
	for name, c := range map[string]struct {
		texts []string
		want  int
	}{
		"twelve":                {many(12, 4), 12},
		"thirteen":              {many(13, 4), 0},
		"thirteen, then one":    {append(many(13, 1), many(1, 60)...), 0},
		"three times each":      {many(12, 3), 0},
		"a date among them":     {append(many(2, 20), "2026-01-31"), 0},
		"a mail address":        {append(many(2, 20), "a@b.example"), 0},
		"a link among them":     {append(many(2, 20), "https://x"), 0},
		"a text of 40 bytes":    {append(many(1, 20), strings.Repeat("x", 40)), 2},
		"a text of 41 bytes":    {append(many(1, 20), strings.Repeat("x", 41)), 0},
		"a masked one":          {append(many(1, 20), "a***"), 0},
		"one, after a long one": {append([]string{strings.Repeat("x", 41)}, many(1, 20)...), 0},
	} {
		if got := values(c.texts...); len(got) != c.want {
			t.Errorf("%s: %q, want %d", name, got, c.want)
		}
	}
}
