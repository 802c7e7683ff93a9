package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/testsize"
)

// TestDamageIsSeenNotServed flips bits, swaps pages, and cuts a copy of a database at
// random, then opens it and reads every event: what is read is as it was stored, or an
// error says that the file is damaged. SQLite's own structures are checked by SQLite,
// what an event is made of by its checksum. HOOKLOOM_DAMAGE sets the number of trials.
func TestDamageIsSeenNotServed(t *testing.T) {
	t.Parallel()
	trials := testsize.Of(t, "HOOKLOOM_DAMAGE", 120)
	good := filepath.Join(t.TempDir(), "good.db")
	s, err := store.Open(t.Context(), good, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	const events = 200
	want := map[engine.EventID]string{}
	for i := range events {
		id := engine.EventID(engine.FirstID(at.Add(time.Duration(i) * time.Second)))
		body := fmt.Sprintf(`{"n":%d,"pad":%q}`, i, strings.Repeat(fmt.Sprint(i%10), 300+i*7%2000))
		if _, err := s.Accept(t.Context(), id, &engine.Delivery{Trigger: "shop", Inlet: "webhook", Key: fmt.Sprint("key-", i), Type: "paid",
			Time: at, ReceivedAt: at, Raw: []byte(body), Dedupe: time.Hour, Unsubscribed: true}); err != nil {
			t.Fatal(err)
		}
		want[id] = body
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 11))
	counts := map[string]int{}
	for trial := range trials {
		text := append([]byte{}, whole...)
		kind := []string{"bit", "bit", "bit", "bits", "cut", "swapped"}[trial%6]
		switch kind {
		case "bit":
			text[random.IntN(len(text))] ^= 1 << random.IntN(8)
		case "bits":
			for range 50 {
				text[random.IntN(len(text))] ^= 1 << random.IntN(8)
			}
		case "cut":
			text = text[:random.IntN(len(text))]
		case "swapped":
			a, b := random.IntN(len(text)/8192), random.IntN(len(text)/8192)
			page := append([]byte{}, text[a*8192:(a+1)*8192]...)
			copy(text[a*8192:], text[b*8192:(b+1)*8192])
			copy(text[b*8192:], page)
		}
		path := filepath.Join(t.TempDir(), "bad.db")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		verdict, wrong := readAll(t, path, want)
		counts[kind+" "+verdict]++
		if wrong != "" {
			t.Errorf("trial %d, %s: %s", trial, kind, wrong)
		}
	}
	t.Logf("%d trials: %v", trials, counts)
}

// readAll reads the events of a file that may be damaged. What it cannot read is
// named by an error; wrong is what was read and is not as it was stored.
func readAll(t *testing.T, path string, want map[engine.EventID]string) (verdict, wrong string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := store.Open(ctx, path, store.Options{})
	if err != nil {
		return "refused", ""
	}
	defer func() { _ = s.Close() }() // a damaged file may not close well
	verdict = "unharmed"
	for id, body := range want {
		d, err := s.History().EventDetail(ctx, id)
		switch {
		case err != nil:
			verdict = "seen"
		case string(d.Body) != body || d.Type != "paid" || d.Trigger != "shop" || !strings.HasPrefix(d.Key, "key-"):
			return verdict, fmt.Sprintf("%s reads %.80s as %s of %s", id, d.Body, d.Type, d.Trigger)
		}
	}
	return verdict, ""
}
