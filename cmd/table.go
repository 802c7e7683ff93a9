package cmd

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// table prints aligned columns. Cells are made safe for a terminal: payloads
// reach it, and an escape sequence in one must not.
type table struct{ rows [][]string }

func newTable(head ...string) *table { return &table{rows: [][]string{head}} }

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

func (t *table) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, r := range t.rows {
		if _, err := fmt.Fprintln(tw, strings.TrimRight(strings.Join(r, "\t"), "\t ")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// printable replaces control characters and direction marks.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return '\ufffd'
		}
		return r
	}, s)
}

// shownIn is the timezone of the project that was loaded last; nil for none yet.
var shownIn atomic.Pointer[time.Location]

// zone is the timezone in which times are shown, and read where they name none.
func zone() *time.Location {
	if z := shownIn.Load(); z != nil {
		return z
	}
	return time.UTC
}

// clock writes a moment with its offset, in a form that --since takes.
func clock(t time.Time) string { return t.In(zone()).Format("2006-01-02 15:04:05.000Z07:00") }

func clockPointer(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return clock(*t)
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
