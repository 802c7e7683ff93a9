package postgres_test

import (
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

func TestClockIsComparedWithTheServers(t *testing.T) {
	t.Parallel()
	a, err := postgres.Parse(postgrestest.Shared(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, shift := range []time.Duration{0, time.Hour, -time.Hour} {
		got, err := postgres.ClockAhead(t.Context(), c, func() time.Time { return time.Now().Add(shift) })
		// The server's clock is that of this machine. A slow answer makes the difference smaller.
		if d := (got - shift).Abs(); err != nil || d > time.Minute || shift == 0 && d > time.Millisecond {
			t.Errorf("a clock %s ahead: %s, %v", shift, got, err)
		}
	}
}
