package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

func TestQuarantineIsBounded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{MaxQuarantine: 10})
	for range 30 {
		if err := s.Refuse(ctx, engine.Refusal{At: time.Now(), Trigger: "a", Reason: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if items, err := s.History().Quarantine(ctx, engine.Query{}); err != nil || len(items) != 10 {
		t.Errorf("%d kept, %v", len(items), err)
	}
}

func TestBodiesOfTheQuarantineAreBounded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{MaxQuarantineBytes: 10 << 10})
	for range 128 {
		if err := s.Refuse(ctx, engine.Refusal{At: time.Now(), Trigger: "a", Reason: "x", Diagnosis: "d", URL: "https://x/",
			Body: make([]byte, 1024), Size: 1024}); err != nil {
			t.Fatal(err)
		}
	}
	items, err := s.History().Quarantine(ctx, engine.Query{Limit: 1000})
	if err != nil || len(items) != 128 {
		t.Fatalf("%d kept, %v", len(items), err)
	}
	kept := 0
	for i, x := range items {
		kept += x.Kept
		if i < 8 && x.Kept == 0 {
			t.Errorf("the body of %s, one of the newest, is gone", x.ID)
		}
	}
	if kept > 11<<10 {
		t.Errorf("%d bytes of bodies are kept", kept)
	}
}

func TestAdmittedRefusalIsMarked(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err := s.Refuse(ctx, engine.Refusal{At: time.Now(), Trigger: "a", Reason: "x", Headers: map[string]string{"h": "v"},
		Body: []byte{0xff, 1}, Size: 2}); err != nil {
		t.Fatal(err)
	}
	if err := s.Admitted(ctx, 1, 7); err != nil {
		t.Fatal(err)
	}
	x, body, err := s.History().Refusal(ctx, "ref_1")
	if err != nil || x.Event != engine.EventID(7).String() || string(body) != "\xff\x01" || x.Headers["h"] != "v" {
		t.Errorf("%+v %q %v", x, body, err)
	}
	if _, _, err := s.History().Refusal(ctx, "ref_2"); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := s.History().Refusal(ctx, "ref_2 OR 1=1"); err == nil || errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
}

func TestRefusedBodyIsShownMaskedAndCheckedUnmasked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "x.db"), store.Options{Sealer: seal.New(dir)})
	whole := `{"iban":"DE89 canary"}`
	for _, r := range []engine.Refusal{{Body: []byte(`{"iban":"***"}`), Whole: []byte(whole), URL: "/a"}, {Body: []byte("plain"), URL: "/b"},
		{Body: []byte("plain"), URL: "/c?iban=***", WholeURL: "/c?iban=DE89canary"},
		{Body: []byte(`{"iban":"***"}`), Whole: []byte(whole), URL: "/d?iban=***", WholeURL: "/d?iban=DE89canary"}} {
		r.At, r.Trigger, r.Size = time.Now(), "a", 22
		if err := s.Refuse(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, shown, err := s.History().Refusal(ctx, "ref_1"); err != nil || string(shown) != `{"iban":"***"}` {
		t.Errorf("shown is %s %v", shown, err)
	}
	for id, want := range map[string]string{"ref_1": "/a " + whole, "ref_2": "/b plain", "ref_3": "/c?iban=DE89canary plain",
		"ref_4": "/d?iban=DE89canary " + whole} {
		if url, b, err := s.RefusedRequest(ctx, id); err != nil || url+" "+string(b) != want {
			t.Errorf("%s is judged by %s %s %v", id, url, b, err)
		}
	}
	if item, _, err := s.History().Refusal(ctx, "ref_4"); err != nil || item.URL != "/d?iban=***" {
		t.Errorf("shown is %s %v", item.URL, err)
	}
	for _, name := range []string{"x.db", "x.db-wal"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s holds the field, or cannot be read: %v", name, err)
		}
	}
}

