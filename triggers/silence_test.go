package triggers

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// finds is a diary whose polls find something.
type finds struct {
	*diary
	fresh int
}

func (f finds) Poll(context.Context, *engine.PollBatch) (int, error) { return f.fresh, nil }

// TestSilenceIsCheckedByAPoll: a quiet world is no alert, a broken webhook is one,
// and where nobody can be asked the alert says so.
func TestSilenceIsCheckedByAPoll(t *testing.T) {
	for name, x := range map[string]struct {
		fresh int
		asks  bool
		want  string
	}{
		"a quiet world":       {0, true, ""},
		"a broken webhook":    {3, true, "the webhook of trigger t is broken: no delivery for 1h0m0s, but polling found 3 new events"},
		"nobody can be asked": {0, false, "has no poll to check whether anything happened"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := finds{&diary{states: map[string]engine.InletState{}}, x.fresh}
			w := &watcher{trigger: "t", within: time.Hour, in: d, since: time.Now()}
			if x.asks {
				table, err := newTimetable(time.Hour, "", time.UTC)
				if err != nil {
					t.Fatal(err)
				}
				w.poller = &poller{trigger: &workflows.Trigger{Name: "t"}, poll: &workflows.Poll{MaxItems: 10}, inlet: "poll", in: d,
					env: &expr.Env{}, log: slog.New(slog.DiscardHandler), table: table, now: time.Now,
					ask: func(context.Context, map[string]any) (map[string]any, error) {
						return map[string]any{"status": 200, "headers": map[string]any{}, "body": []any{}, "url": "https://x.example"}, nil
					}}
			}
			ctx, cancel := context.WithCancel(context.Background())
			go w.run(ctx)
			time.Sleep(30 * time.Minute)
			synctest.Wait()
			if len(d.told()) > 0 {
				t.Errorf("%s: told too early", name)
			}
			time.Sleep(40 * time.Minute)
			synctest.Wait()
			if got := strings.Join(d.told(), "|"); x.want == "" && got != "" || !strings.Contains(got, x.want) {
				t.Errorf("%s: %q", name, got)
			}
			cancel()
			synctest.Wait()
		})
	}
}

// TestWebhookGapIsLearned: as long as there is too little history nothing is said; then
// silence is longer than the trigger ever was quiet.
func TestWebhookGapIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{states: map[string]engine.InletState{}}
		w := &watcher{trigger: "t", within: workflows.Learned, in: d, since: time.Now()}
		ctx, cancel := context.WithCancel(context.Background())
		go w.run(ctx)
		time.Sleep(5*time.Hour - time.Minute)
		synctest.Wait()
		if got := d.told(); len(got) > 0 {
			t.Errorf("told without a history: %v", got)
		}
		d.mu.Lock()
		d.gap = 6 * time.Hour
		d.mu.Unlock()
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if got := strings.Join(d.told(), "|"); !strings.Contains(got, "no delivery for 6h0m0s") {
			t.Errorf("%q", got)
		}
		cancel()
		synctest.Wait()
	})
}
