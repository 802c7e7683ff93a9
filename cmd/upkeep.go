package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/workflows"
	"github.com/mattn/go-sqlite3"
	"github.com/spf13/cobra"
)

func (a *app) backupCmd() *cobra.Command {
	var f listFlags
	var force bool
	c := &cobra.Command{Use: "backup FILE", Short: "Back up the database, while the server runs", Args: cobra.ExactArgs(1),
		Long: `Writes a consistent copy, checks it, and syncs it to disk before it gets its name.
hookloom restore FILE replaces the database with it while no server runs: runs that were
open then continue, and calls made after the backup are repeated with the same
idempotency keys.
Files of runs (save: true) are copied to FILE.files.age, encrypted with the project's key.
Back up DIR/.hookloom-key too, in another place: it is needed for these files and for open
runs with masked data.`,
		Example: "  hookloom backup /backups/hookloom-$(date +%F).db",
		RunE: func(c *cobra.Command, args []string) error {
			return a.backup(c.Context(), &f, args[0], force)
		}}
	f.addPlace(c)
	c.Flags().BoolVar(&force, "force", false, "replace FILE")
	return c
}

// backup copies the project's database, and the files of its runs. It accepts the schema of an earlier
// version, so that a backup can be made with the new program before a server updates the database.
func (a *app) backup(ctx context.Context, f *listFlags, file string, replace bool) error {
	path, err := f.database()
	if err != nil {
		return err
	}
	h, err := store.OpenForBackup(path)
	if err != nil {
		return err
	}
	_, err = h.Backup(ctx, file, replace)
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	if err = errors.Join(err, h.Close()); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	n, err := backupFiles(f.dir, file)
	if err != nil {
		return err
	}
	if a.json() {
		return a.printJSON(map[string]any{"file": file, "bytes": info.Size(), "files": n})
	}
	a.printf("%s: %s, checked and synced\n", file, console.Bytes(info.Size()))
	if n > 0 {
		a.printf("%s: %s of runs, encrypted with the project's key\n", file+filesOfBackup, counted(n, "file"))
	}
	return nil
}

