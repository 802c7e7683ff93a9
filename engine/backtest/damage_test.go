package backtest_test

import (
	"database/sql"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/backtest"
)

// TestWhatIsGoneIsNotGuessed removes or damages parts of a history, and compares with a golden file what a backtest of
// the same workflows, and of an edit, says about each run.
func TestWhatIsGoneIsNotGuessed(t *testing.T) {
	golden(t)
	original := record(t, maker, send(t, bodies[1]))
	double := edit{"shop", "x: \"${{ event.data.n }}\"", "x: \"${{ event.data.n * 2 }}\""}
	for i, damage := range []string{
		`DELETE FROM steps`,
		`DELETE FROM steps WHERE run_id IN (SELECT id FROM runs WHERE workflow = 'callee')`,
		`UPDATE events SET stripped = 1, body = NULL WHERE trigger = 'hook'`,
		`UPDATE events SET stripped = 1, inputs = NULL WHERE trigger = 'callee'`,
		`UPDATE versions SET text = 'on: hook' || char(10) || 'steps: [{explode: now}]' WHERE text LIKE '%hookloom/emit%'`,
		`UPDATE versions SET text = 'on: hook' || char(10) || 'steps: [{explode: now}]' WHERE text LIKE 'on: call%'`,
		`UPDATE steps SET output = '{' WHERE action = 'test/act'`,
		`UPDATE steps SET attempt = 2 WHERE action = 'test/act'`,
		`UPDATE runs SET status = 'failed' WHERE workflow = 'heard'`,
		`DELETE FROM events WHERE trigger = 'callee'`,
		`DELETE FROM runs WHERE workflow = 'callee'`,
		`UPDATE steps SET output = '{"got": "***", "try": 1}' WHERE action = 'test/act'`,
	} {
		path := newPath(t)
		copyFile(t, original, path)
		db, err := sql.Open("sqlite3", path)
		if err == nil {
			_, err = db.Exec(damage)
		}
		if err != nil {
			t.Fatal(damage, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		same := test(t, path, maker, nil)
		if len(same.changes) > 0 {
			t.Errorf("%s: the same workflows change something: %q", damage, summary(same))
		}
		test(t, path, edited(t, maker, double), nil)
		test(t, path, edited(t, maker, double), func(o *backtest.Options) { o.Workflows = map[string]bool{"shop": true, "other": true} })
		if i < 2 {
			test(t, path, edited(t, maker, edit{"callee", "inputs.x }}\"", "inputs.x + 1 }}\""}), nil)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	for _, part := range []string{"", "-wal", "-seen"} {
		in, err := os.Open(from + part)
		if err != nil {
			continue
		}
		out, err := os.Create(to + part)
		if err == nil {
			_, err = io.Copy(out, in)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		in.Close()
	}
}

// unlike are workflows whose steps fail, have conditions, and share requests.
var unlike = map[string]string{
	"picky": "on: hook\nsteps:\n  - {id: p, if: event.data.n > 3, uses: test/act, with: {n: 1}}\n  - {id: q, uses: test/act, with: {n: 2}}\n",
	"tries": "on: hook\nsteps: [{id: t, uses: test/act, with: {n: 4, fail: 1}, retry: {max: 2, delay: 1s}}]\n" +
		"output: ${{ steps.t.output.try }}\n",
	"twice": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: 5, url: u}}\n  - {id: b, uses: test/act, with: {n: 6, url: v}}\n" +
		"output: ${{ steps.b.output.got }}\n",
	"wide": "on: hook\nsteps:\n  - {id: w, foreach: \"[1, 2]\", as: i, steps: [{id: in, uses: test/act, with: {n: \"${{ i }}\"}}]}\n",
	"shut": "on: hook\nsteps: [{id: s, stop: \"n is ${{ event.data.n }}\"}]\n",
	"side": "on: hook\nsteps:\n  - parallel:\n      - {id: w, wait: {event: back, key: k}, timeout: 1h, continue_on_error: true}\n" +
		"      - {sleep: 5m}\n  - {id: s, uses: test/act, with: {n: 9}}\n",
	"calm": "on: hook\nsteps: [{set: {x: 1}}]\n",
}

// TestEditsOfOneStepAreTracedToIt compares edits of conditions, attempts, and steps that exchange places.
func TestEditsOfOneStepAreTracedToIt(t *testing.T) {
	golden(t)
	path := record(t, unlike, send(t, bodies[0], bodies[1]))
	for i, x := range []edit{
		{"picky", "if: event.data.n > 3, ", ""}, {"picky", "id: q, uses", "id: q, if: event.data.n > 3, uses"},
		{"picky", "if: event.data.n > 3", "if: event.data.n > 0"}, {"picky", "event.data.n > 3", "event.data.gone.deeper"},
		{"picky", "  - {id: q, uses: test/act, with: {n: 2}}\n", ""}, {"picky", "id: q, uses: test/act, with: {n: 2}", "id: r, set: {x: 1}"},
		{"picky", "id: q, uses: test/act, with: {n: 2}", "id: q, uses: log, with: {message: m}"},
		{"tries", "n: 4", "n: 5"}, {"tries", "fail: 1", "fail: 2"}, {"tries", "max: 2", "max: 0"}, {"tries", "output.try", "output.got"},
		{"twice", "n: 5, url: u", "n: 6, url: v"}, {"twice", "n: 6, url: v", "n: 5, url: u"}, {"twice", "n: 5", "n: 8"},
		{"twice", "  - {id: a, uses: test/act, with: {n: 5, url: u}}\n", ""}, {"twice", "output:",
			"  - {id: d, uses: test/act, with: {n: 7, url: u}}\noutput:"},
		{"twice", "n: 5, url: u", "n: 5, url: w"}, {"twice", "n: 6, url: v", "n: 6"},
		{"wide", "[1, 2]", "[1, 3]"}, {"wide", "[1, 2]", "[2]"}, {"wide", "[1, 2]", "[]"}, {"wide", "[1, 2]", "[1, 2, 2]"},
		{"side", "sleep: 5m", "sleep: 9m"}, {"side", "n: 9", "n: 8"}, {"side", "timeout: 1h", "timeout: 30m"},
		{"shut", "n is ", "n was "}, {"shut", "stop: ", "fail: "}, {"shut", "event.data.n", "event.data.gone.deeper"},
		{"calm", "{set: {x: 1}}", "{uses: test/act, with: {n: 2}}"}, {"calm", "{set: {x: 1}}",
			"{uses: test/act, with: {n: 2}, output: \"${{ result.got }}\"}"},
		{"calm", "{set: {x: 1}}", "{switch: event.data.kind, cases: {x: [{set: {y: 1}}]}}"}, {"calm", "steps:", "output: 3\nsteps:"},
	} {
		f := test(t, path, edited(t, unlike, x), nil)
		if i%4 > 0 {
			continue
		}
		against := test(t, path, edited(t, unlike, x), func(o *backtest.Options) {
			o.Workflows, o.Against = map[string]bool{x.workflow: true}, load(t, unlike).Workflows[x.workflow]
		})
		if got, want := strings.Join(summary(against), "\n"), strings.Join(summary(f), "\n"); got != want {
			t.Errorf("%+v, with the version that ran by name:\n got %s\nwant %s", x, got, want)
		}
	}
}
