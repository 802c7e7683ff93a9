package engine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// TestTraceContinuesFromTheSender: the header of an attempt has the sender's trace and wish
// (W3C Trace Context, 3.2).
func TestTraceContinuesFromTheSender(t *testing.T) {
	t.Parallel()
	span := engine.Span("x")
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for header, want := range map[string]string{
		"00-" + id + "-" + parent + "-01":       "01",
		"00-" + id + "-" + parent + "-00":       "00",
		"00-" + id + "-" + parent + "-03":       "01",
		"00-" + id + "-" + parent + "-02":       "00",
		"cc-" + id + "-" + parent + "-01-later": "01",
		"cc-" + id + "-" + parent + "-01":       "01",
	} {
		tr := engine.TraceOf(1, map[string]string{"traceparent": header})
		got := tr.Header(span)
		if !strings.HasPrefix(got, "00-"+id+"-") || !strings.HasSuffix(got, "-"+want) || strings.Contains(got, parent) || len(got) != 55 {
			t.Errorf("%s: %s", header, got)
		}
		if tr.Parent == [8]byte{} {
			t.Errorf("%s: the sender's span is not kept", header)
		}
	}
}

// TestInvalidTraceparentStartsANewTrace, the same one each time it is asked for, and
// another one for each event.
func TestInvalidTraceparentStartsANewTrace(t *testing.T) {
	t.Parallel()
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	own := engine.TraceOf(7, nil)
	if own.ID == [16]byte{} || own.Parent != [8]byte{} || !own.Sampled || own == engine.TraceOf(8, nil) {
		t.Errorf("%+v", own)
	}
	for _, header := range []string{"", "00", "00-" + id + "-" + parent, "00-" + id + "-" + parent + "-01-more",
		"ff-" + id + "-" + parent + "-01", "0-" + id + "-" + parent + "-01", "000-" + id + "-" + parent + "-01",
		"00-" + id[:31] + "-" + parent + "-01", "00-" + id + "0-" + parent + "-01", "00-" + id + "-" + parent[:15] + "-01",
		"00-" + id + "-" + parent + "0-01", "00-" + id + "-" + parent + "-1", "00-" + id + "-" + parent + "-011",
		"00-" + strings.ToUpper(id) + "-" + parent + "-01", "00-" + strings.Repeat("0", 32) + "-" + parent + "-01",
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01", "00-" + strings.Repeat("g", 32) + "-" + parent + "-01",
		"00-" + id + "-" + strings.Repeat("g", 16) + "-01", "00-" + id + "-" + parent + "-gg"} {
		if got := engine.TraceOf(7, map[string]string{"traceparent": header}); got != own {
			t.Errorf("%q: %+v", header, got)
		}
	}
}

// TestSpansDiffer between the parts of an event's processing, and are the same after a restart.
func TestSpansDiffer(t *testing.T) {
	t.Parallel()
	seen := map[[8]byte]bool{{}: true}
	for _, id := range [][8]byte{engine.Span("evt"), engine.Span("run"), engine.AttemptSpan(1, "a", 1), engine.AttemptSpan(1, "a", 2),
		engine.AttemptSpan(1, "b", 1), engine.AttemptSpan(2, "a", 1)} {
		if seen[id] {
			t.Errorf("%x is there twice, or zero", id)
		}
		seen[id] = true
	}
	if first, again := engine.AttemptSpan(1, "a", 1), engine.AttemptSpan(1, "a", 1); first != again {
		t.Error("the same attempt has two spans")
	}
}

func TestARequestCarriesTheTraceparentOfItsContext(t *testing.T) {
	t.Parallel()
	ctx := engine.WithTraceparent(context.Background(), "00-x")
	if engine.Traceparent(ctx) != "00-x" || engine.Traceparent(context.Background()) != "" {
		t.Errorf("%q, %q", engine.Traceparent(ctx), engine.Traceparent(context.Background()))
	}
}
