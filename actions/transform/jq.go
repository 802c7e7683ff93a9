package transform

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/itchyny/gojq"
)

// JQSpec describes jq.
var JQSpec = workflows.ActionSpec{Name: "jq", Help: "runs a jq program over data; the output is its result", Safe: true,
	Inputs: []workflows.ActionInput{
		{Name: "program", Type: "string", Required: true, Help: "the jq program; names of args: are $variables in it",
			Literal: "put the value into args: {name: ${{ ... }}} and write $name in the program",
			Parse: func(program string) error {
				_, err := gojq.Parse(program)
				return err
			}},
		{Name: "input", Type: "any", Required: true, Help: "the input of the program (.)"},
		{Name: "args", Type: "object", Help: "values for $variables"},
		{Name: "all", Type: "boolean", Help: "true: the output is a list of all results; else the program must return one, or none (null)"},
	},
	Usage: `- id: totals
  uses: jq
  with:
    program: >-
      group_by(.sku) | map({sku: .[0].sku, total: map(.amount * $rate) | add})
    input: ${{ event.data.lines }}
    args: {rate: 1.2}
`}

const (
	// jqTime is the time limit of a program.
	jqTime = 5 * time.Second
	// jqMemory is the number of bytes by which the process may grow while a program runs.
	jqMemory = 256 << 20
	// jqAtOnce is the number of programs that run concurrently, which limits the total of jqMemory.
	jqAtOnce = 2
	// jqPrograms is the number of compiled programs in the cache.
	jqPrograms = 256
)

// JQ executes jq.
type JQ struct{}

var jqSlots = make(chan struct{}, jqAtOnce)

// Do implements engine.Action.
func (JQ) Do(ctx context.Context, in engine.Input) (any, error) {
	args, _ := in.With["args"].(map[string]any)
	names, values := []string(nil), []any(nil)
	for n := range args {
		names = append(names, "$"+n)
	}
	slices.Sort(names)
	for _, n := range names {
		values = append(values, args[n[1:]])
	}
	code, err := compiled(value.Shown(in.With["program"]), names)
	if err != nil {
		return nil, plan.Permanent("invalid_input", "program: %v", err)
	}
	select {
	case jqSlots <- struct{}{}:
		defer func() { <-jqSlots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	all, _ := in.With["all"].(bool)
	results, err := run(ctx, code, in.With["input"], values, all)
	switch {
	case err != nil:
		return nil, err
	case all:
		return fit(results)
	case len(results) > 1:
		return nil, plan.Permanent("invalid_input", "the program returns more than one result: put it in [ ], or write all: true for a list")
	case len(results) == 0:
		return nil, nil
	}
	return fit(results[0])
}

// The reasons why a program is stopped.
var (
	errTooSlow = errors.New("the program ran longer than 5s")
	errTooMuch = errors.New("the program took more than 256 MiB of memory")
)

// run collects the results of a program, at most two unless all are wanted.
func run(ctx context.Context, code *gojq.Code, input any, values []any, all bool) ([]any, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watched := make(chan struct{})
	defer func() { stop(nil); <-watched }()
	go func() {
		defer close(watched)
		watch(ctx, stop)
	}()
	results, size := []any{}, 0
	iter := code.RunWithContext(ctx, input, values...)
	for {
		v, more := iter.Next()
		if !more {
			return results, nil
		}
		if err, failed := v.(error); failed {
			if halt := (*gojq.HaltError)(nil); errors.As(err, &halt) && halt.Value() == nil {
				return results, nil
			}
			return nil, explain(ctx, err)
		}
		v = plain(v)
		bytes, _, _ := value.Size(v)
		if size += bytes; size > value.MaxSize || len(results) >= value.MaxJSONNodes {
			return nil, plan.Permanent("too_large", "the results are more than %d MiB, or more than %d: process less data",
				value.MaxSize>>20, value.MaxJSONNodes)
		}
		if results = append(results, v); !all && len(results) > 1 {
			return results, nil
		}
	}
}

func explain(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTooSlow), errors.Is(cause, errTooMuch):
		return plan.Permanent("too_large", "%v: process less data, or split the step", cause)
	case cause != nil:
		return cause
	}
	return plan.Permanent("jq", "the program failed: %s", strings.ToValidUTF8(value.CutText(err.Error(), 500), "\ufffd"))
}

// watch stops a program that takes too much time or memory. Only the memory of the whole process
// can be measured, so the limit is generous.
func watch(ctx context.Context, stop context.CancelCauseFunc) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	tick, end := time.NewTicker(10*time.Millisecond), time.NewTimer(jqTime)
	defer tick.Stop()
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			stop(errTooSlow)
			return
		case <-tick.C:
			if metrics.Read(sample); sample[0].Value.Uint64() > before+jqMemory {
				stop(errTooMuch)
				return
			}
		}
	}
}

// plain converts jq's large integers to numbers with all their digits.
func plain(v any) any {
	switch v := v.(type) {
	case *big.Int:
		return json.Number(v.String())
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plain(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = plain(x)
		}
		return out
	}
	return v
}

var (
	programsMu sync.Mutex
	programs   = map[string]*gojq.Code{}
)

// compiled returns a program's code from a cache. Programs can access no files, modules or
// environment.
func compiled(program string, names []string) (*gojq.Code, error) {
	key := strings.Join(names, " ") + "\x00" + program
	programsMu.Lock()
	defer programsMu.Unlock()
	if c := programs[key]; c != nil {
		return c, nil
	}
	q, err := gojq.Parse(program)
	if err != nil {
		return nil, err
	}
	c, err := gojq.Compile(q, gojq.WithVariables(names))
	if err != nil {
		return nil, err
	}
	if len(programs) >= jqPrograms {
		clear(programs)
	}
	programs[key] = c
	return c, nil
}
