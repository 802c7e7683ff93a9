package machine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// lastWord calls after when the update that lets a run wait is on disk, and the run is still
// at work.
type lastWord struct {
	engine.Store
	after func(*engine.Run)
}

func (l lastWord) CommitRun(ctx context.Context, u engine.RunUpdate) (time.Time, error) {
	next, err := l.Store.CommitRun(ctx, u)
	if err == nil && u.Run.Status == engine.Waiting {
		l.after(u.Run)
	}
	return next, err
}

// TestRunCancelledDuringSuspensionEnds: its last word, that it sleeps, is recorded when
// the cancellation comes.
func TestRunCancelledDuringSuspensionEnds(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act, with: {n: a}}, {sleep: 1h}]"})
	var e *machine.Engine
	w.store = func(s engine.Store) engine.Store {
		return lastWord{s, func(r *engine.Run) {
			if err := e.Cancel(context.Background(), r.ID); err != nil {
				t.Error(err)
			}
		}}
	}
	began := make(chan struct{})
	w.target.do = func(engine.Input, int) (any, error) { <-began; return nil, nil }
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	close(began)
	if r := settled(t, s, 1)[0]; r.Status != "cancelled" {
		t.Errorf("%s %s", r.Status, r.Error)
	}
	mustStop(t, stop)
}

// TestRunContinuesIfItsPermitComesDuringSuspension: the host that it waits for is free again after its
// wait is recorded, and before it is put down.
func TestRunContinuesIfItsPermitComesDuringSuspension(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {uses: test/act, with: {n: \"any.example ${{ event.key }}\"}}\n" +
		"  - {uses: test/act, with: {n: \"one.example ${{ event.key }}\"}, timeout: 1h}"})
	w.act = hosts{w.target}
	w.project.Destinations = map[string]workflows.Limit{"one.example": {Concurrency: 1}}
	free, first := make(chan struct{}), make(chan struct{})
	w.target.do = func(in engine.Input, _ int) (any, error) {
		if in.With["n"] == "one.example first" {
			close(first)
			<-free
		}
		return nil, nil
	}
	var e *machine.Engine
	var once sync.Once
	w.store = func(s engine.Store) engine.Store {
		return lastWord{s, func(*engine.Run) {
			once.Do(func() {
				close(free)
				waitFor(t, func() bool { d := e.Destinations(); return len(d) == 2 && d[1].Waiting == 0 })
			})
		}}
	}
	e, s, stop := w.start(nil)
	for _, key := range []string{"first", "second"} {
		if _, err := e.Accept(context.Background(), delivery(key, `{}`)); err != nil {
			t.Fatal(err)
		}
		if key == "first" {
			<-first
		}
	}
	for _, r := range settled(t, s, 2) {
		if r.Status != "succeeded" {
			t.Errorf("%s %s", r.Status, r.Error)
		}
	}
	detail, err := s.History.RunDetail(context.Background(), parseRun(t, runsOf(t, s, "w")[0]))
	if err != nil || len(detail.Steps) == 0 || detail.Steps[len(detail.Steps)-1].Destination != "https://one.example" {
		t.Errorf("%+v %v: the host of the last attempt is not recorded", detail.Steps, err)
	}
	for _, d := range e.Destinations() {
		if d.InUse != 0 || d.Waiting != 0 {
			t.Errorf("%+v", d)
		}
	}
	mustStop(t, stop)
}

// TestFreeSlotIsUsedAtOnce by a run that is due, not when due runs are next looked
// for.
func TestFreeSlotIsUsedAtOnce(t *testing.T) {
	w := newWorld(t, map[string]string{
		"sleeps": "on: hook\nwhen: event.key == 'sleeps'\nsteps: [{sleep: 100ms}, {uses: test/act, with: {n: sleeps}}]",
		"works":  "on: hook\nwhen: event.key == 'works'\nsteps: [{uses: test/act, with: {n: works}}]"})
	w.options.MaxRuns = 1
	free, working := make(chan struct{}), make(chan struct{})
	w.target.do = func(in engine.Input, _ int) (any, error) {
		if in.With["n"] == "works" {
			close(working)
			<-free
		}
		return nil, nil
	}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("sleeps", `{}`)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return ended(t, s.History, "waiting") == 1 })
	if _, err := e.Accept(context.Background(), delivery("works", `{}`)); err != nil {
		t.Fatal(err)
	}
	<-working
	time.Sleep(300 * time.Millisecond) // the other is due, and finds no slot
	close(free)
	at := time.Now()
	settled(t, s, 2)
	if took := time.Since(at); took > 3*time.Second {
		t.Errorf("it began %s after the slot was free", took)
	}
	mustStop(t, stop)
}

