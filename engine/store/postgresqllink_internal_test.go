package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestLinkOfANode: it may take over from others only after beats without a gap, and a lost connection is
// closed at once, so that the next beat opens another one.
func TestLinkOfANode(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	s, err := Open(t.Context(), address, Options{Verb: "serve", Node: "a"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := newPostgresql(t.Context(), s.w.pg.address, Options{Verb: "serve"})
	if err := p.join(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	defer p.disconnect()
	l := newLink(p, s.w)
	defer l.disconnect()
	if err := l.step(); err != nil || p.mayTakeOver() {
		t.Errorf("a node takes over from others at its first beat: %v", err)
	}
	l.steady = time.Now().Add(-steadyTime)
	if err := l.step(); err != nil || !p.mayTakeOver() {
		t.Errorf("a node takes nothing over after %v of beats: %v", steadyTime, err)
	}
	postgrestest.Exec(t, address, fmt.Sprintf(`SELECT pg_terminate_backend(%d)`, l.conn.PgConn().PID()))
	if l.wait(time.Now().Add(10 * time.Second)); l.conn != nil || p.mayTakeOver() {
		t.Errorf("the lost connection is kept: %t; the node takes over from others: %t", l.conn != nil, p.mayTakeOver())
	}
	if err := l.step(); err != nil || l.conn == nil {
		t.Errorf("the next beat: %v", err)
	}
}
