package cmd

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/spf13/cobra"
)

type benchOptions struct {
	connections, rounds     int
	duration                time.Duration
	rate                    int
	dir, profile, profileOf string
	// ids is rising or random. acting is the share of events that match the workflow's rule.
	ids    string
	acting float64
	// target is the server for an external load; empty for the load of this process.
	target string
	// db is the address of a PostgreSQL database; empty for SQLite.
	db string
}

func (a *app) benchCmd() *cobra.Command {
	var o benchOptions
	c := &cobra.Command{Use: "bench", Short: "Measure this engine on this machine, compared with a bare handler", Args: cobra.NoArgs,
		Long: `Loads four servers in turn with signed deliveries over loopback, round by round
in one process, and prints throughput, latency, and ratios:

  a  bare      a net/http handler that reads, verifies the HMAC and answers
  b  accept    Hookloom: verify, drop duplicates, store durably, answer
  c  whole     Hookloom: also a rule and two steps, one of them an HTTP call to a
               local sink, with every attempt recorded
  d  commit    the bare handler, and one SQLite row per delivery, with many rows in
               one synced commit: the minimum for a durable acknowledgement

Load, server and sink share the machine's cores, so the ratios say more than the
figures. Event ids increase, as those of most senders do; --ids random shows the cost of
random ones. With --acting 0.5 the rule filters out half of the events. The command checks
nothing: a slow machine has low figures.

With --target-only the load comes from another program, such as wrk or oha: the command
starts one server and the sink, prints the URL, a body and example commands, and prints
the totals when it is stopped with Ctrl-C. The id of an event is the parameter id of
the URL.

With --db postgres://... it measures b and c on that server and on SQLite in turn, with
the processor time of the server (if it is on this machine), the bytes of its log and
the round trips for each event. The tables are in a schema of their own, which the
command drops. Nothing else should use the server.`,
		Example: "  hookloom bench --connections 512 --ids random\n  hookloom bench --target-only\n" +
			"  hookloom bench --db postgres://127.0.0.1/test",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c); err != nil {
				return err
			}
			if o.target != "" {
				return a.benchTarget(c.Context(), o)
			}
			if o.db != "" {
				return a.benchDatabase(c.Context(), o)
			}
			return a.bench(c.Context(), o)
		}}
	c.AddCommand(a.benchBacktestCmd())
	f := c.Flags()
	f.IntVar(&o.connections, "connections", 128, "number of client connections")
	durationVar(f, &o.duration, "duration", 3*time.Second, "duration of each round")
	f.IntVar(&o.rounds, "rounds", 3, "number of rounds; the median is reported")
	f.IntVar(&o.rate, "rate", 0, "deliveries per second, evenly spaced; 0 for as many as possible")
	f.StringVar(&o.dir, "dir", "", "folder for the databases (default: a temporary one)")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of one server")
	f.StringVar(&o.profileOf, "cpuprofile-of", "whole", "accept or whole")
	f.StringVar(&o.ids, "ids", "rising", "ids of events: rising or random")
	f.Float64Var(&o.acting, "acting", 1, "share of the events that the workflow acts on, from 0 to 1; its rule leaves out the others")
	f.StringVar(&o.db, "db", "", "PostgreSQL database to measure beside SQLite: postgres://...")
	f.StringVar(&o.target, "target-only", "", "start one server, whole or accept, for an external load")
	f.Lookup("target-only").NoOptDefVal = "whole"
	return c
}

// benchResult is the result of one round of one server.
type benchResult struct {
	Name string `json:"name"`
	// PerSecond is the number of responses; for the whole path, of events whose run has ended or
	// that the rule skipped.
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Failed    int     `json:"failed"`
	// CPU is the cost of a response over all cores, including load and sink, in microseconds,
	// without the server's start and stop. It varies less between rounds than the rates.
	CPU         float64 `json:"cpu_us"`
	BytesPerRun float64 `json:"bytes_per_run,omitempty"`
	// SinkP50 and SinkP99 are measured from the delivery's arrival to the outbound call.
	SinkP50 float64 `json:"sink_p50_ms,omitempty"`
	SinkP99 float64 `json:"sink_p99_ms,omitempty"`
}

// benchServers are measured in this order in each round.
var benchServers = []string{"bare", "accept", "whole", "commit"}

const benchSecret = "bench-secret-0123456789abcdef"

