package plan

import (
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// State is everything that a decision may depend on.
type State struct {
	Workflow *workflows.Workflow
	// Event, Inputs and Run are what expressions see under these names.
	Event, Inputs, Run map[string]any
	// RunID seeds uuid() and the jitter of pauses.
	RunID     string
	StartedAt time.Time
	// Began is when the run's event was received; events received later may end its waits.
	Began time.Time
	// Records holds the attempts of each path, oldest first.
	Records map[string][]*Record
	// Kept are the interrupted calls of an earlier run that this one repeats, by path.
	Kept map[string]*Kept
	// Answers are the answers and events that arrived, by path.
	Answers map[string]*Answer
	// Secrets are the values of the secrets that the workflow names.
	Secrets map[string]any
	// Hidden are the values of the run's secret inputs, as text.
	Hidden []string
	// GoneTriggers are triggers that the workflow waits for and that the project no longer has.
	GoneTriggers map[string]bool
	// Now is the time of the decision.
	Now time.Time
	// TimedOut reports that the run's working time is used up.
	TimedOut bool
	// Events are the events of a batch, as expressions see them; nil for other runs.
	Events []any
	// Cancelled is why the run is being cancelled; nil if it is not. Only the steps of finally may
	// still begin.
	Cancelled *Error
	// Until is when slow expressions are stopped; zero for their usual limits.
	Until time.Time
	// Asked, unless nil, is called with each if: that is evaluated, and what it sees. The planner may
	// evaluate one several times.
	Asked func(s *workflows.Step, path string, env *expr.Env)
	// memory is the size of the outputs of Records.
	memory int64
	// vars are computed once.
	vars    map[string]any
	varsErr *Error
}

// NewState is the state of a run without records. runID seeds uuid() and the jitter of pauses;
// started is the time at which vars are computed.
func NewState(w *workflows.Workflow, event, inputs map[string]any, runID string, started time.Time) *State {
	return &State{Workflow: w, Event: event, Inputs: inputs, RunID: runID, StartedAt: started, Now: started}
}

// Kept is a call of an earlier run that may have taken effect. It is repeated unchanged: with the
// names that its first attempt saw as run, at the time Began.
type Kept struct {
	Run   map[string]any
	Began time.Time
}

// AddRecord adds the record of an attempt, or replaces the record with the same attempt number.
func (s *State) AddRecord(r *Record) {
	if s.Records == nil {
		s.Records = map[string][]*Record{}
	}
	if r.Output != nil {
		r.count()
		s.memory += int64(r.memory)
	}
	list := s.Records[r.Path]
	for i, old := range list {
		if old.Attempt == r.Attempt {
			s.memory -= int64(old.memory) // old may be r itself, which may be added twice
			r.Waited = r.Waited || old != r && old.Status == Waiting
			list[i] = r
			return
		}
	}
	s.Records[r.Path] = append(list, r)
}

// Vars computes the workflow's vars, once per State.
func (st *State) Vars() (map[string]any, *Error) {
	if st.vars == nil {
		st.vars = map[string]any{}
		p := &planner{st: st, vars: st.vars, steps: map[string]any{}}
		for _, v := range st.Workflow.Vars {
			x, err := v.Value.Render(p.env(st.StartedAt, "vars."+v.Name), workflows.FillPlain)
			if err != nil {
				st.varsErr = expressionError(err, "vars."+v.Name)
				break
			}
			if x, st.varsErr = fit(x, "variable "+v.Name, "store less data in it", "vars."+v.Name); st.varsErr != nil {
				break
			}
			st.vars[v.Name] = x
		}
	}
	return st.vars, st.varsErr
}
