package machine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// sent notes the keys and inputs of the attempts of each step.
type sent struct {
	mu          sync.Mutex
	keys, texts map[string][]string
}

func (s *sent) note(in engine.Input) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys, s.texts = map[string][]string{}, map[string][]string{}
	}
	s.keys[in.Path] = append(s.keys[in.Path], in.Key)
	s.texts[in.Path] = append(s.texts[in.Path], fmt.Sprint(in.With))
}

// TestAReplayFromTheFailedStepKeepsTheKeyOfACallInDoubt, and its content, over several
// replays; what was answered gets a new key.
func TestAReplayFromTheFailedStepKeepsTheKeyOfACallInDoubt(t *testing.T) {
	cut := func() error { return fmt.Errorf("reset: %w", engine.ErrUnanswered) }
	refused := func() error { return &plan.Error{Message: "no", Code: "status", Status: 422} }
	unsent := func() error { return &plan.Error{Message: "no route", Code: "network"} }
	for _, c := range []struct {
		name string
		// ends are those of the call in the first run, and in its replays.
		ends   []func() error
		from   string
		same   []bool
		doubts []int
	}{
		{"cut", []func() error{cut, nil}, "failed", []bool{true}, []int{1}},
		{"cut, and cut again", []func() error{cut, cut, cut, nil}, "failed", []bool{true, true, true}, []int{1, 1, 1}},
		{"cut, then not sent", []func() error{cut, unsent, nil}, "failed", []bool{true, true}, []int{1, 1}},
		{"answered", []func() error{refused, nil}, "failed", []bool{false}, []int{0}},
		{"cut, then answered", []func() error{cut, refused, nil}, "failed", []bool{true, false}, []int{1, 0}},
		{"from the start", []func() error{cut, nil}, "start", []bool{false}, []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"w": `on: hook
vars: {v: "${{ uuid() }}"}
steps:
  - {id: a, uses: test/act, with: {n: "${{ vars.v }}"}}
  - {id: b, uses: test/act, on_unknown: fail, retry: 0,
     with: {n: "${{ vars.v }} ${{ uuid() }} ${{ now() }} ${{ run.id }} ${{ run.started_at }}"}}`})
			var s sent
			n := 0
			w.target.do = func(in engine.Input, _ int) (any, error) {
				s.note(in)
				if in.Path != "b" {
					return nil, nil
				}
				end := c.ends[n]
				if n++; end == nil {
					return nil, nil
				}
				return nil, end()
			}
			e, st, stop := w.start(nil)
			if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
				t.Fatal(err)
			}
			run := parseRun(t, settled(t, st, 1)[0].ID)
			for i, want := range c.doubts {
				r, err := e.ReplayRun(context.Background(), run, engine.ReplayOrder{From: c.from})
				if err != nil {
					t.Fatal(err)
				}
				if r.InDoubt != want {
					t.Errorf("replay %d: %d in doubt, not %d", i+1, r.InDoubt, want)
				}
				if d, err := st.History.RunDetail(context.Background(), run); err != nil || len(d.InDoubt()) != want {
					t.Errorf("the run's page has %v, %v", d.InDoubt(), err)
				}
				settled(t, st, i+2)
				run = r.Run
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			for i, same := range c.same {
				if got := s.keys["b"][i] == s.keys["b"][i+1]; got != same {
					t.Errorf("replay %d: same key %v, not %v", i+1, got, same)
				}
				if same && s.texts["b"][i] != s.texts["b"][i+1] {
					t.Errorf("replay %d sent another content:\n%s\n%s", i+1, s.texts["b"][i], s.texts["b"][i+1])
				}
			}
			if c.from == "failed" && len(s.keys["a"]) != 1 {
				t.Errorf("step a was made %d times", len(s.keys["a"]))
			}
		})
	}
}

// TestAReplayKeepsTheKeysOfACalledRunWithACallInDoubt: the called run is repeated with its keys, also when
// it was called by a called run, and with new ones if all its calls were answered.
func TestAReplayKeepsTheKeysOfACalledRunWithACallInDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		first error
		same  bool
	}{
		"cut":      {fmt.Errorf("reset: %w", engine.ErrUnanswered), true},
		"answered": {&plan.Error{Message: "no", Code: "status", Status: 422}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{
				"w":      "on: hook\nsteps: [{id: c, call: middle, retry: 0}]",
				"middle": "on: call\nsteps: [{id: m, call: inner, retry: 0}]",
				"inner":  "on: call\nsteps: [{id: b, uses: test/act, on_unknown: fail, retry: 0}]"})
			var s sent
			w.target.do = func(in engine.Input, _ int) (any, error) {
				s.note(in)
				if len(s.keys["b"]) == 1 {
					return nil, c.first
				}
				return nil, nil
			}
			e, st, stop := w.start(nil)
			if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
				t.Fatal(err)
			}
			run := ""
			for _, r := range settled(t, st, 3) {
				if r.Workflow == "w" {
					run = r.ID
				}
			}
			r, err := e.ReplayRun(context.Background(), parseRun(t, run), engine.ReplayOrder{From: "failed"})
			if err != nil || (r.InDoubt == 1) != c.same {
				t.Errorf("%d are in doubt, %v", r.InDoubt, err)
			}
			settled(t, st, 6)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if keys := s.keys["b"]; len(keys) != 2 || (keys[0] == keys[1]) != c.same {
				t.Errorf("the keys are %v", keys)
			}
		})
	}
}
