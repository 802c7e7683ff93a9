package store_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

func accept(t testing.TB, s *store.Store, id engine.EventID, d *engine.Delivery) engine.Receipt {
	t.Helper()
	r, err := s.Accept(ctx, id, d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConflictsAreBoundedWithAShareForEachTrigger(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{MaxQuarantine: 40, MaxQuarantineBytes: 40 << 10})
	accept(t, s, 1, delivery("quiet", "k"))
	once := delivery("quiet", "k")
	once.Raw = []byte(`{"a":2}`)
	accept(t, s, 2, once)
	accept(t, s, 3, delivery("loud", "k"))
	for i := range 50 {
		d := delivery("loud", "k")
		d.Raw = bytes.Repeat([]byte("x"), 10)
		d.Raw = append(d.Raw, fmt.Sprint(i)...)
		accept(t, s, engine.EventID(10+i), d)
	}
	big := delivery("loud", "k")
	big.Raw = []byte(strings.Repeat("y", 64<<10))
	accept(t, s, 100, big)
	count := func(id engine.EventID) int {
		d, err := s.History().EventDetail(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return d.Conflicts
	}
	if quiet, loud := count(1), count(3); quiet != 1 || loud < 1 || loud > 10 {
		t.Errorf("%d of the quiet trigger, %d of the loud one", quiet, loud)
	}
}
