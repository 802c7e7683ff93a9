package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
)

// AnswerRun implements Inside. If the body of this run's event is signed, the sender vouches for
// the name in it, as Slack does for the person who pressed a button. In any other event the name
// proves nothing, since anybody can type it. The same holds for a batch, whose other events may be
// unsigned.
func (ex *Execution) AnswerRun(_ context.Context, run string, response engine.Response) (any, error) {
	id, err := engine.ParseRunID(run)
	if err != nil {
		return nil, &plan.Error{Code: "invalid_input", Message: fmt.Sprintf("run: %v", err)}
	}
	if how, _, _ := strings.Cut(string(ex.Event.Proof), " "); how == engine.BySignature && !registry.IsBatch(ex.State.Workflow) {
		response.Proof = engine.ProofEvent
	}
	var q plan.Question
	err = ex.rn.store.Retry(func() (err error) {
		// The outcome of the answer must be known, even after the attempt's timeout.
		q, err = ex.rn.o.Arrivals.Answer(context.WithoutCancel(ex.rn.work), id, response)
		return err
	})
	var refused *engine.NotAnswered
	switch {
	case errors.As(err, &refused), errors.Is(err, engine.ErrStale), errors.Is(err, engine.ErrNotFound):
		return map[string]any{"answered": false, "step": response.Path, "question": q.Text, "reason": err.Error()}, nil
	case err != nil:
		return nil, errors.Join(err, engine.ErrUnanswered)
	}
	return map[string]any{"answered": true, "step": q.Path, "question": q.Text, "reason": ""}, nil
}
