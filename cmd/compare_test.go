package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/examples"
	"github.com/hookloom/hookloom/triggers"
)

// faultyShop has an API that lists its orders, and webhooks of which it drops some,
// sends some late, and some twice.
type faultyShop struct {
	mu     sync.Mutex
	orders []map[string]any
	booked map[string]int
	asked  int
}

func (s *faultyShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer shop-token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if id, ok := strings.CutPrefix(r.URL.Path, "/books/"); ok {
		s.booked[id]++
		_, _ = w.Write([]byte("{}")) // what is booked shows in the test
		return
	}
	s.asked++
	since, _ := strconv.Atoi(r.URL.Query().Get("since")) // none is 0
	list := s.orders[min(since, len(s.orders)):]
	_ = json.NewEncoder(w).Encode(map[string]any{"orders": list}) // as above
}

// TestTheComparisonTellsWhatTheShopDid: every order runs exactly once, and the
// report's figures are those that the shop knows of itself.
func TestTheComparisonTellsWhatTheShopDid(t *testing.T) {
	shop := &faultyShop{booked: map[string]int{}}
	api := httptest.NewServer(shop)
	defer api.Close()
	dir := t.TempDir()
	err := fs.WalkDir(examples.Files, "polling-vs-webhooks", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(examples.Files, name)
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(name, "polling-vs-webhooks/")
		return writeFile(filepath.Join(dir, rel), strings.ReplaceAll(string(text), "https://shop.example.com", api.URL))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(dir, ".env"), "SHOP_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nSHOP_TOKEN=shop-token\n"); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "hookloom.yaml")
	text, err := fs.ReadFile(examples.Files, "polling-vs-webhooks/hookloom.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(config, strings.ReplaceAll(strings.Replace(string(text), "every: 1m", "every: 24h", 1), "https://shop.example.com", api.URL)+"egress: {allow: [127.0.0.1]}\n"); err != nil {
		t.Fatal(err)
	}
	s, stop := startServer(t, dir)
	defer stop()
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	const orders = 300
	want := engine.Comparison{Events: orders}
	send := func(id string, n int) {
		sample, err := triggers.Sample(l.project, "orders", l.secrets.Lookup, triggers.SampleOrder{ID: fmt.Sprint("msg-", id, "-", rand.Int()), Body: fmt.Appendf(nil, `{"type":"order.made","order":{"id":%q,"number":%d,"total":%d}}`, id, n, n)})
		if err != nil {
			t.Fatal(err)
		}
		if status, body, err := deliver(t.Context(), s.hooksURL(), sample); err != nil || status/100 != 2 {
			t.Fatalf("%d %s %v", status, body, err)
		}
	}
	var late []int
	poll := func() {
		if _, err := s.inlets.Poll(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
		for _, n := range late { // the delayed ones come after the poll has seen them
			send(fmt.Sprint("o-", n), n)
		}
		late = nil
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= orders; n++ {
		id := fmt.Sprint("o-", n)
		shop.mu.Lock()
		shop.orders = append(shop.orders, map[string]any{"id": id, "number": n, "total": n})
		shop.mu.Unlock()
		switch p := random.Float64(); {
		case p < 0.05:
			want.PollOnly++ // dropped
		case p < 0.15:
			late = append(late, n)
			want.Both++
		case p < 0.25:
			send(id, n)
			send(id, n)
			want.Both++
			want.Repeats++
		default:
			send(id, n)
			want.Both++
		}
		if n%50 == 0 {
			poll()
		}
	}
	waitIdle(t, dir)
	shop.mu.Lock()
	for n := 1; n <= orders; n++ {
		if k := shop.booked[fmt.Sprint("o-", n)]; k != 1 {
			t.Errorf("order %d was booked %d times", n, k)
		}
	}
	asked := shop.asked
	shop.mu.Unlock()
	var out, errs bytes.Buffer
	if code := Main([]string{"compare", "orders", "--dir", dir, "--output", "json"}, &out, &errs); code != 0 {
		t.Fatalf("%d %s", code, errs.String())
	}
	var got engine.Comparison
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Events != want.Events || got.PollOnly != want.PollOnly || got.Both != want.Both || got.WebhookOnly != 0 || got.Requests != asked || got.Repeats != want.Repeats {
		t.Errorf("report: %+v\nthe shop: %+v, asked %d times", got, want, asked)
	}
	if !strings.Contains(got.Verdict, fmt.Sprintf("missed %d of %d", want.PollOnly, orders)) {
		t.Error(got.Verdict)
	}
}
