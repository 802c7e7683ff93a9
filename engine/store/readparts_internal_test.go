package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// openTest opens a store in a new file.
func openTest(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), t.TempDir()+"/h.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// execTest executes statements in one transaction of the writer.
func execTest(t *testing.T, s *Store, queries ...string) {
	t.Helper()
	if err := s.w.do(t.Context(), true, func(x *tx) error {
		for _, q := range queries {
			if err := x.exec(q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAPageIsOrderedAndBounded(t *testing.T) {
	evt, run := engine.EventID(77).String(), engine.RunID(78).String()
	for _, c := range []struct {
		q            engine.Query
		prefix, want string
	}{
		{engine.Query{}, "run_", " ORDER BY x.id DESC LIMIT 50"},
		{engine.Query{Limit: -1}, "run_", " ORDER BY x.id DESC LIMIT 50"},
		{engine.Query{Limit: 1, Ascending: true}, "run_", " ORDER BY x.id ASC LIMIT 1"},
		{engine.Query{Limit: 1000}, "run_", " ORDER BY x.id DESC LIMIT 1000"},
		{engine.Query{Limit: 1001}, "run_", " ORDER BY x.id DESC LIMIT 1001"},
		{engine.Query{Limit: 1002}, "run_", " ORDER BY x.id DESC LIMIT 1001"},
		{engine.Query{After: run, Limit: 2}, "run_", " WHERE x.id < ? [78] ORDER BY x.id DESC LIMIT 2"},
		{engine.Query{After: run, Ascending: true, Limit: 2}, "run_", " WHERE x.id > ? [78] ORDER BY x.id ASC LIMIT 2"},
		{engine.Query{After: evt, Limit: 2}, "evt_", " WHERE x.id < ? [77] ORDER BY x.id DESC LIMIT 2"},
		{engine.Query{After: "ref_12", Limit: 2}, "ref_", " WHERE x.id < ? [12] ORDER BY x.id DESC LIMIT 2"},
		{engine.Query{After: "12", Limit: 2}, "", " WHERE x.id < ? [12] ORDER BY x.id DESC LIMIT 2"},
		{engine.Query{After: evt}, "run_", "error"}, {engine.Query{After: run}, "evt_", "error"}, {engine.Query{After: "ref_x"}, "ref_",
			"error"},
	} {
		var w where
		got, err := w.page(c.q, c.prefix, "x.id")
		if len(w.args) > 0 {
			got = fmt.Sprint(w.String(), " ", w.args, got)
		}
		if errors.Is(err, engine.ErrQuery) {
			got = "error"
		} else if err != nil {
			t.Errorf("%+v: %v", c.q, err)
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
	for _, c := range []struct {
		last      int64
		ascending bool
		want      string
	}{{0, false, " WHERE a [1]"}, {0, true, " WHERE a [1]"}, {5, true, " WHERE a AND x.id <= ? [1 5]"}, {5, false,
		" WHERE a AND x.id >= ? [1 5]"}} {
		var w where
		w.add("a", 1)
		if w.within(c.last, c.ascending, "x.id"); fmt.Sprint(w.String(), " ", w.args) != c.want {
			t.Errorf("%+v: %s %v", c, w.String(), w.args)
		}
	}
}

// The cursor of a page is that of its last item if there may be more, or where its search paused.
func TestAPageHasACursorIfMoreMayFollow(t *testing.T) {
	for _, c := range []struct {
		items, limit int
		last         int64
		next         string
		paused       bool
	}{
		{0, 0, 0, "", false}, {49, 0, 0, "", false}, {50, 0, 0, "i49", false}, {50, -1, 0, "i49", false}, {1, 1, 0, "i0", false},
		{1, 2, 0, "", false},
		{999, 1000, 0, "", false}, {1000, 1000, 0, "i999", false}, {1000, 1001, 0, "i999", false}, {1001, 1001, 0, "", false},
		{3, 3, 9, "i2", false}, {2, 3, 9, "n9", true}, {0, 3, 9, "n9", true},
	} {
		items := make([]string, c.items)
		for i := range items {
			items[i] = fmt.Sprint("i", i)
		}
		p := finish(items, engine.Query{Limit: c.limit}, c.last, func(s string) string { return s }, func(n int64) string {
			return fmt.Sprint("n", n)
		})
		if p.Next != c.next || (p.SearchedTo != nil) != c.paused || len(p.Items) != c.items {
			t.Errorf("%+v: %d items, next %q, %v", c, len(p.Items), p.Next, p.SearchedTo)
		}
		if c.paused && !p.SearchedTo.Equal(engine.RunID(c.last).Time()) {
			t.Errorf("%+v: searched to %s", c, p.SearchedTo)
		}
	}
}

// A list continues where a search paused, until it has as many items as the query wants.
func TestAListContinuesAPausedSearch(t *testing.T) {
	at := time.Now()
	type page = engine.Page[int]
	failure := errors.New("no disk")
	for _, c := range []struct {
		limit int
		pages []page
		want  string
	}{
		{3, []page{{Items: []int{1}, Next: "a", SearchedTo: &at}, {Next: "b", SearchedTo: &at}, {Items: []int{2, 3}, Next: "c",
			SearchedTo: &at}},
			"[1 2 3] 3 2a 2b"},
		{3, []page{{Items: []int{1}, Next: "a", SearchedTo: &at}, {Items: []int{2}}}, "[1 2] 3 2a"},
		{2, []page{{Items: []int{1, 2}, Next: "a"}}, "[1 2] 2"}, {1, []page{{Items: []int{1}, Next: "a", SearchedTo: &at}}, "[1] 1"},
		{9, []page{{Items: []int{1}, Next: "a"}}, "[1] 9"}, {0, []page{{}}, "[] 50"}, {-1, []page{{}}, "[] 50"},
		{2, []page{{Items: []int{1}, Next: "a", SearchedTo: &at}, {Total: new(int)}}, "[] 2 1a no disk"},
	} {
		asked := ""
		items, err := all(t.Context(), engine.Query{Limit: c.limit}, func(_ context.Context, q engine.Query) (page, error) {
			asked += fmt.Sprint(" ", q.Limit, q.After)
			p := c.pages[0]
			if c.pages = c.pages[1:]; p.Total != nil {
				return page{Items: []int{9}}, failure
			}
			return p, nil
		})
		got := fmt.Sprint(items, asked)
		if err != nil {
			got += " " + err.Error()
		}
		if got != c.want || (items == nil) != (err != nil) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestTheTotalOfAPageIsBounded(t *testing.T) {
	for _, c := range []struct {
		n, total   int
		more, want bool
	}{{3, 3, false, false}, {3, 3, true, true}, {100_000, 100_000, false, false}, {100_001, 100_000, false, true}} {
		var p engine.Page[int]
		if counted(&p, c.n, c.more); *p.Total != c.total || p.TotalMore != c.want {
			t.Errorf("%+v: %d, more %t", c, *p.Total, p.TotalMore)
		}
	}
	at := time.Now()
	for _, c := range []struct {
		q            engine.Query
		p            engine.Page[int]
		costly, want bool
		more         bool
	}{
		{engine.Query{}, engine.Page[int]{}, false, false, false},
		{engine.Query{}, engine.Page[int]{Items: []int{1}}, false, true, false},
		{engine.Query{Ascending: true}, engine.Page[int]{Items: []int{1}}, false, true, false},
		{engine.Query{Ascending: true}, engine.Page[int]{Items: []int{1}}, true, false, false},
		{engine.Query{After: "a"}, engine.Page[int]{Items: []int{1}}, false, false, false},
		{engine.Query{}, engine.Page[int]{Items: []int{1}, Next: "b"}, false, false, false},
		{engine.Query{}, engine.Page[int]{Items: []int{1}, Next: "b", SearchedTo: &at}, true, true, true},
	} {
		p := c.p
		if got := shownAll(c.q, &p, c.costly); got != c.want || (p.Total != nil) != c.want || p.TotalMore != c.more {
			t.Errorf("%+v: %t, %+v", c, got, p)
		}
		if c.want && *p.Total != 1 {
			t.Errorf("%+v: a total of %d", c, *p.Total)
		}
	}
}

// Dead runs and failed rules have one order. A page ends where either of them continues.
func TestFailedRulesAreMergedIntoDeadRuns(t *testing.T) {
	at := time.Now()
	items := func(ids ...string) (out []engine.DeadLetter) {
		for _, id := range ids {
			out = append(out, engine.DeadLetter{RunItem: engine.RunItem{ID: id}})
		}
		return out
	}
	for _, c := range []struct {
		runs, rules []engine.DeadLetter
		next        string
		paused      bool
		limit       int
		want        string
	}{
		{nil, nil, "", false, 2, ""}, {nil, nil, "run_4", true, 2, "| run_4 paused"},
		{items("run_9", "run_5"), items("evt_7"), "", false, 9, "run_9 evt_7 run_5"},
		{items("run_9", "run_5"), items("evt_7", "evt_3"), "run_5", false, 2, "run_9 evt_7 | evt_7"},
		{items("run_9", "run_5"), items("evt_3"), "run_5", false, 2, "run_9 run_5 | run_5"},
		{items("run_9"), items("evt_5", "evt_4"), "run_5", true, 9, "run_9 evt_5 | run_5 paused"},
		{items("run_9"), items("evt_8", "evt_8", "evt_8", "evt_7"), "", false, 2, "run_9 evt_8 evt_8 evt_8 | evt_8"},
		{items("run_9"), items("evt_8", "evt_8"), "", false, 3, "run_9 evt_8 evt_8"},
		{items("run_9"), items("evt_8", "evt_8", "evt_8"), "", false, 3, "run_9 evt_8 evt_8 evt_8 | evt_8"},
		{nil, items("evt_8", "evt_7"), "", false, 2, "evt_8 evt_7 | evt_7"},
		{nil, items("evt_8"), "run_2", true, 1, "evt_8 | evt_8"},
	} {
		p := engine.Page[engine.DeadLetter]{Items: c.runs, Next: c.next}
		if c.paused {
			p.SearchedTo = &at
		}
		p = mergeDead(p, c.rules, c.limit)
		var got []string
		for _, x := range p.Items {
			got = append(got, x.ID)
		}
		if p.Next != "" {
			got = append(got, "|", p.Next)
		}
		if p.SearchedTo != nil {
			got = append(got, "paused")
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s; want %s", strings.Join(got, " "), c.want)
		}
	}
}

func TestCountedHoursAreNotCountedAgain(t *testing.T) {
	if hourOf(hourID(7)) != 7 || hourOf(hourID(8)-1) != 7 || hourID(1) != int64(3_600_000)<<21 {
		t.Errorf("hour 7 begins at id %d", hourID(7))
	}
	at := func(hour int64, more int64) int64 { return hourID(hour) + more }
	for _, c := range []struct {
		hours     countedHours
		low, high int64
		want      [][2]int64
	}{
		{countedHours{}, 3, 9, [][2]int64{{3, 9}}}, {countedHours{5, 5}, 3, 9, [][2]int64{{3, 9}}}, {countedHours{6, 5}, 3, 9,
			[][2]int64{{3, 9}}},
		{countedHours{5, 7}, at(4, 9), at(7, 3), [][2]int64{{at(4, 9), at(5, 0)}, {at(7, 0), at(7, 3)}}},
		{countedHours{5, 7}, at(5, 0), at(7, 0), nil}, {countedHours{5, 7}, at(5, -1), at(7, 1), [][2]int64{{at(5, -1), at(5, 0)}, {at(7,
			0), at(7, 1)}}},
	} {
		if got := c.hours.rest(c.low, c.high); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
	s := openTest(t)
	for _, hour := range []int{3, 5, 6, 7, 9} {
		execTest(t, s, fmt.Sprintf(`INSERT INTO hour_counts (kind, name, hour, n) VALUES ('event', '', %[1]d, 6), ('event', 'a', %[1]d, %[1]d),
			('run', 'a', %[1]d, 100), ('webhook', '', %[1]d, 100)`, hour))
	}
	h := s.History()
	for _, c := range []struct {
		low, high int64
		want      countedHours
	}{
		{0, at(8, 0), countedHours{5, 8}}, {at(5, 0), at(8, 0), countedHours{5, 8}}, {at(5, 1), at(8, 0), countedHours{6, 8}},
		{at(6, 0), at(7, 5), countedHours{6, 7}}, {0, math.MaxInt64, countedHours{9, 10}}, {at(8, 0), at(9, 9), countedHours{}},
		{0, at(5, 0), countedHours{3, 4}},
	} {
		got, err := h.counted(t.Context(), c.low, c.high)
		if err != nil || got != c.want {
			t.Errorf("from hour %d: %+v, want %+v, %v", hourOf(c.low), got, c.want, err)
		}
	}
	// The rows of the counted hours are gone, so that the counts alone give their number.
	execTest(t, s, fmt.Sprintf(`INSERT INTO events (id, trigger, inlet, key, type, flag, time, received_at, body, crc)
		SELECT %d + value, 'a', 'webhook', value, '', '', 1, 1, x'', 0 FROM json_each('[0,1,2]')`, at(8, 0)))
	for _, c := range []struct {
		hours countedHours
		want  int
	}{{countedHours{}, 3}, {countedHours{5, 8}, 3 + 5 + 6 + 7}, {countedHours{5, 9}, 5 + 6 + 7}} {
		n, err := h.countSince(t.Context(), c.hours, "event", "a", eventsBetween, at(5, 0))
		if err != nil || n != c.want {
			t.Errorf("%+v: %d events, want %d, %v", c.hours, n, c.want, err)
		}
	}
	if _, err := h.countSince(t.Context(), countedHours{5, 8}, "event", "a", `SELECT none`, 0); err == nil {
		t.Error("a count that fails has no error")
	}
	execTest(t, s, `ALTER TABLE hour_counts RENAME TO gone`)
	if _, err := h.countSince(t.Context(), countedHours{5, 8}, "event", "a", eventsBetween, 0); err == nil {
		t.Error("the count of the hours fails without an error")
	}
}

func TestABadRowIsReportedWithItsRemedy(t *testing.T) {
	for want, b := range map[string]BadRow{
		"run_1: odd: hookloom replay run_1 runs it again":                                           {Of: "run_1", What: "odd"},
		"run_1: odd: it ends as a dead letter when it continues; hookloom cancel run_1 ends it now": {Of: "run_1", What: "odd", Open: true},
		"evt_1: odd: its runs end as dead letters; ask its sender to send it again":                 {Of: "evt_1", What: "odd", Open: true},
		"evt_2: odd: its runs end as dead letters; ask its sender to send it again":                 {Of: "evt_2", What: "odd"},
	} {
		if b.String() != want {
			t.Errorf("%s, want %s", b, want)
		}
	}
	if b, wrong := badRow("run_1", true, nil); wrong || b != (BadRow{}) {
		t.Errorf("a good row: %+v", b)
	}
	if b, wrong := badRow("run_1", true, errors.Join(errors.New("a"), errors.New("b"))); !wrong || b != (BadRow{"run_1", "a; b", true}) {
		t.Errorf("a bad row: %+v", b)
	}
}

// Each kind of row is read; at most ten bad ones of each kind are listed.
func TestUnreadableRowsAreListed(t *testing.T) {
	s := openTest(t)
	execTest(t, s, `INSERT INTO runs (id, event_id, workflow, version, status, created_at, started_at, finished_at, output)
		SELECT value, 1, 'w', 'v', 'succeeded', 1, 1, 2, CASE WHEN value > 1 THEN '{' END FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12]')`,
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at, due_at) VALUES (20, 1, 'w', 'v', 'queued', 1, 1)`,
		`INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at, output, error) VALUES
		(1, 'good', 1, 'a', 'succeeded', 1, 2, '{}', NULL), (1, 'a', 1, 'a', 'failed', 1, 2, NULL, '{'), (20, 'b', 1, 'a', 'succeeded',
			1, 2, '[', NULL)`,
		`INSERT INTO answers (run_id, path, attempt, verdict, said_by, comment, output, at) VALUES (1, 'c', 1, 'approve', '', '', '{', 1),
		(20, 'd', 1, 'approve', '', '', '{}', 1)`,
		`INSERT INTO events (id, trigger, inlet, key, type, flag, time, received_at, body, crc) VALUES (7, 'a', 'webhook', 'k', '', '',
			1, 1, x'00', 1)`)
	bad, n, err := s.History().Unreadable(t.Context())
	if err != nil || n != 13+3+2+1 || len(bad) != 10+2+1+1 {
		t.Fatalf("%d bad of %d: %v, %v", len(bad), n, bad, err)
	}
	for i, want := range map[int]BadRow{0: {engine.RunID(2).String(), "its output: ", false}, 10: {engine.RunID(1).String(),
		"the error of step a: ", false},
		11: {engine.RunID(20).String(), "the output of step b: ", true}, 12: {engine.RunID(1).String(), "the answer to step c: ", false},
		13: {engine.EventID(7).String(), "", true}} {
		if bad[i].Of != want.Of || !strings.HasPrefix(bad[i].What, want.What) || bad[i].Open != want.Open {
			t.Errorf("row %d: %+v, want %+v", i, bad[i], want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if bad, n, err := s.History().Unreadable(ctx); bad != nil || n != 0 || err != nil {
		t.Errorf("without time: %v, %d, %v", bad, n, err)
	}
	execTest(t, s, `DROP TABLE answers`)
	if bad, n, err := s.History().Unreadable(t.Context()); err == nil || len(bad) != 12 || n != 16 {
		t.Errorf("without a table: %v, %d, %v", bad, n, err)
	}
}

// The time of a run or step is split into working and waiting; neither grows after its end.
func TestTimesOfRunsAndSteps(t *testing.T) {
	s := openTest(t)
	now := time.Now().UnixMilli()
	execTest(t, s, fmt.Sprintf(`INSERT INTO runs (id, event_id, workflow, version, status, created_at, started_at, finished_at,
		due_at, active_ms) VALUES
		(1, 1, 'w', 'v', 'succeeded', 1000, 1100, 1900, NULL, 300), (2, 1, 'w', 'v', 'failed', 1000, 1100, 1200, NULL, 300),
		(3, 1, 'w', 'v', 'running', 1000, 1100, NULL, NULL, 300), (4, 1, 'w', 'v', 'waiting', %d, %[1]d, NULL, 5, 300)`, now-60_000),
		fmt.Sprintf(`INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at, waited_ms) VALUES
		(1, 'a', 1, 'x', 'succeeded', 1000, 1500, 200), (1, 'b', 1, 'x', 'succeeded', 1000, 1100, 200), (1, 'c', 1, 'x', 'succeeded',
			1000, 1100, NULL),
		(4, 'a', 1, 'x', 'waiting', %d, NULL, 0)`, now-60_000))
	for id, want := range map[engine.RunID][4]int64{1: {300, 600, 1100, 1900}, 2: {300, 0, 1100, 1200}, 3: {300, 0, 1100, 0}} {
		it, err := s.History().RunOne(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		got := [4]int64{it.WorkedMS, it.WaitedMS, it.StartedAt.UnixMilli(), 0}
		if it.FinishedAt != nil {
			got[3] = it.FinishedAt.UnixMilli()
		}
		if got != want {
			t.Errorf("run %d: %v, want %v", id, got, want)
		}
	}
	const most = 10_000 // for a slow machine
	it, err := s.History().RunOne(t.Context(), 4)
	if wait := it.WaitedMS - 59_700; err != nil || wait < 0 || wait > most || it.DueAt.UnixMilli() != 5 {
		t.Errorf("a waiting run: %+v, %v", it, err)
	}
	steps, err := s.History().Steps(t.Context(), 1)
	for i, want := range [][2]int64{{300, 200}, {0, 200}, {100, 0}} {
		if err != nil || len(steps) != 3 || steps[i].WorkedMS != want[0] || steps[i].WaitedMS != want[1] ||
			steps[i].StartedAt.UnixMilli() != 1000 {
			t.Fatalf("step %d: %+v, want %v, %v", i, steps, want, err)
		}
	}
	steps, err = s.History().Steps(t.Context(), 4)
	if wait := steps[0].WaitedMS - 60_000; err != nil || wait < 0 || wait > most || steps[0].WorkedMS != 0 || steps[0].FinishedAt != nil {
		t.Errorf("a waiting step: %+v, %v", steps, err)
	}
	for text, want := range map[string]string{"null": "null", "": `""`, "{": `"{"`, "[1]": "[1]"} {
		if got := rawColumn(sql.NullString{String: text, Valid: true}); string(got) != want {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
	if got := rawColumn(sql.NullString{String: "1"}); string(got) != "null" {
		t.Errorf("nothing is shown as %s", got)
	}
}
