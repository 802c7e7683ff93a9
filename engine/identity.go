package engine

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Identity is what names an event: what makes two deliveries one event.
type Identity int

// The ways in which an event comes by its key. Their numbers are stored.
const (
	// Unnamed are events of older builds, of schedules and of people.
	Unnamed Identity = iota
	// ByKey is the key: of the trigger.
	ByKey
	// ByProvider is the key of the provider's preset.
	ByProvider
	// ByHeader is an id header that senders without a preset commonly send.
	ByHeader
	// ByContent is everything that was sent: nothing names the event.
	ByContent
)

// identityWords are the words of the API and of lists.
var identityWords = [...]string{"", "key", "provider", "header", "content"}

// String gives key, provider, header or content; empty for events that need none.
func (i Identity) String() string {
	if i < 0 || int(i) >= len(identityWords) {
		return ""
	}
	return identityWords[i]
}

// SameBody says what an equal body under another key means.
type SameBody int

// The meanings of an equal body.
const (
	// BodyIgnored is for senders whose key cannot be changed by who repeats them.
	BodyIgnored SameBody = iota
	// BodyMarked makes another event, marked with the one that it equals: the key is
	// not signed, so that it may be a replay.
	BodyMarked
	// BodyDuplicate makes it a delivery of the same event (replays: body).
	BodyDuplicate
)

// Conflict is a later delivery of an event whose body or type differs.
type Conflict struct {
	ID    string  `json:"id"`
	Event EventID `json:"-"`
	// At is when it came first, Count how often.
	At    time.Time `json:"at"`
	Count int       `json:"count"`
	Type  string    `json:"type"`
	// Key is its own, which differs from the event's where the signature was the same.
	Key  string `json:"key"`
	Size int    `json:"size"`
	// Differences are the paths at which its data is not the event's, with both values.
	Differences map[string]any `json:"differences,omitempty"`
	// Admitted is the event that it became; empty while it is none.
	Admitted string `json:"admitted,omitempty"`
	// Delivery is what came.
	Delivery *Delivery `json:"-"`
}

// Compare fills in where the data of a conflicting delivery differs from its event's.
func (c *Conflict) Compare(first *Event) {
	c.Differences = map[string]any{}
	if c.Type != first.Type {
		c.Differences["type"] = []any{first.Type, c.Type}
	}
	if first.Stripped || c.Delivery == nil || len(c.Delivery.Raw)+len(first.Raw) > maxCompared {
		return
	}
	a, err := first.Names()
	if err != nil {
		return
	}
	b, err := (&Event{ID: first.ID, Delivery: *c.Delivery}).Names()
	if err != nil {
		return
	}
	Differences("", a["data"], b["data"], c.Differences)
}

// maxCompared is the size in bytes of two bodies up to which they are compared.
const maxCompared = 4 << 20

// Marks says in a few words what is unusual about how the event was named.
func (i EventItem) Marks() []string {
	var out []string
	if i.Identity == ByContent.String() {
		out = append(out, "by content")
	}
	if i.RepeatsBodyOf != "" {
		out = append(out, "same body as "+i.RepeatsBodyOf)
	}
	if i.Conflicts > 0 {
		out = append(out, fmt.Sprintf("%d conflicting", i.Conflicts))
	}
	return out
}

const conflictPrefix = "cfl_"

// ConflictID names a conflicting delivery: cfl_ and a number.
func ConflictID(n int64) string { return conflictPrefix + strconv.FormatInt(n, 10) }

// ParseConflictID reads cfl_ and a number.
func ParseConflictID(s string) (int64, error) {
	text, ok := strings.CutPrefix(s, conflictPrefix)
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not the id of a conflicting delivery: cfl_ and a number", s)
	}
	return n, nil
}
