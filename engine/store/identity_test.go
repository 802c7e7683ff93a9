package store_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

func fresh(t testing.TB) *store.Store {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
}

func accept(t testing.TB, s *store.Store, id engine.EventID, d *engine.Delivery) engine.Receipt {
	t.Helper()
	r, err := s.Accept(ctx, id, d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnEqualBodyUnderAnotherIDIsAnotherEventAndMarked(t *testing.T) {
	s := fresh(t)
	for i, key := range []string{"id-1", "id-2", "id-3"} {
		d := delivery("a", key)
		d.SameBody = engine.BodyMarked
		r := accept(t, s, engine.EventID(1+i), d)
		if r.Duplicate || r.RepeatsBodyOf != map[bool]engine.EventID{false: 1}[i == 0] {
			t.Errorf("%s: %+v", key, r)
		}
	}
	late := delivery("a", "id-4")
	late.SameBody, late.ReceivedAt = engine.BodyMarked, late.ReceivedAt.Add(2*time.Hour)
	if r := accept(t, s, 4, late); r.RepeatsBodyOf != 0 {
		t.Errorf("after the window: %+v", r)
	}
	items, err := s.History().Events(ctx, engine.Query{Status: "repeated-body"})
	if err != nil || len(items) != 2 || items[0].RepeatsBodyOf != engine.EventID(1).String() {
		t.Errorf("%+v %v", items, err)
	}
}

func TestReplaysBodyMakesAnEqualTypeAndBodyTheSameEvent(t *testing.T) {
	s := fresh(t)
	strict := func(key, kind string) *engine.Delivery {
		d := delivery("a", key)
		d.SameBody, d.Type = engine.BodyDuplicate, kind
		return d
	}
	accept(t, s, 1, strict("id-1", "paid"))
	for i, key := range []string{"id-2", "id-2", "id-1"} {
		if r := accept(t, s, engine.EventID(2+i), strict(key, "paid")); !r.Duplicate || r.Event != 1 {
			t.Errorf("%s: %+v", key, r)
		}
	}
	if r := accept(t, s, 9, strict("id-9", "refunded")); r.Duplicate {
		t.Errorf("another type: %+v", r)
	}
}

func TestTheSameClaimIsTheSameEventWhateverItsID(t *testing.T) {
	s := fresh(t)
	signed := func(key, claim, body string) *engine.Delivery {
		d := delivery("a", key)
		d.Claim, d.Raw = []byte(claim), []byte(body)
		return d
	}
	accept(t, s, 1, signed("id-1", "token-1", `{"a":1}`))
	if r := accept(t, s, 2, signed("id-2", "token-1", `{"a":1}`)); !r.Duplicate || r.Event != 1 || r.Conflict {
		t.Errorf("under another id: %+v", r)
	}
	if r := accept(t, s, 3, signed("id-2", "token-3", `{"b":1}`)); r.Duplicate {
		t.Errorf("an id that only a replay has used is the sender's still: %+v", r)
	}
	if r := accept(t, s, 4, signed("id-4", "token-1", `{"forged":1}`)); !r.Duplicate || !r.Conflict || r.Event != 1 {
		t.Errorf("with another body: %+v", r)
	}
	if r := accept(t, s, 5, signed("id-5", "token-5", `{"a":1}`)); r.Duplicate || r.RepeatsBodyOf != 0 {
		t.Errorf("another signed content: %+v", r)
	}
}

// TestEachSignatureOfAKnownEventIsSpent holds the signature of a repeat, which is signed
// anew, against other content.
func TestEachSignatureOfAKnownEventIsSpent(t *testing.T) {
	s := fresh(t)
	signed := func(key, claim, body string) *engine.Delivery {
		d := delivery("a", key)
		d.Claim, d.Raw = []byte(claim), []byte(body)
		return d
	}
	accept(t, s, 1, signed("id-1", "token-1", `{"a":1}`))
	if r := accept(t, s, 2, signed("id-1", "token-2", `{"a":1}`)); !r.Duplicate || r.Event != 1 {
		t.Errorf("the repeat: %+v", r)
	}
	if r := accept(t, s, 3, signed("id-3", "token-2", `{"forged":1}`)); !r.Duplicate || r.Event != 1 || !r.Conflict {
		t.Errorf("the signature of the repeat under another id: %+v", r)
	}
}

func TestASignatureIsSpentAsLongAsItIsGenuine(t *testing.T) {
	s := fresh(t)
	for _, c := range []struct {
		name     string
		identity engine.Identity
	}{{"by content", engine.ByContent}, {"by an id that is not signed", engine.ByHeader}} {
		signed := func(id string, later time.Duration) *engine.Delivery {
			d := delivery("a", c.name+id)
			d.Claim, d.Dedupe, d.ClaimFor, d.Identity = []byte(c.name), time.Minute, 5*time.Minute, c.identity
			d.ReceivedAt = d.ReceivedAt.Add(later)
			return d
		}
		first := engine.EventID(100 * (1 + int(c.identity)))
		accept(t, s, first, signed("1", 0))
		if r := accept(t, s, first+1, signed("2", 4*time.Minute)); !r.Duplicate || r.Event != first {
			t.Errorf("%s, after dedupe: %+v", c.name, r)
		}
		if r := accept(t, s, first+2, signed("3", 6*time.Minute)); r.Duplicate {
			t.Errorf("%s, when the signature is stale: %+v", c.name, r)
		}
	}
}

func TestAThousandEqualContentsAtOnceAreOneEventAndExpire(t *testing.T) {
	s := fresh(t)
	content := func() *engine.Delivery {
		d := delivery("a", "sha256:1")
		d.Identity, d.Claim, d.Dedupe = engine.ByContent, []byte("digest"), time.Minute
		return d
	}
	var firsts atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			r, err := s.Accept(ctx, engine.EventID(i+1), content())
			if err != nil {
				t.Error(err)
			} else if !r.Duplicate {
				firsts.Add(1)
			}
		})
	}
	wg.Wait()
	if firsts.Load() != 1 {
		t.Errorf("%d events", firsts.Load())
	}
	later := content()
	later.ReceivedAt = later.ReceivedAt.Add(2 * time.Minute)
	if r := accept(t, s, 2000, later); r.Duplicate {
		t.Errorf("after its window: %+v", r)
	}
	items, err := s.History().Events(ctx, engine.Query{Status: "by-content"})
	if err != nil || len(items) != 2 || items[0].Identity != "content" {
		t.Errorf("%+v %v", items, err)
	}
	n, err := s.Prune(ctx, engine.PruneOrder{Now: later.ReceivedAt.Add(2 * time.Minute), DefaultDedupe: 24 * time.Hour})
	if err != nil || n.Keys != 1 {
		t.Errorf("pruned %+v %v", n, err)
	}
}

