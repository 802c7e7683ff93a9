package store_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

func TestPagesOfEventsEndEarlyIfBodiesAreLarge(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hookloom.db")
	s := open(t, file, store.Options{})
	var want []engine.EventID
	for i := range 5 {
		id := engine.EventID(i + 1)
		d := delivery("shop", fmt.Sprint(i))
		d.Raw = bytes.Repeat([]byte("x"), 3<<20)
		accept(t, s, id, d)
		want = append(want, id)
	}
	h, err := store.OpenHistory(file)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var got []engine.EventID
	var sizes []int
	q := engine.RecordedQuery{Limit: 200}
	for {
		page, err := h.RecordedPage(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		sizes = append(sizes, len(page))
		for _, e := range page {
			got = append(got, e.Event.ID)
		}
		q.After = got[len(got)-1]
	}
	if !slices.Equal(got, want) || !slices.Equal(sizes, []int{3, 2}) {
		t.Errorf("pages of %v with the events %v, want pages of [3 2] with %v", sizes, got, want)
	}
}
