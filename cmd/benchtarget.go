package cmd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/spf13/cobra"
)

// check returns an error for options that contradict each other.
func (o *benchOptions) check(c *cobra.Command) error {
	switch {
	case o.ids != "rising" && o.ids != "random":
		return usageError("--ids is rising or random, not %q", o.ids)
	case math.IsNaN(o.acting) || o.acting < 0 || o.acting > 1:
		return usageError("--acting must be from 0 to 1, not %v", o.acting)
	case o.connections < 1 || o.rounds < 1:
		return usageError("--connections and --rounds must be at least 1")
	case o.duration <= 0:
		return usageError("--duration must be more than 0")
	case o.rate < 0:
		return usageError("--rate is 0, for as many as possible, or more")
	case o.profileOf != "whole" && o.profileOf != "accept":
		return usageError("--cpuprofile-of is whole or accept, not %q", o.profileOf)
	case o.db != "" && !postgres.IsAddress(o.db):
		return usageError("--db is the address of a PostgreSQL database, postgres://...; without it bench measures SQLite")
	case o.target == "":
		return nil
	case o.target != "whole" && o.target != "accept":
		return usageError("--target-only is whole or accept, not %q; write --target-only=accept", o.target)
	}
	for _, name := range []string{"connections", "duration", "rounds", "rate", "ids", "acting", "cpuprofile", "db"} {
		if c.Flags().Changed(name) {
			return usageError("--%s does not apply with --target-only, which leaves the load to another program", name)
		}
	}
	return nil
}

// benchTarget runs one server and the sink for an external load, until ctx ends.
func (a *app) benchTarget(ctx context.Context, o benchOptions) (err error) {
	tuneMemory()
	dir, remove, err := o.workDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	snk, err := newSink(&sync.Map{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snk.close()) }()
	l, err := benchProject(dir, o.target, snk.url, benchUnsigned)
	if err != nil {
		return err
	}
	var n benchCounts
	s, err := benchServer(ctx, dir, "", l, &n)
	if err != nil {
		return err
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.run(runCtx) }()
	if err := a.explainTarget(dir, "http://"+s.hooksListener.Addr().String()); err != nil {
		stop()
		return errors.Join(err, <-ended)
	}
	before := cpuTime()
	select {
	case err = <-ended: // it could not continue
	case <-ctx.Done():
		used := cpuTime() - before
		var stored int
		stored, err = s.store.CountEvents(context.WithoutCancel(ctx), []string{"bench"}, 0, math.MaxInt64)
		if err == nil {
			err = a.targetReport(stored, &n, used)
		}
		stop()
		err = errors.Join(err, <-ended)
	}
	return err
}

// wrkScript is a script for wrk that gives each request its own id
// (github.com/wg/wrk/blob/master/SCRIPTING).
const wrkScript = `local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end
function init(args)
  sent = 0
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = [[%s]]
end
function request()
  sent = sent + 1
  return wrk.format(nil, "/hooks/bench?id=" .. number .. "-" .. sent)
end
`

// explainTarget writes a body and a script for load generators, and prints how to use them.
func (a *app) explainTarget(dir, url string) error {
	body := benchBody("external", true)
	event, script := filepath.Join(dir, "event.json"), filepath.Join(dir, "load.lua")
	if err := errors.Join(writeFile(event, string(body)), writeFile(script, fmt.Sprintf(wrkScript, body))); err != nil {
		return err
	}
	if a.json() {
		return a.printJSON(map[string]any{"url": url + "/hooks/bench", "body": event, "script": script})
	}
	a.printf(`url   %[1]s/hooks/bench?id=ID   each id is one event, a repeated one a duplicate
body  %[2]s

  wrk -t 2 -c 128 -d 30s -s %[3]s %[1]s
  oha -c 128 -z 30s -m POST -T application/json -D %[2]s --rand-regex-url '%[4]s/hooks/bench\?id=[0-9a-f]{16}'

Ctrl-C ends it and prints the totals.
`, url, event, script, strings.ReplaceAll(url, ".", `\.`))
	return nil
}

// targetReport prints what happened to the events of an external load. used is the CPU time of
// server and sink; the memory peak covers both, too.
func (a *app) targetReport(stored int, n *benchCounts, used time.Duration) error {
	perEvent := float64(used.Microseconds()) / float64(max(stored, 1))
	peak := float64(peakMemory()) / (1 << 20)
	done, leftOut, failed := n.done.Load(), n.leftOut.Load(), n.failed.Load()
	if a.json() {
		return a.printJSON(map[string]any{"events": stored, "runs_ended": done - leftOut, "runs_failed": failed, "left_out": leftOut,
			"cpu_us": perEvent, "peak_memory_mb": peak})
	}
	t := newTable("EVENTS", "RUNS ENDED", "FAILED", "LEFT OUT", "CPU US", "PEAK MEMORY MB")
	t.row(fmt.Sprint(stored), fmt.Sprint(done-leftOut), fmt.Sprint(failed), fmt.Sprint(leftOut), fmt.Sprintf("%.0f", perEvent),
		fmt.Sprintf("%.0f", peak))
	return t.print(a.out)
}
