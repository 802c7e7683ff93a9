package registry

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// ChainHeader is the header of an event with the depth of its run in a chain.
const ChainHeader = "x-chain"

// The longest chains: MaxRuns of runs that are started by the end of another run, MaxEmits of runs and
// events that they emit.
const (
	MaxRuns  = 5
	MaxEmits = 10
)

// Chain is the origin of a run, as in ChainHeader: runs;emits;names.
type Chain struct {
	// Runs is its depth in runs started by the end of other runs, Emits in events emitted by steps.
	Runs, Emits int
	// Names are the workflows that led to it.
	Names string
}

// ChainOf parses it; without a header all is zero. Only events made by the engine have one, since a
// sender may set any header.
func ChainOf(ev *engine.Event) (c Chain) {
	if !ev.Inlet.Kind().FromRun {
		return c
	}
	parts := strings.SplitN(ev.Headers[ChainHeader], ";", 3)
	c.Runs, _ = strconv.Atoi(parts[0])
	if len(parts) == 3 {
		c.Emits, _ = strconv.Atoi(parts[1])
		c.Names = parts[2]
	}
	return c
}

// With appends a workflow.
func (c Chain) With(workflow string, runs, emits int) Chain {
	if c.Names != "" {
		c.Names += " -> "
	}
	return Chain{c.Runs + runs, c.Emits + emits, c.Names + workflow}
}

// String returns runs;emits;names.
func (c Chain) String() string { return fmt.Sprintf("%d;%d;%s", c.Runs, c.Emits, c.Names) }

// KeyHeader is engine.CallKeyHeader.
const KeyHeader = engine.CallKeyHeader

// ChainTooDeep is the error of a step whose event would make a chain longer than MaxEmits.
func ChainTooDeep(trigger string, c Chain) *plan.Error {
	return &plan.Error{Code: "chain_too_deep", Message: fmt.Sprintf("trigger %s gets no event: a chain of events is at most %d deep, "+
		"and this one is %s; end it with a when: or if: that stops holding", trigger, MaxEmits, c.Names)}
}

// UnknownTrigger is the error of a step that emits an event into a trigger that does not exist.
func UnknownTrigger(name string) *plan.Error {
	return &plan.Error{Code: "unknown_trigger", Message: fmt.Sprintf("no trigger is named %q", name)}
}
