package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Watch receives what happens, for metrics and traces. It is called on the hot path, by many
// goroutines at once, and must be fast.
type Watch interface {
	// Stored reports that a delivery is on disk: as an event, or as a further delivery of a known
	// one.
	Stored(d *Delivery, r Receipt)
	// Changed reports that a change of a decision or a run became durable.
	Changed(Change)
	// Alerted reports an alert, each time.
	Alerted(Alert)
	// Polled reports the cost of a poll and how many events were new.
	Polled(b *PollBatch, fresh int)
	// Traces reports whether attempts should carry a traceparent of ours.
	Traces() bool
}

// Trace is the trace of an event from its delivery to its last step (W3C Trace Context). It is
// computed from stored data, never kept in memory, so that one trace spans a crash, or a sleep of a
// year.
type Trace struct {
	ID [16]byte
	// Parent is the sender's span; zero if the trace begins here.
	Parent [8]byte
	// Sampled is the sender's flag, true if the trace begins here.
	Sampled bool
}

// ServedRequest is a request to the hooks address whose events were stored, after its response.
type ServedRequest struct {
	Trigger, Method string
	// Route is the trigger's path, Path the path of the request without a secret in it.
	Route, Path string
	// URL is the request's public URL; only its scheme and host are used.
	URL    string
	Status int
	// Headers are those of the deliveries, of which Events are the events.
	Headers    map[string]string
	Events     []EventID
	ReceivedAt time.Time
}

// RequestSpan is the span of a request in the trace of one of its events. It is computed from the
// delivery too, so that the delivery's span is below it.
func RequestSpan(of Trace, receivedAt time.Time) [8]byte {
	return Span("request", hex.EncodeToString(of.ID[:]), receivedAt.UTC().Format(time.RFC3339Nano))
}

// TraceOf returns the trace of an event: the sender's if its delivery had a traceparent, else a new
// one.
func TraceOf(event EventID, headers map[string]string) Trace {
	if t, ok := parseTraceparent(headers["traceparent"]); ok {
		return t
	}
	t := Trace{Sampled: true}
	sum := sha256.Sum256([]byte("hookloom trace " + event.String()))
	copy(t.ID[:], sum[:])
	return t
}

// Span returns the span id of a part of an event's processing: the delivery (no further names), a
// run, or an attempt of a step.
func Span(names ...string) (id [8]byte) {
	sum := sha256.Sum256([]byte("hookloom span " + strings.Join(names, "|")))
	copy(id[:], sum[:])
	return id
}

// AttemptSpan is the span of one attempt.
func AttemptSpan(run RunID, path string, attempt int) [8]byte {
	return Span(run.String(), path, fmt.Sprint(attempt))
}

// Header writes the traceparent that an attempt carries.
func (t Trace) Header(span [8]byte) string {
	flags := "00"
	if t.Sampled {
		flags = "01"
	}
	return "00-" + hex.EncodeToString(t.ID[:]) + "-" + hex.EncodeToString(span[:]) + "-" + flags
}

// parseTraceparent parses version 00 of the header, and the common part of later versions (W3C
// Trace Context, 3.2).
func parseTraceparent(s string) (t Trace, ok bool) {
	parts := strings.Split(s, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 || len(parts[1]) != 32 ||
		len(parts[2]) != 16 || len(parts[3]) != 2 || strings.ToLower(s) != s {
		return t, false
	}
	var flags [1]byte
	for i, into := range [][]byte{t.ID[:], t.Parent[:], flags[:]} {
		if _, err := hex.Decode(into, []byte(parts[i+1])); err != nil {
			return Trace{}, false
		}
	}
	t.Sampled = flags[0]&1 == 1
	return t, t.ID != [16]byte{} && t.Parent != [8]byte{}
}

type traceparentKey struct{}

// Traceparent is the header for a request made under ctx; empty for none.
func Traceparent(ctx context.Context) string {
	s, _ := ctx.Value(traceparentKey{}).(string)
	return s
}

// WithTraceparent returns a context in which Traceparent finds a header.
func WithTraceparent(ctx context.Context, header string) context.Context {
	return context.WithValue(ctx, traceparentKey{}, header)
}
