package console_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/testgolden"
)

// follow reads a stream for some time, and returns what was received.
func (w *world) follow(c *console.Console, query, last string, d time.Duration, meanwhile func()) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/stream"+w.named(query), nil)
	r.Host = "127.0.0.1:8081"
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	out, done := httptest.NewRecorder(), make(chan struct{})
	go func() { defer close(done); c.ServeHTTP(out, r) }()
	if meanwhile != nil {
		synctest.Wait()
		meanwhile()
	}
	<-done
	return out
}

var (
	messageID   = regexp.MustCompile(`id: (evt_[0-9a-f]+)|"after":"(evt_[0-9a-f]+)"`)
	messageData = regexp.MustCompile(`data: \{"id":"([^"]+)".*?"status":"(\w+)".*|data: \{"id":"([^"]+)".*"outcome":"(\w+)".*`)
)

// shortened shortens what a stream sent: positions are counted, and of each item there is the id and the status.
func shortened(w *httptest.ResponseRecorder) string {
	n, last := 0, ""
	text := messageID.ReplaceAllStringFunc(w.Body.String(), func(s string) string {
		id := regexp.MustCompile(`evt_[0-9a-f]+`).FindString(s)
		if id != last {
			n, last = n+1, id
		}
		return fmt.Sprint("position ", n)
	})
	return fmt.Sprint(w.Code, " ", w.Header().Get("Content-Type"), w.Header().Get("Retry-After"), "\n",
		strings.ReplaceAll(messageData.ReplaceAllString(text, "$1$3 $2$4"), "\n\n", "\n"))
}

// TestLiveReadersGetWhatTheyAskFor compares what streams send with their golden file.
func TestLiveReadersGetWhatTheyAskFor(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.made(nil)
		var b bytes.Buffer
		const old = "evt_0000000000000001"
		more := func() {
			w.event("shop", fmt.Sprint("later", w.n), "order.paid", 0, map[string]any{"amount": 1}, []engine.Decision{})
			w.run(engine.Running, 0, nil)
			w.event("feed", fmt.Sprint("later", w.n), "item", 0, 1, []engine.Decision{})
		}
		for _, x := range []struct {
			query, last string
			d           time.Duration
			do          func()
		}{
			{"", "", time.Second, more}, {"?trigger=feed", "", time.Second, more}, {"?workflow=orders", "", time.Second, more},
			{"?workflow=paused", "", time.Second, more}, {"", "", 31 * time.Second, nil}, {"?after=" + old, "", time.Second, more},
			{"?trigger=feed&after=" + old, "", time.Second, nil}, {"?workflow=orders", old, time.Second, nil},
			{"?after=evt_7fffffffffffffff", "", time.Second, more},
			{"?after=evt_7fffffffffffffff", old, time.Second, nil}, {"?run=RUNNING", "", time.Second, nil},
			{"?run=RUNNING&after=" + old, "", time.Second, nil},
			{"?run=RUNNING", "", time.Second, func() {
				id, err := engine.ParseRunID(w.named("RUNNING"))
				w.must(err)
				w.must(w.commit(id, engine.Waiting))
			}},
			{"?run=x", "", time.Second, nil}, {"?run=run_0000000000000001", "", time.Second, nil}, {"?after=x", "", time.Second, nil},
			{"?trigger=none", "", time.Second, nil},
		} {
			began := time.Now()
			out := w.follow(c, x.query, x.last, x.d, x.do)
			fmt.Fprintf(&b, "=== %s %s for %s\n%s\n", x.query, x.last, time.Since(began), shortened(out))
		}
		for _, query := range []string{"", "?run=RUNNING&after=" + old, "?after=" + old} {
			log := &failingHistory{History: w.o.Log}
			broken := w.made(func(o *console.Options) { o.Log = log })
			w.follow(broken, query, "", 400*time.Millisecond, nil)
			reads := log.reads
			for n, name := range reads {
				log.reads, log.failing, log.err = nil, n+1, errDisk
				began := time.Now()
				out := w.follow(broken, query, "", 400*time.Millisecond, nil)
				fmt.Fprintf(&b, "=== %s without %s for %s: %d, %d bytes %t\n", query, name, time.Since(began), out.Code, min(out.Body.Len(), 1),
					strings.Contains(out.Body.String(), "event: run"))
			}
		}
		testgolden.Compare(t, "stream.golden", b.String())
	})
}

// TestLiveReadersAreLimitedAndEndWithTheServer starts one reader too many, and closes the console.
func TestLiveReadersAreLimitedAndEndWithTheServer(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.made(nil)
		done := make(chan *httptest.ResponseRecorder)
		for range 64 {
			go func() { done <- w.follow(c, "", "", time.Hour, nil) }()
		}
		synctest.Wait()
		if out := w.follow(c, "", "", time.Second, nil); out.Code != 503 || out.Header().Get("Retry-After") != "5" {
			t.Errorf("the 65th reader: %d %s", out.Code, out.Body)
		}
		began := time.Now()
		c.Close()
		c.Close()
		for range 64 {
			if out := <-done; out.Code != 200 || out.Header().Get("X-Accel-Buffering") != "no" || out.Header().Get("Cache-Control") != "no-store" ||
				out.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%d %v", out.Code, out.Header())
			}
		}
		if time.Since(began) > time.Second {
			t.Errorf("readers end %s after the server", time.Since(began))
		}
		if out := w.follow(w.made(nil), "", "", time.Second, nil); out.Code != 200 {
			t.Errorf("%d", out.Code)
		}
	})
}
