//go:build unix

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// entry is what a live reader received: the id of an event, or of a run and its status.
type entry struct{ id, status string }

// liveReader reads /api/v1/stream and is disconnected repeatedly. It continues from the id of its
// last message.
type liveReader struct {
	mu   sync.Mutex
	last string
	told []entry
	cuts int
}

func (l *liveReader) position() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *liveReader) run(ctx context.Context, url string) {
	for ctx.Err() == nil {
		l.read(ctx, url, 1+rand.IntN(150))
		l.cuts++
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
	}
}

// read reads some messages of one connection. A message counts when its empty line has arrived, as
// in a browser.
func (l *liveReader) read(ctx context.Context, url string, messages int) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	if at := l.position(); at != "" {
		req.Header.Set("Last-Event-ID", at)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return // the server is down
	}
	defer resp.Body.Close()
	_ = eachMessage(resp.Body, func(m message) (more bool) {
		l.take(m)
		if m.name == "event" || m.name == "run" {
			messages--
		}
		return messages > 0
	})
}

func (l *liveReader) take(m message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.id != "" {
		l.last = m.id
	}
	var x struct{ ID, Status string }
	if m.name != "event" && m.name != "run" || json.Unmarshal([]byte(m.data), &x) != nil {
		return
	}
	l.told = append(l.told, entry{x.ID, x.Status})
}

// TestLiveReadersGetEveryChangeOnce sends several hundred events per second to slow and fast
// workflows, kills the server in between, disconnects readers at random and runs a tail in another
// process. All receive the same: each event and each status of each run, in commit order, once.
func TestLiveReadersGetEveryChangeOnce(t *testing.T) {
	realProcess(t)
	p := newProject(t, map[string]string{
		"hookloom.yaml":       "triggers:\n  fast: {webhook: {auth: none, key: body.id}}\n  slow: {webhook: {auth: none, key: body.id}}\n",
		"workflows/fast.yaml": "on: fast\nsteps: [{set: {x: 1}}]\n",
		"workflows/slow.yaml": "on: slow\nwhen: 'all(event.data.items, all(event.data.items, # >= 0))'\nsteps: [{sleep: 20ms}, {set: {x: 1}}]\n",
	})
	s := p.start(t)
	h := p.history(t)
	start, err := h.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var printed lockedBuffer
	tail := exec.Command(p.bin, "tail", "--dir", p.dir, "--db", p.db, "--output", "json", "--after", start.String())
	tail.Stdout = &printed
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = tail.Process.Kill() // it may have ended
		_ = tail.Wait()
	}()
	readers := []*liveReader{{last: start.String()}, {last: start.String()}, {last: start.String()}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reading sync.WaitGroup
	for _, l := range readers {
		reading.Go(func() { l.run(ctx, "http://"+p.admin+"/api/v1/stream") })
	}
	sent := p.mixedLoad(t, "a", 3*time.Second)
	sending := make(chan int, 1)
	go func() { sending <- p.mixedLoad(t, "b", 2*time.Second) }()
	time.Sleep(time.Second)
	s.kill()
	s = p.start(t)
	sent += <-sending + p.mixedLoad(t, "c", time.Second)
	p.idle(t)
	end, err := h.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range readers {
		for deadline := time.Now().Add(time.Minute); l.position() != end.String(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("a reader is at %s, the feed at %s", l.position(), end)
			}
		}
	}
	cancel()
	reading.Wait()
	want := wholeFeed(t, h, start)
	sameAsTables(t, h, want)
	for i, l := range readers {
		t.Logf("reader %d: %d messages, %d cuts, %d events sent", i, len(l.told), l.cuts, sent)
		if !slices.Equal(l.told, want) {
			t.Errorf("reader %d was told %d, the feed has %d; %s", i, len(l.told), len(want), firstDifference(l.told, want))
		}
	}
	for deadline := time.Now().Add(time.Minute); strings.Count(printed.String(), "\n") < len(want) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if told := tailed(t, printed.String()); !slices.Equal(told, want) {
		t.Errorf("tail printed %d, the feed has %d; %s", len(told), len(want), firstDifference(told, want))
	}
	s.stop(t)
}

