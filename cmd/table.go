package cmd

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mattn/go-runewidth"
)

// table prints aligned columns. It escapes cells for a terminal, since payloads may contain escape
// sequences.
type table struct{ rows [][]string }

func newTable(head ...string) *table { return &table{rows: [][]string{head}} }

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// print writes the rows. A column is as wide as its widest cell on a terminal, where Chinese
// characters and emoji take two columns; the last cell of a row is not padded.
func (t *table) print(w io.Writer) error {
	var widths []int
	for _, r := range t.rows {
		for i, cell := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	for _, r := range t.rows {
		var line strings.Builder
		for i, cell := range r {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-runewidth.StringWidth(cell)+columnGap))
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// columnGap is how many spaces are between two columns.
const columnGap = 2

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

// shownIn is the time zone of the project loaded last; nil if there is none yet.
var shownIn atomic.Pointer[time.Location]

// zone returns the time zone in which times are shown, and parsed if they name none.
func zone() *time.Location {
	if z := shownIn.Load(); z != nil {
		return z
	}
	return time.UTC
}

// clock formats a time with its offset, in a form that --since accepts.
func clock(t time.Time) string { return t.In(zone()).Format("2006-01-02 15:04:05.000Z07:00") }

func clockPointer(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return clock(*t)
}
