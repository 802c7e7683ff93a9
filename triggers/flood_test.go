package triggers_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

// TestAFullDiskIsLoggedOnceASecond: not once for each delivery that cannot be stored.
func TestAFullDiskIsLoggedOnceASecond(t *testing.T) {
	p := load(t, eachPreset)
	for _, c := range []struct {
		err  error
		text string
	}{{engine.ErrFull, "the disk is full"}, {fmt.Errorf("no table"), "a delivery was not stored"}} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			h, err := triggers.NewHooks(&memory{events: map[string]engine.EventID{}, err: c.err}, slog.New(slog.NewTextHandler(&log, nil)),
				triggers.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			use, err := h.Prepare(p, lookup)
			if err != nil {
				t.Fatal(err)
			}
			use()
			deliver := func(n int) {
				s := generic(t, p, "github", fmt.Sprintf(`{"n":%d}`, n))
				if w := post(h, "POST", s.Path, s.Header, s.Body); w.Code != 503 {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
			}
			for n := range 50 {
				deliver(n)
			}
			time.Sleep(time.Second)
			deliver(50)
			if got := log.String(); strings.Count(got, "\n") != 2 || strings.Count(got, c.text) != 2 || !strings.Contains(got, "suppressed=49\n") {
				t.Errorf("logged:\n%s", got)
			}
		})
	}
}
