package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestQueuedRunAndTheOneAheadUseOneTimeZone, that of the project.
func TestQueuedRunAndTheOneAheadUseOneTimeZone(t *testing.T) {
	at := time.Date(2026, 11, 26, 2, 55, 0, 0, time.UTC)
	ahead := &engine.RunDetail{RunItem: engine.RunItem{DueAt: &at}}
	d := &engine.RunDetail{RunItem: engine.RunItem{DueAt: &at}, Queue: &engine.QueueItem{AtWork: 1,
		Holders: []engine.SlotHolder{{Run: "run_1", Status: "waiting", Since: at, GoesOn: ahead.GoesOn(time.UTC), Detail: ahead}}}}
	if got := d.GoesOn(time.FixedZone("", 3600)); !strings.Contains(got, "2026-11-26 03:55:00") || strings.Contains(got, "02:55") {
		t.Error(got)
	}
}
