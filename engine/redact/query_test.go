package redact

import (
	"maps"
	"testing"
)

// TestFieldsOfAQueryAreMasked: those of event.query, and those of a path for any depth.
func TestFieldsOfAQueryAreMasked(t *testing.T) {
	const m, escaped = "***:1234abcd", "%2A%2A%2A%3A1234abcd"
	for _, c := range []struct{ path, mail, card, url string }{
		{"event.query.mail", m, `{"mail":"a"}`, "https://h/p?mail=" + escaped + "&card=%7B%22mail%22%3A%22a%22%7D#mail=x"},
		{`event.query["mail"]`, m, `{"mail":"a"}`, "https://h/p?mail=" + escaped + "&card=%7B%22mail%22%3A%22a%22%7D#mail=x"},
		{"$..mail", m, `{"mail":"` + m + `"}`, "https://h/p?mail=" + escaped + "&card=%7B%22mail%22%3A%22" + escaped + "%22%7D#mail=x"},
		{"event.query.card.mail", "ada@example.com", `{"mail":"` + m + `"}`,
			"https://h/p?mail=ada%40example.com&card=%7B%22mail%22%3A%22" + escaped + "%22%7D#mail=x"},
		{"event.data.mail", "ada@example.com", `{"mail":"a"}`, "https://h/p?mail=ada%40example.com&card=%7B%22mail%22%3A%22a%22%7D#mail=x"},
		{"event.body.mail", "ada@example.com", `{"mail":"a"}`, "https://h/p?mail=ada%40example.com&card=%7B%22mail%22%3A%22a%22%7D#mail=x"},
	} {
		f := fieldsOf(t, c.path)
		query := map[string]string{"mail": "ada@example.com", "card": `{"mail":"a"}`, "x": ""}
		before := maps.Clone(query)
		if got := f.Query(query); !maps.Equal(got, map[string]string{"mail": c.mail, "card": c.card, "x": ""}) || !maps.Equal(query, before) {
			t.Errorf("%s: %v becomes %v", c.path, before, got)
		}
		if got := f.URL("https://h/p?mail=ada%40example.com&card=%7B%22mail%22%3A%22a%22%7D#mail=x"); got != c.url {
			t.Errorf("%s: %s", c.path, got)
		}
		if got := f.URL("/p/mail"); got != "/p/mail" {
			t.Errorf("%s: %s", c.path, got)
		}
	}
	for _, kind := range []string{"application/json", "text/plain"} {
		if got, _ := fieldsOf(t, "event.query.mail").Body(kind, []byte(`{"mail":"a"}`), ""); string(got) != `{"mail":"a"}` {
			t.Errorf("a path of the query masks the body: %s", got)
		}
	}
	if got := fieldsOf(t, "event.query.mail").Refused("application/json", []byte(`{"mail":"a"`)); string(got) != `{"mail":"a"` {
		t.Errorf("a path of the query masks a refused body: %s", got)
	}
}
