package store_test

import (
	"errors"
	"testing"
	"time"

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

// TestARightThatTheRoleLosesIsReported: /readyz says that no event can be stored, from the first that is refused until
// the role has the right again.
func TestARightThatTheRoleLosesIsReported(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	owner, role := server.Database(t), postgrestest.Name("role")
	if err := open(t, owner, store.Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "CREATE ROLE "+role+" LOGIN PASSWORD 'hunter2'")
	postgrestest.Exec(t, owner, "GRANT USAGE ON SCHEMA hookloom TO "+role,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA hookloom TO "+role,
		"GRANT USAGE ON ALL SEQUENCES IN SCHEMA hookloom TO "+role)
	s := open(t, postgrestest.As(owner, role, "hunter2"), store.Options{})
	accept := func(key string) error {
		_, err := s.Accept(ctx, engine.EventID(nodeID(s)), delivery("shop", key))
		return err
	}
	if err := accept("a"); err != nil || s.Full() != nil {
		t.Fatal(err, s.Full())
	}
	postgrestest.Exec(t, owner, "REVOKE INSERT ON hookloom.events FROM "+role)
	if err := accept("b"); err == nil || s.Full() == nil {
		t.Errorf("without the right: %v, ready: %v", err, s.Full())
	}
	time.Sleep(1200 * time.Millisecond) // longer than the node's own row is checked
	if s.Full() == nil {
		t.Error("it counts as ready although the right is still missing")
	}
	postgrestest.Exec(t, owner, "GRANT INSERT ON hookloom.events TO "+role)
	until(t, "the role has the right again", func() bool { return s.Full() == nil })
	if err := accept("b"); err != nil || s.Full() != nil {
		t.Error(err, s.Full())
	}
}
