//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/examples"
	"github.com/hookloom/hookloom/triggers"
)

// faultyShop has an API that lists its orders, and webhooks some of which it drops, delays or sends
// twice.
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
		_, _ = w.Write([]byte("{}")) // the test checks what is recorded
		return
	}
	s.asked++
	since, _ := strconv.Atoi(r.URL.Query().Get("since")) // none is 0
	list := s.orders[min(since, len(s.orders)):]
	_ = json.NewEncoder(w).Encode(map[string]any{"orders": list}) // as above
}

// TestComparisonMatchesTheShop checks that every order runs exactly once, and that the
// report's figures are the shop's own.
func TestComparisonMatchesTheShop(t *testing.T) {
	shop := &faultyShop{booked: map[string]int{}}
	api := httptest.NewServer(shop)
	defer api.Close()
	files := map[string]string{}
	err := fs.WalkDir(examples.Files, "polling-vs-webhooks", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(examples.Files, name)
		files[strings.TrimPrefix(name, "polling-vs-webhooks/")] = strings.ReplaceAll(string(text), "https://shop.example.com", api.URL)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files[".env"] = "SHOP_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nSHOP_TOKEN=shop-token\n"
	files["hookloom.yaml"] = strings.Replace(files["hookloom.yaml"], "every: 1m", "every: 24h", 1) + "egress: {allow: [127.0.0.1]}\n"
	x := &lively{project: newProject(t, files)}
	x.begin(t)
	defer x.stop()
	const orders = 300
	want := engine.Comparison{Events: orders}
	send := func(id string, n int) {
		sample, err := triggers.Sample(x.flows, "orders", x.secrets.Lookup, triggers.SampleOrder{ID: fmt.Sprint("msg-", id, "-", rand.Int()),
			Body: fmt.Appendf(nil, `{"type":"order.made","order":{"id":%q,"number":%d,"total":%d}}`, id, n, n)})
		if err != nil {
			t.Fatal(err)
		}
		sample.Header.Set("User-Agent", "shop") // a sample is a test, which is not compared
		if status, body, err := deliver(t.Context(), x.hooksURL(), sample); err != nil || status/100 != 2 {
			t.Fatalf("%d %s %v", status, body, err)
		}
	}
	var late []int
	poll := func() {
		if status, b := x.call(t, "POST", "/api/v1/triggers/orders/poll", ""); status/100 != 2 {
			t.Fatalf("%d %s", status, b)
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
	x.idle(t)
	shop.mu.Lock()
	for n := 1; n <= orders; n++ {
		if k := shop.booked[fmt.Sprint("o-", n)]; k != 1 {
			t.Errorf("order %d was booked %d times", n, k)
		}
	}
	asked := shop.asked
	shop.mu.Unlock()
	out, err := x.run("compare", "orders", "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	// The trigger also polls by itself, which may happen between the two counts.
	shop.mu.Lock()
	askedAfter := shop.asked
	shop.mu.Unlock()
	var got engine.Comparison
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Events != want.Events || got.PollOnly != want.PollOnly || got.Both != want.Both || got.WebhookOnly != 0 ||
		got.Requests < asked || got.Requests > askedAfter || got.Repeats != want.Repeats {
		t.Errorf("report: %+v\nthe shop: %+v, asked %d times", got, want, asked)
	}
	if !strings.Contains(got.Verdict, fmt.Sprintf("missed %d of %d", want.PollOnly, orders)) {
		t.Error(got.Verdict)
	}
}