func (a *app) checkCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "check", Short: "Check the database: structure, checksums, invariants", Args: cobra.NoArgs,
		Long: `Reads the whole database while the server runs: SQLite's own integrity check, the
checksum of every event, the invariants of runs, steps and groups, and whether each row
can be read back. An unreadable row affects only the run it belongs to.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.reading(func(h *store.History) error {
				found, err := h.Check(c.Context())
				if err != nil {
					return err
				}
				return a.printFindings(found)
			})
		}}
	f.addPlace(c)
	return c
}

func (a *app) printFindings(found []store.Finding) error {
	wrong, alone := 0, 0
	for _, x := range found {
		wrong += len(x.Wrong)
		if x.Alone {
			alone += len(x.Wrong)
		}
	}
	if a.json() {
		if err := a.printJSON(map[string]any{"ok": wrong == 0, "checks": found}); err != nil {
			return err
		}
	} else {
		for _, x := range found {
			word, rows := "ok   ", ""
			if len(x.Wrong) > 0 {
				word = "WRONG"
			}
			if x.Rows > 0 {
				rows = fmt.Sprintf(", %d rows", x.Rows)
			}
			a.printf("%s  %s%s\n", word, x.What, rows)
			for _, w := range x.Wrong {
				a.printf("         %s\n", printable(w))
			}
		}
	}
	if wrong > 0 && wrong == alone {
		return &exitError{exitFailure,
			errors.New("rows cannot be read: only the listed runs and events are affected, and the server continues with all others")}
	}
	if wrong > 0 {
		return &exitError{exitFailure,
			errors.New("the database is damaged: stop the server, and restore a backup (hookloom restore FILE, " +
				"which keeps the old file); hookloom recover NEWFILE copies what is still readable")}
	}
	return nil
}

// diagnosis is a line of doctor.
type diagnosis struct {
	// Verdict is ok, warn or fail.
	Verdict string `json:"verdict"`
	What    string `json:"what"`
	// Found is the state, Do what to do about it.
	Found string `json:"found"`
	Do    string `json:"do,omitempty"`
}

func (a *app) doctorCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "doctor", Short: "Check this project for problems", Args: cobra.NoArgs,
		Long: "Checks the configuration, the disk, the database and the running server, and\n" +
			"says how to fix each problem. Nothing is changed.",
		Example: "  hookloom doctor\n  hookloom doctor --output json",
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := loadAsked(c.Context(), f.dir, nil)
			if err != nil {
				return err
			}
			l.db = f.db
			path := l.database()
			list := slices.Concat(configHealth(l), storageHealth(c.Context(), l), pollHealth(c.Context(), l, path),
				serverHealth(c.Context(), l))
			failed := slices.ContainsFunc(list, func(d diagnosis) bool { return d.Verdict == "fail" })
			if a.json() {
				if err := a.printJSON(map[string]any{"ok": !failed, "findings": list}); err != nil {
					return err
				}
			} else {
				for _, d := range list {
					a.printf("%-4s  %s: %s\n", d.Verdict, d.What, printable(d.Found))
					if d.Do != "" {
						a.printf("      %s\n", strings.ReplaceAll(d.Do, "\n", "\n      "))
					}
				}
			}
			if failed {
				return &exitError{exitFailure, errors.New("")}
			}
			return nil
		}}
	f.addPlace(c)
	return c
}

func configHealth(l *loaded) []diagnosis {
	d := diagnosis{"ok", "configuration", counted(len(l.project.Files()), "file") + ", " +
		counted(len(l.project.Workflows), "workflow") + ", " + counted(len(l.project.Triggers), "trigger"), ""}
	if n := l.mistakes.Errors(); n > 0 {
		d = diagnosis{"fail", "configuration", fmt.Sprintf("%d %s", n, plural(n, "mistake")), "hookloom validate shows them"}
	}
	out := []diagnosis{d}
	for _, m := range l.mistakes {
		if m.Code == workflows.SecretNotSet {
			out = append(out, diagnosis{"fail", "secrets", fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Problem), m.Hint})
		}
	}
	if mode, ok := l.secrets.EnvFileMode(); ok && readByOthers(mode) {
		out = append(out, diagnosis{"warn", ".env", fmt.Sprintf("other users may read it (mode %04o)", mode), "chmod 600 .env"})
	}
	for _, m := range l.mistakes {
		if m.Code == "short-secret" || m.Code == "env-variable" {
			out = append(out, diagnosis{"warn", "secrets", fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Problem), m.Hint})
		}
	}
	if l.project.Server.PublicURL == "" {
		out = append(out, diagnosis{"warn", "server.public_url", "not set", "providers that sign the URL (Twilio, Square, HubSpot) need it"})
	}
	if h := l.project.History; h.Keep == 0 && h.MaxSize == 0 {
		out = append(out, diagnosis{"warn", "history", "nothing is ever pruned", "write history: {keep: 30d, max_size: 2GB} into hookloom.yaml"})
	}
	return out
}

// diskHealth measures the disk operations that an acknowledgement waits for.
func diskHealth(path string) []diagnosis {
	dir := filepath.Dir(path)
	out := roomHealth(dir)
	if out[0].What == "disk" && out[0].Do == noFolder {
		return out
	}
	sync, err := syncTime(dir)
	d := diagnosis{"ok", "disk flush", fmt.Sprintf("%s, the median of 20", sync.Round(10*time.Microsecond)), ""}
	switch {
	case err != nil:
		d = diagnosis{"fail", "disk flush", err.Error(), "the database's folder must be writable"}
	case sync > 20*time.Millisecond:
		d.Verdict, d.Do = "warn", "each acknowledgement waits for a flush: this slow disk delays responses"
	case sync < 20*time.Microsecond:
		d.Verdict, d.Do = "warn", "a flush this fast reaches no disk (tmpfs, or flushes are ignored): a power cut can lose events"
	}
	return append(out, d)
}

const noFolder = "the database's folder must be there"

// roomHealth checks the free space of a folder's disk.
func roomHealth(dir string) []diagnosis {
	free, total, err := store.DiskSpace(dir)
	if err != nil {
		return []diagnosis{{"fail", "disk", err.Error(), noFolder}}
	}
	d := diagnosis{"ok", "disk", console.Bytes(free) + " free", ""}
	switch {
	case free < 64<<20:
		d.Verdict, d.Do = "fail", "when it is full, deliveries are answered 503: free some space, or run hookloom prune"
	case engine.DiskLow(free, total):
		d.Verdict, d.Do = "warn", "free some space, or limit the history: history: {max_size: 2GB}"
	}
	return []diagnosis{d}
}

func syncTime(dir string) (median time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".hookloom-doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var took []time.Duration
	for range 20 {
		began := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// readByOthers reports whether a file's mode gives other users access. On Windows the mode does not tell:
// access lists do, and a file in a user's profile has that of its folder.
func readByOthers(mode fs.FileMode) bool { return runtime.GOOS != "windows" && mode&0o077 != 0 }

func databaseHealth(ctx context.Context, path string) []diagnosis {
	lib, _, _ := sqlite3.Version()
	out := []diagnosis{{"ok", "SQLite", lib, ""}}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return append(out, diagnosis{"ok", "database", path + " does not exist yet", "hookloom serve creates it"})
	}
	if err != nil {
		return append(out, diagnosis{"fail", "database", err.Error(), ""})
	}
	if readByOthers(info.Mode().Perm()) {
		out = append(out, diagnosis{"warn", "database", fmt.Sprintf("%s can be read by others (%s)", path, info.Mode().Perm()),
			"chmod 600 " + path})
	}
	return append(out, historyHealth(ctx, path)...)
}

// historyHealth checks the content of a database.
func historyHealth(ctx context.Context, path string) (out []diagnosis) {
	h, err := store.OpenHistory(path)
	if errors.Is(err, store.ErrEarlierSchema) {
		return append(out, diagnosis{"warn", "database", err.Error(), ""})
	}
	if err != nil {
		return append(out, diagnosis{"fail", "database", err.Error(), ""})
	}
	defer h.Close() // it only reads
	size, err := h.Size(ctx)
	if known := (*postgres.Error)(nil); errors.As(err, &known) {
		return append(out, diagnosis{"fail", "database", known.Address + ": " + known.Problem, known.Fix})
	}
	if err != nil {
		return append(out, diagnosis{"fail", "database", err.Error(), "hookloom check shows details; hookloom restore puts a backup in place"})
	}
	text := console.Bytes(size.Bytes)
	if !postgres.IsAddress(path) { // a server has one log for all databases, and only VACUUM knows the free space
		text += fmt.Sprintf(", %s of it free, log %s", console.Bytes(size.Free), console.Bytes(size.WAL))
	}
	out = append(out, diagnosis{"ok", "database", text, ""})
	if size.WAL > 256<<20 {
		out = append(out, diagnosis{"warn", "database log", console.Bytes(size.WAL),
			"a reader holds a transaction open: look for a SQLite shell or a hanging backup"})
	}
	if step, err := h.ClockStep(ctx); err == nil && step != nil && time.Since(step.At) < 7*24*time.Hour {
		out = append(out, diagnosis{"warn", "clock",
			fmt.Sprintf("it was set back by %s on %s; sleeps, waits, schedules and rates follow the new time",
				(time.Duration(step.Milliseconds) * time.Millisecond).Round(time.Second), clock(step.At)),
			"synchronize the clock in small steps (chrony, systemd-timesyncd)"})
	}
	counts, err := h.Counts(ctx)
	if err != nil {
		return append(out, diagnosis{"fail", "backlog", err.Error(), ""})
	}
	backlog := counted(int(counts.Open), "open run") + ", " + counted(int(counts.Inbox), "event") + " to match"
	out = append(out, diagnosis{"ok", "backlog", backlog, ""})
	out = append(out, rowsHealth(ctx, h)...)
	dead, err := h.DeadLetters(ctx, engine.Query{Limit: 100})
	if err == nil && len(dead.Items) > 0 {
		n := fmt.Sprint(len(dead.Items))
		if len(dead.Items) >= 100 {
			n = "100 or more"
		}
		out = append(out, diagnosis{"warn", "dead letters", n, "hookloom deadletters lists them, hookloom replay --dead runs them again"})
	}
	return out
}

// pollHealth lists the polls whose last attempts failed. databaseHealth reports problems of the
// database itself.
func pollHealth(ctx context.Context, l *loaded, path string) []diagnosis {
	if hasDatabase(path) != nil {
		return nil
	}
	h, err := store.OpenHistory(path)
	if err != nil {
		return nil
	}
	defer h.Close() // it only reads
	var out []diagnosis
	for _, name := range slices.Sorted(maps.Keys(l.project.Triggers)) {
		for _, inlet := range l.project.Triggers[name].Polled() {
			st, err := h.InletState(ctx, name, inlet)
			if err != nil || st.Failures == 0 {
				continue
			}
			out = append(out, diagnosis{"warn", "poll of " + name,
				fmt.Sprintf("%d %s in a row: %s", st.Failures, plural(st.Failures, "failure"), st.Error),
				"hookloom poll " + name + " --dry-run asks once and shows the result"})
		}
	}
	return out
}

// rowsHealth searches, for a limited time, for rows that cannot be decoded.
func rowsHealth(ctx context.Context, h *store.History) []diagnosis {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	bad, looked, err := h.Unreadable(ctx)
	if err != nil {
		return []diagnosis{{"fail", "rows", err.Error(), "hookloom check shows details"}}
	}
	d := diagnosis{"ok", "rows", fmt.Sprintf("%d are readable", looked), ""}
	if ctx.Err() != nil {
		d.Found += "; the check stopped after 5 s"
		d.Do = "hookloom check reads all rows"
	}
	out := []diagnosis{d}
	for _, b := range bad {
		out = append(out, diagnosis{"fail", "rows", b.String(), ""})
	}
	if len(bad) > 0 {
		out = out[1:]
	}
	return out
}

// readyWarnings returns the warnings of a ready server.
func readyWarnings(body io.Reader) []diagnosis {
	var x console.Readiness
	if err := json.NewDecoder(io.LimitReader(body, 1<<20)).Decode(&x); err != nil {
		return nil
	}
	var out []diagnosis
	for _, w := range x.Warnings {
		out = append(out, diagnosis{"warn", "server", w, "the overview page of the console shows more"})
	}
	return out
}

func serverHealth(ctx context.Context, l *loaded) []diagnosis {
	base := localURL(setting("", "HOOKLOOM_ADMIN_ADDR", l.project.Server.AdminAddr))
	client := &http.Client{}
	if h := l.server(); h != nil && h.Admin != "" {
		base = h.Admin
		if strings.HasPrefix(base, "https:") {
			c, _, err := adminClient(l.project.Dir, l.project.Server.AdminTLS)
			if err != nil {
				return []diagnosis{{"fail", "server", err.Error(), ""}}
			}
			client = c
		}
	}
	client.Timeout = 3 * time.Second
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return []diagnosis{{"fail", "server", err.Error(), ""}}
	}
	resp, err := client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return append([]diagnosis{{"ok", "server", "runs, and is ready: " + base, ""}}, readyWarnings(resp.Body)...)
		}
		return []diagnosis{{"fail", "server", fmt.Sprintf("%s/readyz answers %d", base, resp.StatusCode), "its log says why"}}
	}
	out := []diagnosis{{"warn", "server", "does not run at " + base, "hookloom serve starts it"}}
	for _, addr := range []string{setting("", "HOOKLOOM_ADDR", l.project.Server.Addr),
		setting("", "HOOKLOOM_ADMIN_ADDR", l.project.Server.AdminAddr)} {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			out = append(out, diagnosis{"fail", "address", err.Error(), addressAdvice(err)})
			continue
		}
		if err := ln.Close(); err != nil {
			out = append(out, diagnosis{"warn", "address", err.Error(), ""})
		}
	}
	return out
}

// addressAdvice says what to change after an address could not be listened on.
func addressAdvice(err error) string {
	if errors.As(err, new(*net.DNSError)) || errors.As(err, new(*net.AddrError)) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return "write server.addr and server.admin_addr as HOST:PORT with an address of this machine, such as 127.0.0.1:8080"
	}
	return "another program uses it: stop that program, or set server.addr or server.admin_addr"
}
