package engine

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// InletState is how far a poll or a schedule has come.
type InletState struct {
	// Cursor is JSON, nil before the first poll.
	Cursor json.RawMessage
	// Rest is what a poll remembers beside it, as JSON: where it stopped in a list that
	// goes on. Nil when there is nothing.
	Rest           json.RawMessage
	ETag, Modified string
	// AskedAt is when it was asked last, or the last planned time of a schedule; zero
	// when never. OKAt is when it last answered.
	AskedAt, OKAt time.Time
	// Failures counts those in a row since.
	Failures int
	Error    string
	// RetryAt is when the service wants to be asked again; zero when it did not say.
	RetryAt time.Time
	// Timetable is the cron or interval by which a poll was asked last; empty where
	// that was not noted. An edit changes it.
	Timetable string
}

// PollBatch is what one poll found, to be stored in one transaction with how far
// it has come.
type PollBatch struct {
	Trigger, Inlet string
	State          InletState
	// Items are those found, new or not, in the order of the answer.
	Items []*Delivery
	// Remember makes them known without an event: the first poll of a trigger.
	// Observe only notes them, to measure the webhook.
	Remember, Observe bool
	// New are the keys of items that came while the first poll was under way: they are
	// events though Remember is set.
	New  map[string]bool
	Cost PollCost
}

// KnownItem is what the store knows of the key of a polled item.
type KnownItem struct {
	// Remembered tells that the first poll of the trigger found it.
	Remembered bool
	// Event is the event that has the key within its time; 0 for none. Polled tells that a
	// poll brought it, or found it before; Gone that the event itself was pruned.
	Event        EventID
	Polled, Gone bool
}

// ItemFate is what becomes of an item of a poll.
type ItemFate int

// The fates of items.
const (
	// ItemAccepted is stored as any delivery is: as a new event, or as a further delivery of
	// one that a webhook brought.
	ItemAccepted ItemFate = iota
	// ItemRemembered and ItemObserved are noted and make no event.
	ItemRemembered
	ItemObserved
	// ItemKnown was there at an earlier poll. It stays known as long as a list holds it.
	ItemKnown
	// ItemMine is the event that an earlier call of the same poll stored.
	ItemMine
)

// Noted tells that an item makes no event whatever is known of it.
func (b *PollBatch) Noted(d *Delivery) (ItemFate, bool) {
	switch {
	case b.Remember && !b.New[d.Key]:
		return ItemRemembered, true
	case b.Observe:
		return ItemObserved, true
	}
	return ItemAccepted, false
}

// Fate decides what becomes of an item that is to be stored under an id. It is pure: the
// store asks it inside of its transaction.
func (k KnownItem) Fate(id EventID, d *Delivery) ItemFate {
	switch {
	case d.Inlet != workflows.InletPoll: // a schedule's: its key is its time
		return ItemAccepted
	case k.Remembered:
		return ItemKnown
	case k.Event == id:
		return ItemMine
	case k.Event != 0 && (k.Polled || k.Gone):
		return ItemKnown // the same item comes with every poll; it is one delivery
	}
	return ItemAccepted
}

// PollCost is what a poll cost.
type PollCost struct {
	Requests int
	// Bytes were received.
	Bytes int64
	// Outcome is ok, unchanged or failed.
	Outcome string
	Took    time.Duration
	// Quota is what the provider's headers say is left, such as 4870/5000.
	Quota string
}

// Firing is one planned time of a schedule.
type Firing struct {
	Trigger, Inlet string
	Planned        time.Time
	// Timetable is the text of the schedule's times as JSON; an edit changes it.
	Timetable json.RawMessage
	// SetBack is what the schedule remembers of a clock that was set back, as JSON.
	SetBack json.RawMessage
	// Delivery is the event of that time; nil only notes how far the schedule has come.
	Delivery *Delivery
}

// maxDifferences bounds what is kept of how two deliveries differ.
const maxDifferences = 50

// Differences collects the paths at which two values differ, with both.
func Differences(path string, a, b any, into map[string]any) {
	if len(into) >= maxDifferences {
		return
	}
	x, ok := a.(map[string]any)
	y, too := b.(map[string]any)
	if ok && too {
		for _, k := range slices.Sorted(maps.Keys(x)) {
			Differences(strings.TrimPrefix(path+"."+k, "."), x[k], y[k], into)
		}
		for _, k := range slices.Sorted(maps.Keys(y)) {
			if _, there := x[k]; !there {
				Differences(strings.TrimPrefix(path+"."+k, "."), nil, y[k], into)
			}
		}
		return
	}
	if reflect.DeepEqual(a, b) {
		return
	}
	if path == "" {
		path = "data"
	}
	into[path] = []any{value.Cut(a), value.Cut(b)}
}
