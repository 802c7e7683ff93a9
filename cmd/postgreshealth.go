package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgres"
)

// storageHealth returns what doctor reports about the database and its disk.
func storageHealth(ctx context.Context, l *loaded) []diagnosis {
	path := l.database()
	if !postgres.IsAddress(path) {
		return slices.Concat(diskHealth(path), databaseHealth(ctx, path))
	}
	out := roomHealth(l.project.Dir) // the files of runs are on this machine
	found, ok := serverOfDatabase(ctx, path)
	if out = append(out, found...); ok {
		out = append(out, historyHealth(ctx, path)...)
		out = append(out, nodesHealth(ctx, path)...)
	}
	return out
}

// nodesHealth lists the nodes of the database.
func nodesHealth(ctx context.Context, path string) []diagnosis {
	h, err := store.OpenHistory(path)
	if err != nil {
		return nil // historyHealth reports it
	}
	defer h.Close() // it only reads
	list, err := h.Nodes(ctx)
	if err != nil || len(list) == 0 {
		return nil
	}
	var names []string
	for _, n := range list {
		names = append(names, n.Name+" "+n.State)
	}
	d := diagnosis{"ok", "nodes", strings.Join(names, ", "), ""}
	if text := unevenNodes(list); text != "" {
		d.Verdict, d.Do = "warn", "they have different project files, as during an update: "+text
	}
	return []diagnosis{d}
}

// serverOfDatabase checks a PostgreSQL server; ok reports whether the database can be read.
func serverOfDatabase(ctx context.Context, path string) (out []diagnosis, ok bool) {
	a, err := postgres.Parse(path)
	if err != nil {
		return []diagnosis{{"fail", "PostgreSQL", err.Error(), ""}}, false
	}
	c, err := a.Connect(ctx)
	if err != nil {
		return []diagnosis{problem("PostgreSQL", err)}, false
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it only reads
	f, err := a.Inspect(ctx, c)
	if err == nil {
		err = a.Supported(f)
	}
	if err != nil {
		return []diagnosis{problem("PostgreSQL", err)}, false
	}
	out = append(out, diagnosis{"ok", "PostgreSQL", f.Release + ", " + a.String(), ""})
	for _, check := range []struct {
		what string
		err  error
	}{{"database", a.Writable(f)}, {"durability", a.Durable(f)}, {"rights", a.Allowed(f, false)}} {
		if check.err != nil {
			out = append(out, problem(check.what, check.err))
		}
	}
	if a.Writable(f) == nil && a.Durable(f) == nil {
		out = append(out, diagnosis{"ok", "durability", "an answer 2xx means that the event is on " + f.Worth(), ""})
	}
	if ahead, err := postgres.ClockAhead(ctx, c, time.Now); err != nil {
		out = append(out, problem("clock", err))
	} else if d := clockHealth(ahead); d != nil {
		out = append(out, *d)
	}
	if f.Checksums != "on" {
		out = append(out, diagnosis{"warn", "checksums", "the server does not notice pages that a disk has damaged (data_checksums is off)",
			"stop the server, run pg_checksums --enable, and start it"})
	}
	return out, f.Rights.Exists && a.Allowed(f, false) == nil
}

// clockTolerance is the difference of clocks that has no effect worth a warning: rates and schedules are in
// seconds.
const clockTolerance = 2 * time.Second

// clockHealth returns what doctor reports about a clock that is ahead of the database server's; nil if they
// agree.
func clockHealth(ahead time.Duration) *diagnosis {
	if ahead.Abs() <= clockTolerance {
		return nil
	}
	where := "ahead of"
	if ahead < 0 {
		where = "behind"
	}
	return &diagnosis{"warn", "clock", fmt.Sprintf("this machine's clock is %s %s that of the database server: sleeps, time limits and "+
		"schedules of this node come at other times than those of the others, and waits can miss events", ahead.Abs().Round(time.Second), where),
		"synchronize the clocks of the server and of all nodes (chrony, systemd-timesyncd)"}
}

// problem returns a finding for an error of the database.
func problem(what string, err error) diagnosis {
	var e *postgres.Error
	if errors.As(err, &e) {
		return diagnosis{"fail", what, e.Address + ": " + e.Problem, e.Fix}
	}
	return diagnosis{"fail", what, err.Error(), ""}
}
