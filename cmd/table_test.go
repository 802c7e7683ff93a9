package cmd

import (
	"strings"
	"testing"
)

// TestColumnsAreAligned checks the width of a text on a terminal: wide characters take two
// columns, combining marks none.
func TestColumnsAreAligned(t *testing.T) {
	t.Parallel()
	x := newTable("NAME", "STATE", "WHY")
	x.row("order", "failed", "answered 500")
	x.row("注文", "ok", "")
	x.row("cafe\u0301", "ok", "e and a mark")
	x.row("📦 box", "waiting", "an \x1b[31mescape")
	var out strings.Builder
	if err := x.print(&out); err != nil {
		t.Fatal(err)
	}
	want := "NAME    STATE    WHY\n" +
		"order   failed   answered 500\n" +
		"注文    ok\n" +
		"cafe\u0301    ok       e and a mark\n" +
		"📦 box  waiting  an \ufffd[31mescape\n"
	if out.String() != want {
		t.Errorf("came:\n%s\nwanted:\n%s", out.String(), want)
	}
}
