package cmd

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/hookloom/hookloom/engine/testsize"
)

// TestABacktestIsFast checks that 100,000 events take less than 60 seconds, and that memory does
// not grow with the history. HOOKLOOM_BENCHBACKTEST is the number of events; the time limit is for
// that number.
func TestABacktestIsFast(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	events := testsize.Of(t, "HOOKLOOM_BENCHBACKTEST", 2000)
	var out, errOut bytes.Buffer
	if code := Main([]string{"bench", "backtest", "--events", strconv.Itoa(events), "-o", "json"}, &out, &errOut); code != 0 {
		t.Fatalf("status %d\n%s", code, errOut.String())
	}
	var r struct {
		Events, Unknown int
		Seconds         float64
		HeapMB          int `json:"heap_mb"`
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events in %.1f s, %d MB of heap", r.Events, r.Seconds, r.HeapMB)
	if r.Events != events || r.Unknown != 0 || r.Seconds > 60 || r.HeapMB > 128 {
		t.Errorf("%s", out.String())
	}
}