// mixedLoad sends events of both triggers for a while, as fast as possible, and returns the number
// accepted.
func (p *project) mixedLoad(t *testing.T, prefix string, d time.Duration) int {
	items := strings.TrimSuffix(strings.Repeat("1,", 150), ",")
	var mu sync.Mutex
	accepted := 0
	var all sync.WaitGroup
	until := time.Now().Add(d)
	for i := range 8 {
		all.Go(func() {
			for n := 0; time.Now().Before(until); n++ {
				trigger := "fast"
				if i%4 == 0 {
					trigger = "slow"
				}
				body := fmt.Appendf(nil, `{"id":"%s-%d-%d","items":[%s]}`, prefix, i, n, items)
				resp, err := http.Post(p.hookURL(trigger), "application/json", bytes.NewReader(body))
				if err != nil {
					time.Sleep(10 * time.Millisecond) // it was killed
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body) // to use the connection again
				resp.Body.Close()
				if resp.StatusCode == http.StatusAccepted {
					mu.Lock()
					accepted++
					mu.Unlock()
				}
				time.Sleep(time.Duration(5+rand.IntN(15)) * time.Millisecond)
			}
		})
	}
	all.Wait()
	return accepted
}

func wholeFeed(t *testing.T, h *store.History, at engine.Cursor) (out []entry) {
	t.Helper()
	for {
		list, err := h.Feed(t.Context(), at, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return out
		}
		for _, c := range list {
			if at = c.At; c.Event != 0 {
				out = append(out, entry{c.Event.String(), ""})
			} else {
				out = append(out, entry{c.Run.String(), string(c.Status)})
			}
		}
	}
}

// sameAsTables compares a feed with what is stored: each event once, and the last status of each
// run.
func sameAsTables(t *testing.T, h *store.History, feed []entry) {
	t.Helper()
	told, last := map[string]int{}, map[string]string{}
	for i, e := range feed {
		if e.status == "" {
			told[e.id]++
		} else if last[e.id] == e.status {
			t.Errorf("entry %d tells %s of %s again", i, e.status, e.id)
		}
		last[e.id] = e.status
	}
	events, err := pages(t.Context(), h.Events, func(e engine.EventItem) string { return e.ID })
	if err != nil {
		t.Fatal(err)
	}
	runs, err := pages(t.Context(), h.Runs, func(r engine.RunItem) string { return r.ID })
	if err != nil {
		t.Fatal(err)
	}
	if len(last) != len(events)+len(runs) {
		t.Errorf("the feed has %d events and runs, the tables %d and %d", len(last), len(events), len(runs))
	}
	for _, e := range events {
		if told[e.ID] != 1 {
			t.Errorf("%s is %d times in the feed", e.ID, told[e.ID])
		}
	}
	for _, r := range runs {
		if last[r.ID] != r.Status {
			t.Errorf("%s is %s; the feed says %q", r.ID, r.Status, last[r.ID])
		}
	}
}

// pages reads a list to its end.
func pages[T any](ctx context.Context, list func(context.Context, engine.Query) ([]T, error), id func(T) string) (out []T, err error) {
	q := engine.Query{Ascending: true, Limit: 1000}
	for {
		items, err := list(ctx, q)
		if err != nil || len(items) == 0 {
			return out, err
		}
		out, q.After = append(out, items...), id(items[len(items)-1])
	}
}

// tailed reads what tail printed as JSON.
func tailed(t *testing.T, text string) (out []entry) {
	t.Helper()
	for line := range strings.Lines(text) {
		var x struct {
			Event *struct{ ID string }
			Run   *struct{ ID, Status string }
		}
		switch err := json.Unmarshal([]byte(line), &x); {
		case err != nil:
			t.Fatalf("%s: %v", line, err)
		case x.Event != nil:
			out = append(out, entry{x.Event.ID, ""})
		case x.Run != nil:
			out = append(out, entry{x.Run.ID, x.Run.Status})
		}
	}
	return out
}

func firstDifference(got, want []entry) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("entry %d is %v, want %v", i, got[i], want[i])
		}
	}
	return "one is the beginning of the other"
}

// TestStreamBeginsWhereTheListWasRead: a page's stream begins where its list was read, not when the
// browser has connected.
func TestStreamBeginsWhereTheListWasRead(t *testing.T) {
	p := hookProject(t, map[string]string{"w": "on: hook\nsteps: [{uses: log, with: {message: x}}]\n"})
	p.start(t)
	p.send(t, "before")
	p.idle(t)
	resp, err := http.Get("http://" + p.admin + "/events")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // read to its end
	_, after, found := strings.Cut(string(page), `data-after="`)
	after, _, _ = strings.Cut(after, `"`)
	if err != nil || !found || after == "" {
		t.Fatalf("the page has no position: %v\n%s", err, page)
	}
	p.send(t, "between")
	p.idle(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/api/v1/stream?after="+after, nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	told := ""
	_ = eachMessage(stream.Body, func(m message) bool { // ends when ctx does
		if m.name == "event" {
			told = m.data
		}
		return told == ""
	})
	if !strings.Contains(told, `"between"`) {
		t.Errorf("the stream tells %q first", told)
	}
}
