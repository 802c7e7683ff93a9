package cmd

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestTheLogNamesEventsAndRunsAsCommandsDo checks in both formats that the log contains ids that
// hookloom event and hookloom run accept.
func TestTheLogNamesEventsAndRunsAsCommandsDo(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, err := newLog(&out, format, slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("x", "event", engine.EventID(0x0d3c6f2a41e00000), "run", engine.RunID(0x0d3c6f2a41e00001), "took", 2*time.Second)
		for _, want := range []string{"evt_0d3c6f2a41e00000", "run_0d3c6f2a41e00001", "2s"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s lacks %s: %s", format, want, out.String())
			}
		}
	}
}
