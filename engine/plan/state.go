package plan

import (
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// State is all that a decision may depend on.
type State struct {
	Workflow *workflows.Workflow
	// Event, Inputs and Run are what expressions see under these names.
	Event, Inputs, Run map[string]any
	// RunID seeds uuid() and the spread of pauses.
	RunID     string
	StartedAt time.Time
	// Began is when the run's event came; what is received later may end its waits.
	Began time.Time
	// Records holds the attempts of each path, oldest first.
	Records map[string][]*Record
	// Kept are the calls in doubt that the run goes on with, by path.
	Kept map[string]*Kept
	// Answers are those that came from outside, by path.
	Answers map[string]*Answer
	// Secrets are the values of the secrets that the workflow names.
	Secrets map[string]any
	// Hidden are the values of the run's secret inputs, as text.
	Hidden []string
	// GoneTriggers are those that the workflow waits for and that the project has no more.
	GoneTriggers map[string]bool
	// Now is the moment of the decision.
	Now time.Time
	// TimedOut tells that the run's working time is used up.
	TimedOut bool
	// Events are those of a batch, as expressions see them; nil for other runs.
	Events []any
	// Cancelled is why the run is being cancelled; nil for a run that is not. Nothing
	// begins any more but the steps of finally.
	Cancelled *Error
	// Until is when expressions end that take too long; zero for their usual bounds.
	Until time.Time
	// memory is what the outputs of Records take.
	memory int64
	// vars are computed once.
	vars    map[string]any
	varsErr *Error
}

// NewState is the state of a run that has nothing on record yet. runID seeds uuid() and
// the spread of pauses; started is the moment at which vars are computed.
func NewState(w *workflows.Workflow, event, inputs map[string]any, runID string, started time.Time) *State {
	return &State{Workflow: w, Event: event, Inputs: inputs, RunID: runID, StartedAt: started, Now: started}
}

// Kept is a call of an earlier run that may have taken effect. It is made again as it
// was: with the names that its first attempt saw as run, at the moment Began.
type Kept struct {
	Run   map[string]any
	Began time.Time
}

// AddRecord puts an attempt on record, or replaces the one with its number.
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
			s.memory -= int64(old.memory) // also of r itself, which may be added twice
			r.Waited = r.Waited || old != r && old.Status == Waiting
			list[i] = r
			return
		}
	}
	s.Records[r.Path] = append(list, r)
}

// Vars computes the workflow's vars, once for the life of the state.
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