func TestAKnownKeyWithAnotherBodyIsKeptAsAConflict(t *testing.T) {
	s := fresh(t)
	accept(t, s, 1, delivery("a", "k"))
	other := func() *engine.Delivery {
		d := delivery("a", "k")
		d.Raw = []byte(`{"a":2}`)
		return d
	}
	for i := range 3 {
		if r := accept(t, s, engine.EventID(2+i), other()); !r.Duplicate || !r.Conflict || r.Event != 1 {
			t.Errorf("%+v", r)
		}
	}
	kind := delivery("a", "k")
	kind.Type = "another"
	if r := accept(t, s, 9, kind); !r.Conflict {
		t.Errorf("another type: %+v", r)
	}
	volatile := delivery("a", "k")
	volatile.Headers = map[string]string{"attempt": "2"}
	if r := accept(t, s, 10, volatile); !r.Duplicate || r.Conflict {
		t.Errorf("other headers: %+v", r)
	}
	d, err := s.History().EventDetail(ctx, 1)
	if err != nil || d.Conflicts != 2 || len(d.Conflicting) != 2 || d.Conflicting[0].Count != 3 ||
		fmt.Sprint(d.Conflicting[0].Differences) != "map[a:[1 2]]" {
		t.Fatalf("%+v %v", d, err)
	}
	c, err := s.Conflict(ctx, d.Conflicting[0].ID)
	if err != nil || string(c.Delivery.Raw) != `{"a":2}` || c.Event != 1 {
		t.Errorf("%+v %v", c, err)
	}
	if items, err := s.History().Events(ctx, engine.Query{Status: "conflicting"}); err != nil || len(items) != 1 {
		t.Errorf("%+v %v", items, err)
	}
}

func TestABodyThatDiffersOnlyInItsSignatureIsNoConflict(t *testing.T) {
	s := fresh(t)
	d := delivery("a", "k")
	d.ContentSum = 7
	accept(t, s, 1, d)
	again := delivery("a", "k")
	again.Raw, again.ContentSum = []byte(`{"a":1,"signature":{"timestamp":2}}`), 7
	if r := accept(t, s, 2, again); !r.Duplicate || r.Conflict {
		t.Errorf("%+v", r)
	}
	other := delivery("a", "k")
	other.Raw, other.ContentSum = []byte(`{"a":2,"signature":{"timestamp":2}}`), 8
	if r := accept(t, s, 3, other); !r.Conflict {
		t.Errorf("%+v", r)
	}
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
