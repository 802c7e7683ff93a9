package intake

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/lograte"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// away is a database that cannot store refused deliveries now.
type away struct{ engine.Store }

func (away) Refuse(context.Context, engine.Refusal) error { return engine.ErrBusy }

// TestRefusedDeliveriesThatCannotBeStoredAreLoggedOnceASecond: anyone can send them while the database is away.
func TestRefusedDeliveriesThatCannotBeStoredAreLoggedOnceASecond(t *testing.T) {
	in := over(t, away{storetest.New(t).Store})
	var log bytes.Buffer
	in.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	for range 50 {
		in.Refuse(engine.Refusal{At: time.Now(), Trigger: "hook", Reason: "signature"})
	}
	time.Sleep(lograte.Flood)
	in.Refuse(engine.Refusal{At: time.Now(), Trigger: "hook", Reason: "signature"})
	got := log.String()
	if strings.Count(got, "\n") != 2 || strings.Count(got, "a refused delivery was not stored") != 2 ||
		!strings.Contains(got, "suppressed=49\n") {
		t.Errorf("logged:\n%s", got)
	}
}
