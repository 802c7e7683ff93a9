package registry

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/engine"
)

// ChainHeader of an event says how deep its run is in a chain.
const ChainHeader = "x-chain"

// Chain is how a run came about, as ChainHeader has it: runs;emits;names.
type Chain struct {
	// Runs is how deep it is in ends of runs that others listen to, emits in events that
	// steps made.
	Runs, Emits int
	// Names are the workflows that led to it.
	Names string
}

// ChainOf reads it; none is all zero. Only what the engine made has one: a sender may
// write any header.
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

// With adds a workflow at its end.
func (c Chain) With(workflow string, runs, emits int) Chain {
	if c.Names != "" {
		c.Names += " -> "
	}
	return Chain{c.Runs + runs, c.Emits + emits, c.Names + workflow}
}

// String returns runs;emits;names.
func (c Chain) String() string { return fmt.Sprintf("%d;%d;%s", c.Runs, c.Emits, c.Names) }

// KeyHeader of an event that calls a workflow is the key of the step that calls: all of
// its attempts carry the same one.
const KeyHeader = "x-idempotency-key"
