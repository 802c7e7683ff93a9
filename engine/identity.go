package engine

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Identity is what identifies an event: what makes two deliveries one event.
type Identity int

// The origins of an event's key. Their numbers are stored.
const (
	// Unnamed are events of earlier builds, of schedules and of people.
	Unnamed Identity = iota
	// ByKey is the trigger's key:.
	ByKey
	// ByProvider is the key of the provider's preset.
	ByProvider
	// ByHeader is an id header commonly sent by senders without a preset.
	ByHeader
	// ByContent is the entire content: nothing identifies the event.
	ByContent
)

// identityWords are their names in the API and in lists.
var identityWords = [...]string{"", "key", "provider", "header", "content"}

// String returns key, provider, header or content; empty for events that need none.
func (i Identity) String() string {
	if i < 0 || int(i) >= len(identityWords) {
		return ""
	}
	return identityWords[i]
}

// SameBody is the meaning of an equal body under another key.
type SameBody int

// The meanings of an equal body.
const (
	// BodyIgnored is for senders whose key cannot be changed by someone who repeats a delivery.
	BodyIgnored SameBody = iota
	// BodyMarked makes another event, marked with the one whose body it has: the key is not signed,
	// so it may be a replay.
	BodyMarked
	// BodyDuplicate makes it a delivery of the same event (replays: body).
	BodyDuplicate
)

// Conflict is a later delivery of an event whose body or type differs.
type Conflict struct {
	ID    string  `json:"id"`
	Event EventID `json:"-"`
	// At is when it first arrived, Count how often.
	At    time.Time `json:"at"`
	Count int       `json:"count"`
	Type  string    `json:"type"`
	// Key is its own key, which differs from the event's if the signature was the same.
	Key  string `json:"key"`
	Size int    `json:"size"`
	// Differences are the paths at which its data differs from the event's, with both values.
	Differences map[string]any `json:"differences,omitempty"`
	// Admitted is the event that it became; empty for none.
	Admitted string `json:"admitted,omitempty"`
	// Delivery is the stored delivery.
	Delivery *Delivery `json:"-"`
}

// Compare fills in where the data of a conflicting delivery differs from the event's.
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

// maxCompared is the largest total size in bytes of two bodies that are compared.
const maxCompared = 4 << 20

// Marks lists in a few words what is unusual about the event's identity.
func (i EventItem) Marks() []string {
	var out []string
	if i.Test {
		out = append(out, "test")
	}
	if i.Identity == ByContent.String() {
		out = append(out, "by content")
	}
	if i.RepeatsBodyOf != "" {
		out = append(out, "same body as "+i.RepeatsBodyOf)
	}
	if i.Conflicts > 0 {
		out = append(out, fmt.Sprintf("%d conflicting", i.Conflicts))
	}
	if i.Invalid() {
		out = append(out, InvalidFlag)
	}
	return out
}

const conflictPrefix = "cfl_"

// ConflictID formats the id of a conflicting delivery: cfl_ and a number.
func ConflictID(n int64) string { return conflictPrefix + strconv.FormatInt(n, 10) }

// ParseConflictID parses cfl_ and a number.
func ParseConflictID(s string) (int64, error) {
	text, ok := strings.CutPrefix(s, conflictPrefix)
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not the ID of a conflicting delivery (expected cfl_ and a number)", s)
	}
	return n, nil
}
