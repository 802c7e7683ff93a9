package store_test

import (
	"errors"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestAFullDiskOfThePostgreSQLServerIsReported: deliveries and /readyz say so, and it passes by itself. The
// error is raised by a trigger, as the server raises it.
func TestAFullDiskOfThePostgreSQLServerIsReported(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	s := open(t, address, store.Options{})
	accept := func(key string) error {
		_, err := s.Accept(ctx, engine.EventID(nodeID(s)), delivery("shop", key))
		return err
	}
	if err := accept("a"); err != nil || s.Full() != nil {
		t.Fatal(err, s.Full())
	}
	postgrestest.Exec(t, address, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$`,
		"CREATE TRIGGER full_disk BEFORE INSERT ON hookloom.events FOR EACH ROW EXECUTE FUNCTION full_disk()")
	if err := accept("b"); !errors.Is(err, engine.ErrFull) || !errors.Is(s.Full(), engine.ErrFull) {
		t.Errorf("a full disk: %v, ready: %v", err, s.Full())
	}
	postgrestest.Exec(t, address, "DROP TRIGGER full_disk ON hookloom.events")
	if err := accept("b"); err != nil {
		t.Error(err)
	}
	until(t, "there is space again", func() bool { return s.Full() == nil })
}
