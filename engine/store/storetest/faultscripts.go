package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// found is the result of a read, nothing if there is no row.
func found(text string, err error) (string, error) {
	if errors.Is(err, engine.ErrNotFound) {
		return "", nil
	}
	return text, err
}

func versionScript() []write {
	return []write{
		{"SaveVersion", func(ctx context.Context, s Opened) error {
			return s.SaveVersion(ctx, &workflows.Workflow{ID: "saved", Version: "saved1", Text: []byte("on: hook")})
		}},
		{"SaveFile", func(ctx context.Context, s Opened) error {
			return s.SaveFile(ctx, "connectors/c.yaml", "file1", []byte("connector: c"))
		}},
		{"SaveUses", func(ctx context.Context, s Opened) error {
			return s.SaveUses(ctx, engine.VersionUses{Version: "saved1", From: run(1)})
		}},
	}
}

func upkeepScript() []write {
	return []write{
		{"SaveDifference", func(ctx context.Context, s Opened) error {
			return s.SaveDifference(ctx, event(1), "webhook", map[string]any{"a": []any{int64(1), int64(2)}})
		}},
		{"UseSecrets", func(ctx context.Context, s Opened) error {
			return s.UseSecrets(ctx, []engine.SecretUse{{Trigger: "hook", Secret: "S", Count: 2, FirstAt: at, LastAt: at}})
		}},
		{"Pause", func(ctx context.Context, s Opened) error {
			return s.Pause(ctx, engine.Pause{Key: "k", Endpoint: "https://a.example", Run: run(1).String(), At: at})
		}},
		{"Unpause", func(ctx context.Context, s Opened) error { return s.Unpause(ctx, "k") }},
		{"SetSwitch that switches on", func(ctx context.Context, s Opened) error {
			return s.SetSwitch(ctx, engine.Switch{Workflow: "w", By: "ada", At: at}, true)
		}},
		{"AddBatch of another", func(ctx context.Context, s Opened) error {
			return s.AddBatch(ctx, &engine.Batch{ID: engine.BatchID(event(41)).String(), At: at, State: engine.BatchRunning, Rate: 1,
				End: event(99)})
		}},
		{"ChangeBatch", func(ctx context.Context, s Opened) error {
			_, err := s.ChangeBatch(ctx, engine.BatchID(event(41)), []string{engine.BatchRunning}, engine.BatchCancelled, "no", at)
			return err
		}},
		{"DropAlert", func(ctx context.Context, s Opened) error { return s.DropAlert(ctx, "k", "s") }},
		{"End", func(ctx context.Context, s Opened) error {
			return s.End(ctx, run(40), &plan.Error{Message: "no", Code: "cancelled"}, at.Add(2*time.Second))
		}},
		{"Audit", func(ctx context.Context, s Opened) error {
			return s.Audit(ctx, engine.AuditEntry{At: at, Who: "ada", Action: "run.replay"})
		}},
		{"EndSession", func(ctx context.Context, s Opened) error { return s.EndSession(ctx, "x", at.AddDate(50, 0, 0)) }},
	}
}

// EachWrite calls around for each write of the script, in its order. do makes the write; if it fails, it can be
// made again.
func EachWrite(s Opened, around func(name string, do func(context.Context) error)) {
	for _, w := range script() {
		around(w.name, func(ctx context.Context) error { return w.do(ctx, s) })
	}
}