// A flood at one trigger takes nothing from what is kept of another, and headers count
// as bodies do.
func TestTheQuarantineKeepsAShareForEachTrigger(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options store.Options
		flood   engine.Refusal
	}{
		"by number": {store.Options{MaxQuarantine: 100}, engine.Refusal{Trigger: "flooded", Reason: "x"}},
		"by bodies": {store.Options{MaxQuarantineBytes: 64 << 10},
			engine.Refusal{Trigger: "flooded", Body: make([]byte, 4<<10), Size: 4 << 10}},
		"by headers": {store.Options{MaxQuarantineBytes: 64 << 10},
			engine.Refusal{Trigger: "flooded", Headers: map[string]string{"x": strings.Repeat("h", 4<<10)}}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			s := open(t, path, c.options)
			other := engine.Refusal{At: time.Now(), Trigger: "other", Reason: "evidence", Body: []byte("body"), Size: 4}
			for range 5 {
				if err := s.Refuse(ctx, other); err != nil {
					t.Fatal(err)
				}
			}
			c.flood.At = time.Now()
			for range 300 {
				if err := s.Refuse(ctx, c.flood); err != nil {
					t.Fatal(err)
				}
			}
			items, err := s.History().Quarantine(ctx, engine.Query{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			kept, bytes := 0, 0
			for _, x := range items {
				if x.Trigger == "other" && x.Kept == 4 {
					kept++
				}
				bytes += x.Kept
				for _, v := range x.Headers {
					bytes += len(v)
				}
			}
			if kept != 5 {
				t.Errorf("%d of 5 refusals of the other trigger are kept whole", kept)
			}
			if c.options.MaxQuarantineBytes > 0 && int64(bytes) > c.options.MaxQuarantineBytes {
				t.Errorf("%d bytes are kept; %d at most", bytes, c.options.MaxQuarantineBytes)
			}
			if len(items) < 15 {
				t.Errorf("only %d are kept: the flooded trigger has its share too", len(items))
			}
		})
	}
}

// TestRefusedDeliveriesAreCountedByTriggerAndReason: since when does a signature fail, and how much
// of what comes does it concern?
func TestRefusedDeliveriesAreCountedByTriggerAndReason(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	at := time.Now().UTC().Truncate(time.Millisecond)
	for i, r := range []engine.Refusal{
		{At: at.Add(-time.Hour), Trigger: "shop", Reason: "signature missing"},
		{At: at, Trigger: "shop", Reason: "signature does not match", Diagnosis: "old"},
		{At: at.Add(time.Second), Trigger: "bank", Reason: "signature does not match"},
		{At: at.Add(2 * time.Second), Trigger: "shop", Reason: "signature does not match", Diagnosis: "the secret of test mode"},
	} {
		r.RemoteIP = fmt.Sprintf("10.0.0.%d", i)
		if err := s.Refuse(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 {
		d := delivery("shop", fmt.Sprint("k", i))
		d.Inlet = workflows.InletWebhook
		if _, err := s.Accept(ctx, engine.EventID(engine.FirstID(at.Add(time.Minute))+int64(i)), d); err != nil {
			t.Fatal(err)
		}
	}
	groups, err := s.History().RefusalGroups(ctx, engine.Query{})
	if err != nil || len(groups) != 3 {
		t.Fatalf("%+v %v", groups, err)
	}
	g := groups[0]
	if g.Trigger != "shop" || g.Reason != "signature does not match" || g.Count != 2 || !g.First.Equal(at) ||
		!g.Last.Equal(at.Add(2*time.Second)) ||
		g.Diagnosis != "the secret of test mode" || g.Share != 0.25 { // 2 of 6 events and 2 refusals
		t.Errorf("%+v", g)
	}
	if groups[1].Trigger != "bank" || groups[1].Share != 1 || groups[2].Share != 1.0/9 {
		t.Errorf("%+v", groups)
	}
	if groups, err = s.History().RefusalGroups(ctx, engine.Query{Reason: "signature missing"}); err != nil || len(groups) != 1 {
		t.Errorf("%+v %v", groups, err)
	}
}
