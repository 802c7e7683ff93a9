package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// WaitKinds are what runs wait for: an approval, a review of an attempt in doubt, an event, the end
// of a called run, a destination, the end of a sleep, the next retry, a slot in their concurrency
// group, their rate, their workflow to be switched on, more events (debounce or batch), or a free
// worker slot.
var WaitKinds = []string{"approval", "review", "event", "call", "destination", "sleep", "retry", "concurrency", "rate",
	"switch", "gathering", "slot"}

// ErrorCodes are the error codes of the engine and its actions; a workflow may add others.
var ErrorCodes = []string{"address_not_allowed", "bad_answer", "bad_data", "call_cancelled", "call_failed", "call_timed_out",
	"cancelled", "cancelled_by_event", "cannot_call",
	"cannot_run", "chain_too_deep", "conflict", "deadline", "destination_down", "dropped", "endless_list", "endpoint_paused", "expression",
	"fail", "failed", "file", "files", "files_full", "gone", "http_status", "interrupted", "invalid_connection", "invalid_input",
	"invalid_request", "jq", "network", "no_connection", "no_credential", "no_file", "not_a_number", "panic", "rejected", "replaced",
	"rule_failed", "schema", "secret", "smtp", "sql",
	"store_full", "timeout", "tls", "too_large", "unknown_trigger", "unreadable", "unsupported", "untested"}

// RefusalReasons are why deliveries are refused.
var RefusalReasons = []string{"address not allowed", "body is not signed", "body too large", "client certificate needed",
	"client certificate not allowed", "handshake refused",
	"key not available", "malformed handshake", "no such path", "origin not allowed", "requirement not met", InvalidFlag,
	"signature does not match", "signature malformed", "signature missing",
	"signed text can be read in two ways", "timestamp in the future", "timestamp missing or malformed", "timestamp too old", "wrong method"}

// DeadGroup is a group of dead letters with one cause.
type DeadGroup struct {
	// ID identifies the group as long as its cause is unchanged.
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Workflow string `json:"workflow"`
	Step     string `json:"step,omitempty"`
	Host     string `json:"host,omitempty"`
	Code     string `json:"code,omitempty"`
	// Cause is the message without its varying parts.
	Cause string `json:"cause"`
	Count int    `json:"count"`
	// First and Last are when the first and the last of them failed.
	First time.Time `json:"first_at"`
	Last  time.Time `json:"last_at"`
	// Versions is the number of dead letters per version of the workflow.
	Versions map[string]int `json:"versions"`
}

// withoutVarying replaces the parts of a message that differ between failures of one cause: ids of runs
// and events, keys of idempotency, numbers of four digits or with a fraction, quoted texts, and 12 or more
// hexadecimal digits. A regular expression takes 13 times as long, and a page groups 10,000 messages.
func withoutVarying(text string) string {
	var b strings.Builder
	kept := 0
	for i := 0; i < len(text); {
		n := varyingAt(text[i:])
		if n == 0 {
			i++
			continue
		}
		b.WriteString(text[kept:i])
		b.WriteString("…")
		i += n
		kept = i
	}
	if kept == 0 {
		return text
	}
	b.WriteString(text[kept:])
	return b.String()
}

func decimal(c byte) bool { return c >= '0' && c <= '9' }

func hexadecimal(c byte) bool { return decimal(c) || c >= 'a' && c <= 'f' }

func keyLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= '2' && c <= '7' }

// leading counts the first bytes of a text that are of a class.
func leading(text string, class func(byte) bool) (n int) {
	for n < len(text) && class(text[n]) {
		n++
	}
	return n
}

// varyingAt is the length of the varying part at the beginning of a text; 0 if there is none.
func varyingAt(text string) int {
	switch c := text[0]; {
	case c == 'r' && strings.HasPrefix(text, "run_"), c == 'e' && strings.HasPrefix(text, "evt_"):
		if leading(text[4:], hexadecimal) >= 16 {
			return 4 + 16
		}
	case c == 'h' && strings.HasPrefix(text, "hl_"):
		if leading(text[3:], keyLetter) >= 32 {
			return 3 + 32
		}
	case c == '"':
		if end := strings.IndexByte(text[1:], '"'); end >= 0 {
			return end + 2
		}
	case decimal(c):
		n := leading(text, decimal)
		if n >= 4 {
			return n
		}
		if n+1 < len(text) && text[n] == '.' && decimal(text[n+1]) {
			return n + 1 + leading(text[n+1:], decimal)
		}
	}
	if n := leading(text, hexadecimal); n >= 12 {
		return n
	}
	return 0
}

// deadCause is what the dead letters of a group have in common.
type deadCause struct{ kind, workflow, step, host, code, text string }

func causeOf(d *DeadLetter) deadCause {
	return deadCause{d.Kind, d.Workflow, d.ErrorStep, d.Host, d.ErrorCode, withoutVarying(d.Error)}
}

// group returns the group of a cause, with all counts zero.
func (c deadCause) group() DeadGroup {
	sum := sha256.Sum256([]byte(strings.Join([]string{c.kind, c.workflow, c.step, c.host, c.code, c.text}, "\x00")))
	return DeadGroup{ID: hex.EncodeToString(sum[:6]), Kind: c.kind, Workflow: c.workflow, Step: c.step, Host: c.host, Code: c.code,
		Cause: c.text, Versions: map[string]int{}}
}

// GroupOf returns the group of a dead letter, with all counts zero.
func GroupOf(d DeadLetter) DeadGroup { return causeOf(&d).group() }

// DeadGroups groups dead letters by cause.
type DeadGroups struct{ by map[deadCause]*DeadGroup }

// Add adds n dead letters with the same cause, version and message as d. first and last are when they failed.
func (g *DeadGroups) Add(d *DeadLetter, n int, first, last time.Time) {
	c := causeOf(d)
	x := g.by[c]
	if x == nil {
		if g.by == nil {
			g.by = map[deadCause]*DeadGroup{}
		}
		group := c.group()
		x = &group
		g.by[c] = x
	}
	if x.Count == 0 || first.Before(x.First) {
		x.First = first
	}
	if last.After(x.Last) {
		x.Last = last
	}
	x.Count += n
	x.Versions[d.Version] += n
}

// List returns the groups, largest first.
func (g *DeadGroups) List() []DeadGroup {
	out := make([]DeadGroup, 0, len(g.by))
	for _, x := range g.by {
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b DeadGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last), strings.Compare(a.ID, b.ID))
	})
	return out
}
