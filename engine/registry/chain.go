package registry

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/engine"
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