// TestPendingReplacementsAreMadeAtTheStart: the process ended after the newer run was on record,
// and before the older one was cancelled.
func TestPendingReplacementsAreMadeAtTheStart(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": "on: hook\nconcurrency: {limit: 1, on_full: replace}\nsteps: [{sleep: 1h}]"})
	w.ownRows = true
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return ended(t, s.History, "waiting") == 1 })
	mustStop(t, stop)
	w.exec(t, `UPDATE places SET state = 'replaced'`)
	_, s, stop = w.start(nil)
	if r := settled(t, s, 1)[0]; r.Status != "cancelled" || r.Error != "a newer run took its place (on_full: replace)" {
		t.Errorf("%s %s", r.Status, r.Error)
	}
	mustStop(t, stop)
}

// unreadReplaced is a store whose list of replaced runs cannot be read.
type unreadReplaced struct{ engine.Store }

func (unreadReplaced) Replaced(context.Context) ([]engine.RunID, error) {
	return nil, errors.New("no such table")
}

// TestEngineDoesNotStartIfReplacedRunsAreUnreadable: it would leave runs at work beside
// those that took their place.
func TestEngineDoesNotStartIfReplacedRunsAreUnreadable(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{set: {a: 1}}]"})
	w.store = func(s engine.Store) engine.Store { return unreadReplaced{s} }
	_, _, stop := w.start(nil)
	time.Sleep(50 * time.Millisecond) // it reads before it is told to stop
	if err := stop(); err == nil || !strings.Contains(err.Error(), "looking for runs that are replaced: no such table") {
		t.Errorf("%v", err)
	}
}

// TestOutputOfAStepWithoutSideEffectsIsRecorded, and only a step with side effects, whose
// answer may be large, has room for it.
func TestOutputOfAStepWithoutSideEffectsIsRecorded(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: says, uses: log, with: {message: \"line ${{ event.key }}\"}}\n" +
		"  - {id: acts, uses: test/act, with: {n: \"${{ event.key }}\"}}"})
	rooms := map[string]bool{}
	var mu sync.Mutex
	w.act = seesRoom{w.target, func(path string, room bool) { mu.Lock(); defer mu.Unlock(); rooms[path] = room }}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	r := settled(t, s, 1)[0]
	d, err := s.History.RunDetail(context.Background(), parseRun(t, r.ID))
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string]string{}
	for _, step := range d.Steps {
		inputs[step.Path] = string(step.Input)
	}
	if inputs["says"] != `{"message":"line k"}` || inputs["acts"] != `{"n":"k"}` {
		t.Errorf("on record are %v", inputs)
	}
	mu.Lock()
	defer mu.Unlock()
	if !rooms["acts"] {
		t.Error("a step with side effects has no room for its answer")
	}
	mustStop(t, stop)
}

// TestOnlyAStepWithSideEffectsGetsASecret: what a log line shows is masked before the action
// has it, and what is sent is not.
func TestOnlyAStepWithSideEffectsGetsASecret(t *testing.T) {
	const secret = "tok-CANARY-4711-xyz"
	var lines bytes.Buffer
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {uses: log, with: {message: \"line ${{ secrets.TOKEN }}\"}}\n" +
		"  - {uses: test/act, with: {n: \"${{ secrets.TOKEN }}\"}}"})
	w.log = slog.New(slog.NewTextHandler(&lines, nil))
	w.before = func(e *machine.Engine) {
		e.UseSecrets(func(string) (string, bool) { return secret, true })
	}
	var sent any
	w.target.do = func(in engine.Input, _ int) (any, error) { sent = in.With["n"]; return nil, nil }
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	settled(t, s, 1)
	mustStop(t, stop)
	if sent != secret || !strings.Contains(lines.String(), "line ***") || strings.Contains(lines.String(), secret) {
		t.Errorf("sent %v, logged %s", sent, &lines)
	}
}