// workDir returns the directory of the databases, and removes it at the end if it is temporary.
func (o *benchOptions) workDir() (dir string, remove func() error, err error) {
	if o.dir != "" {
		return o.dir, func() error { return nil }, nil
	}
	dir, err = os.MkdirTemp("", "hookloom-bench-")
	return dir, func() error { return os.RemoveAll(dir) }, err
}

func (a *app) bench(ctx context.Context, o benchOptions) (err error) {
	tuneMemory()
	dir, remove, err := o.workDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	all := map[string][]benchResult{}
	for round := range o.rounds {
		for _, name := range benchServers {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(a.err, "round %d of %d: %s\n", round+1, o.rounds, name)
			r, err := benchOne(ctx, name, filepath.Join(dir, fmt.Sprintf("%s-%d", name, round)), o, nil)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			all[name] = append(all[name], r)
		}
	}
	return a.benchReport(all, o)
}

func (a *app) benchReport(all map[string][]benchResult, o benchOptions) error {
	mid := map[string]benchResult{}
	for name, list := range all {
		slices.SortFunc(list, func(x, y benchResult) int { return int(x.PerSecond - y.PerSecond) })
		mid[name] = list[len(list)/2]
	}
	ba, ca, bd := mid["accept"].PerSecond/mid["bare"].PerSecond, mid["whole"].PerSecond/mid["bare"].PerSecond,
		mid["accept"].PerSecond/mid["commit"].PerSecond
	if a.json() {
		return a.printJSON(map[string]any{"connections": o.connections, "rounds": o.rounds, "duration_s": o.duration.Seconds(), "results": mid,
			"accept_to_bare": ba, "whole_to_bare": ca, "accept_to_commit": bd})
	}
	t := newTable("", "PER SECOND", "P50 MS", "P99 MS", "CPU US", "FAILED", "BYTES/RUN", "TO SINK P50 MS", "P99 MS")
	for i, name := range benchServers {
		r := mid[name]
		bytes, s50, s99 := "", "", ""
		if name == "whole" {
			bytes, s50, s99 = fmt.Sprintf("%.0f", r.BytesPerRun), fmt.Sprintf("%.2f", r.SinkP50), fmt.Sprintf("%.2f", r.SinkP99)
		}
		t.row(string(rune('a'+i))+"  "+name, fmt.Sprintf("%.0f", r.PerSecond), fmt.Sprintf("%.2f", r.P50), fmt.Sprintf("%.2f", r.P99),
			fmt.Sprintf("%.0f", r.CPU), strconv.Itoa(r.Failed), bytes, s50, s99)
	}
	if err := t.print(a.out); err != nil {
		return err
	}
	a.printf("\nb/a  %.3f   durable acceptance, relative to a bare handler\n", ba)
	a.printf("c/a  %.3f   the whole path, relative to a bare handler\n", ca)
	a.printf("b/d  %.3f   durable acceptance, relative to a handler with one row and one commit\n", bd)
	a.printf("\n%d connections, median of %s of %s\n", o.connections, counted(o.rounds, "round"), o.duration)
	return nil
}

// benchOne runs one round of one server.
func benchOne(ctx context.Context, name, dir string, o benchOptions, m *benchMeter) (r benchResult, err error) {
	g := &generator{o: o, prefix: fmt.Sprintf("%d", time.Now().UnixNano()), began: &sync.Map{}, timed: name == "whole"}
	switch name {
	case "bare":
		r, err = benchHandler(ctx, g, func([]byte, string) error { return nil })
		r.Name = name
		return r, err
	case "commit":
		table, err := newBaseline(dir)
		if err != nil {
			return r, err
		}
		r, err = benchHandler(ctx, g, table.insert)
		r.Name = name
		return r, errors.Join(err, table.close())
	}
	snk, err := newSink(g.began)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, snk.close()) }()
	return benchHookloom(ctx, name, dir, o, g, snk, m)
}

func (g *generator) cpuSince(before time.Duration) float64 {
	return float64((cpuTime() - before).Nanoseconds()) / 1000 / float64(max(g.accepted.Load(), 1))
}

// benchCounts counts what happened to the events of the whole path.
type benchCounts struct {
	// done are events whose run has ended, or that the rule skipped; leftOut are the latter, and
	// failed the runs that did not succeed.
	done, leftOut, failed atomic.Int64
}

func (n *benchCounts) observe(c engine.Change) {
	switch {
	case c.Decision != nil:
		if c.Decision.Run == 0 {
			n.leftOut.Add(1)
			n.done.Add(1)
		}
	case c.Run.Status.Ended():
		if c.Run.Status != engine.Succeeded {
			n.failed.Add(1)
		}
		n.done.Add(1)
	}
}

