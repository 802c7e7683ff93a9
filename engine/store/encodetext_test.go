package store

import (
	"strings"
	"testing"
)

// TestAnEncodedTextIsNotChangedByLaterOnes: texts are encoded in a buffer that the next ones use too.
func TestAnEncodedTextIsNotChangedByLaterOnes(t *testing.T) {
	same := func(b []byte) []byte { return b }
	values := []any{strings.Repeat("a", 100), "b", strings.Repeat("c", 2*keptBuffer), strings.Repeat("d", 300)}
	var texts []string
	for _, v := range values {
		text, err := encodeText(v, same)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	if _, err := encodeText(make(chan int), same); err == nil {
		t.Error("a value that is no plain data was encoded")
	}
	for i, v := range values {
		if want := `"` + v.(string) + `"`; texts[i] != want {
			t.Errorf("text %d has %d bytes and begins with %.10s, expected %d bytes that begin with %.10s", i, len(texts[i]), texts[i], len(want),
				want)
		}
	}
}