// TestAnOldSecretStaysMaskedAfterARestart: a run that waits has an answer with the value that
// the secret had; the process that goes on with it knows another one only.
func TestAnOldSecretStaysMaskedAfterARestart(t *testing.T) {
	const old = "tok-CANARY-of-before-0815"
	w := newFileWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: \"${{ secrets.TOKEN }}\"}}\n" +
		"  - {sleep: 1s}\n" +
		"  - {id: b, uses: test/act, with: {n: \"again ${{ steps.a.output.said }}\"}}\noutput: ${{ steps.a.output.said }}"})
	keys := seal.New(filepath.Dir(w.path))
	sent := make(chan any, 2)
	w.target.do = func(in engine.Input, _ int) (any, error) {
		sent <- in.With["n"]
		return map[string]any{"said": fmt.Sprint("it is ", in.With["n"])}, nil
	}
	var s database
	begin := func(secret string) (*machine.Engine, database, func() error) {
		redactor := &redact.Redactor{}
		w.options.Redactor, w.storeOptions = redactor, store.Options{Redactor: redactor, Sealer: keys}
		w.before = func(e *machine.Engine) { e.UseSecrets(func(string) (string, bool) { return secret, true }) }
		return w.start(nil)
	}
	e, _, stop := begin(old)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	first := <-sent
	mustStop(t, stop)
	_, s, stop = begin("tok-of-afterwards-4711")
	settled(t, s, 1)
	mustStop(t, stop)
	if second := <-sent; first != old || second != "again it is "+old {
		t.Errorf("sent %v, then %v", first, second)
	}
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(w.path + suffix)
		if err == nil && strings.Contains(string(b), old) {
			t.Errorf("the old value stands in the database%s", suffix)
		}
	}
}

// TestFieldsOfStepsAreMaskedBeforeTheyAreStored: what history.redact names of a step's input
// and output is sent and used, and stands nowhere in the database; nor does it where a later
// step sends it on.
func TestFieldsOfStepsAreMaskedBeforeTheyAreStored(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: find, uses: test/act, with: {n: card-CANARY-4111}}\n" +
		"  - {sleep: 1s}\n  - {id: pay, foreach: \"[1]\", uses: test/act, with: {n: \"for ${{ steps.find.output.rows[0].iban }}\"}}"})
	for _, path := range []string{"steps.find.input.n", "steps.find.output.rows[*].iban", "steps.pay.output[*].id"} {
		p, err := workflows.ParseRedactPath(path)
		if err != nil {
			t.Fatal(err)
		}
		w.project.History.Redact = append(w.project.History.Redact, p)
	}
	sent := make(chan any, 2)
	w.target.do = func(in engine.Input, _ int) (any, error) {
		sent <- in.With["n"]
		if strings.HasPrefix(in.Path, "pay") {
			return map[string]any{"id": "pay-CANARY-77"}, nil
		}
		return map[string]any{"rows": []any{map[string]any{"iban": "DE-CANARY-0532"}}, "plain": "seen"}, nil
	}
	keys := seal.New(filepath.Dir(w.path))
	begin := func() (*machine.Engine, database, func() error) {
		redactor := &redact.Redactor{}
		w.options.Redactor, w.storeOptions = redactor, store.Options{Redactor: redactor, Sealer: keys}
		return w.start(nil)
	}
	e, _, stop := begin()
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	first := <-sent
	mustStop(t, stop)
	_, s, stop := begin()
	settled(t, s, 1)
	mustStop(t, stop)
	if second := <-sent; first != "card-CANARY-4111" || second != "for DE-CANARY-0532" {
		t.Errorf("sent %v, then %v", first, second)
	}
	text := ""
	for _, suffix := range []string{"", "-wal"} {
		b, _ := os.ReadFile(w.path + suffix) // the log may be gone
		text += string(b)
	}
	for _, value := range []string{"DE-CANARY", "pay-CANARY"} {
		if strings.Contains(text, value) {
			t.Errorf("%s stands in the database", value)
		}
	}
	if !strings.Contains(text, `"plain":"seen"`) || strings.Contains(text, `"n":"card-CANARY`) {
		t.Error("the other fields are gone, or the input is there")
	}
}

// seesRoom reports whether an attempt has room for an answer.
type seesRoom struct {
	*target
	saw func(path string, room bool)
}

func (a seesRoom) Do(ctx context.Context, in engine.Input) (any, error) {
	a.saw(in.Path, memory.RoomOf(ctx) != nil)
	return a.target.Do(ctx, in)
}