// benchServer creates the server of a project that benchProject wrote. Without db its database is a file in dir,
// whatever the environment says.
func benchServer(ctx context.Context, dir, db string, l *loaded, n *benchCounts) (*server, error) {
	if db == "" {
		db = filepath.Join(dir, "hookloom.db")
	}
	return newServer(ctx, serveOptions{dir: dir, db: db, addr: "127.0.0.1:0", adminAddr: "127.0.0.1:0", grace: time.Second,
		log: slog.New(slog.DiscardHandler), observe: n.observe}, l)
}

func benchHookloom(ctx context.Context, name, dir string, o benchOptions, g *generator, snk *sink, m *benchMeter) (r benchResult,
	err error) {
	var n benchCounts
	l, err := benchProject(dir, name, snk.url, benchSigned)
	if err != nil {
		return r, err
	}
	s, err := benchServer(ctx, dir, o.db, l, &n)
	if err != nil {
		return r, err
	}
	runCtx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.run(runCtx) }()
	if o.profile != "" && name == o.profileOf {
		f, err := os.Create(o.profile)
		if err != nil {
			stop()
			return r, errors.Join(err, <-done)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			stop()
			return r, errors.Join(err, <-done)
		}
	}
	if err := m.began(ctx, s); err != nil {
		stop()
		return r, errors.Join(err, <-done)
	}
	start, before := time.Now(), cpuTime()
	r = g.load(ctx, s.hooksListener.Addr().String())
	if name == "whole" {
		// The load ends when the last run has ended, not when it was accepted.
		for n.done.Load() < g.accepted.Load() && time.Since(start) < 10*o.duration+time.Minute && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		r.PerSecond = float64(n.done.Load()) / time.Since(start).Seconds()
		r.Failed += int(n.failed.Load() + g.accepted.Load() - n.done.Load())
	}
	r.CPU = g.cpuSince(before)
	pprof.StopCPUProfile()
	err = m.ended(ctx, s, float64(max(g.accepted.Load(), 1)))
	stop()
	err = errors.Join(err, <-done)
	r.Name = name
	if info, serr := os.Stat(filepath.Join(dir, "hookloom.db")); serr == nil && n.done.Load() > 0 {
		r.BytesPerRun = float64(info.Size()) / float64(n.done.Load())
	}
	snk.mu.Lock()
	r.SinkP50, r.SinkP99 = percentiles(snk.times)
	snk.mu.Unlock()
	return r, err
}

// Triggers for the load of this process, and for an external one: few load generators can sign, but
// all can vary the URL.
const (
	benchSigned   = `{provider: generic, secret: "${{ secrets.BENCH_SECRET }}", key: body.id}`
	benchUnsigned = `{auth: none, key: query.id}`
)

func benchProject(dir, name, sink, webhook string) (*loaded, error) {
	config := "triggers:\n  bench:\n    webhook: " + webhook + "\negress: {allow: [127.0.0.1]}\n"
	if err := errors.Join(writeFile(filepath.Join(dir, "hookloom.yaml"), config),
		writeFile(filepath.Join(dir, ".env"), "BENCH_SECRET="+benchSecret+"\n")); err != nil {
		return nil, err
	}
	if name == "whole" {
		flow := `on: bench
when: event.data.amount >= 1000 and event.data.status == 'paid'
steps:
  - set: {total: "${{ event.data.amount / 100 }}"}
  - id: send
    uses: http/post
    with:
      url: ` + sink + `/${{ event.key }}
      body: {order: "${{ event.data.id }}", total: "${{ vars.total }}", lines: "${{ len(event.data.lines) }}"}
`
		if err := writeFile(filepath.Join(dir, "workflows", "whole.yaml"), flow); err != nil {
			return nil, err
		}
	}
	withoutEnvironment()
	return load(dir)
}

// benchHandler does the minimum that a correct receiver does, and calls keep.
func benchHandler(ctx context.Context, g *generator, keep func(body []byte, id string) error) (benchResult, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return benchResult{}, err
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		got, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Signature"), "sha256="))
		m := hmac.New(sha256.New, []byte(benchSecret))
		m.Write(body)
		if err != nil || !hmac.Equal(got, m.Sum(nil)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if keep(body, r.Header.Get("X-Event-Id")) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"status":"accepted"}`) // the load counts the responses
	})}
	go func() { _ = srv.Serve(l) }() // ends with Close
	before := cpuTime()
	r := g.load(ctx, l.Addr().String())
	r.CPU = g.cpuSince(before)
	return r, srv.Close()
}
