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

// InletState is the progress of a poll or a schedule.
type InletState struct {
	// Cursor is JSON, nil before the first poll.
	Cursor json.RawMessage
	// Rest is further state of a poll, as JSON: where it stopped in a list that continues. Nil for
	// none.
	Rest           json.RawMessage
	ETag, Modified string
	// AskedAt is when the last request was made, or the last planned time of a schedule; zero for
	// never. OKAt is the time of the last successful response.
	AskedAt, OKAt time.Time
	// Failures is the number of consecutive failures.
	Failures int
	Error    string
	// RetryAt is the earliest next request that the service asked for; zero if it did not.
	RetryAt time.Time
	// Timetable is the cron expression or interval of the last request; empty if not recorded. It
	// changes with an edit.
	Timetable string
}

// PollBatch is what one poll found, to be stored in one transaction with its progress.
type PollBatch struct {
	Trigger, Inlet string
	State          InletState
	// Items are the items found, new or not, in the order of the response.
	Items []*Delivery
	// Remember makes them known without an event: the first poll of a trigger. Observe only records
	// them, to measure the webhook.
	Remember, Observe bool
	// New are the keys of items that appeared during the first poll: they are events even though
	// Remember is set.
	New  map[string]bool
	Cost PollCost
}

// KnownItem is what the store knows about the key of a polled item.
type KnownItem struct {
	// Remembered reports that the first poll of the trigger found it.
	Remembered bool
	// Event is the event that has the key within its dedupe time; 0 for none. Polled reports that a
	// poll delivered it, or found it before; Gone that the event itself was pruned.
	Event        EventID
	Polled, Gone bool
}

// ItemResult is what happens to an item of a poll.
type ItemResult int

// The results for items.
const (
	// ItemAccepted is stored like any delivery: as a new event, or as a further delivery of one
	// that a webhook delivered.
	ItemAccepted ItemResult = iota
	// ItemRemembered and ItemObserved are recorded and make no event.
	ItemRemembered
	ItemObserved
	// ItemKnown was found by an earlier poll. It stays known as long as a list contains it.
	ItemKnown
	// ItemStored is the event that an earlier call of the same poll stored.
	ItemStored
)

// Recorded reports whether an item makes no event regardless of what is known about it.
func (b *PollBatch) Recorded(d *Delivery) (ItemResult, bool) {
	switch {
	case b.Remember && !b.New[d.Key]:
		return ItemRemembered, true
	case b.Observe:
		return ItemObserved, true
	}
	return ItemAccepted, false
}

// Result decides what happens to an item that is to be stored under an id. It is pure: the store
// calls it inside its transaction.
func (k KnownItem) Result(id EventID, d *Delivery) ItemResult {
	switch {
	case d.Inlet != workflows.InletPoll: // an item of a schedule: its key is its time
		return ItemAccepted
	case k.Remembered:
		return ItemKnown
	case k.Event == id:
		return ItemStored
	case k.Event != 0 && (k.Polled || k.Gone):
		return ItemKnown // every poll returns the same item; it is one delivery
	}
	return ItemAccepted
}

// PollCost is the cost of a poll.
type PollCost struct {
	Requests int
	// Bytes is the number of bytes received.
	Bytes int64
	// Outcome is ok, unchanged or failed.
	Outcome string
	Took    time.Duration
	// Quota is what the provider's headers report as left, such as 4870/5000.
	Quota string
}

// Firing is one planned time of a schedule.
type Firing struct {
	Trigger, Inlet string
	Planned        time.Time
	// Timetable is the text of the schedule's times as JSON; an edit changes it.
	Timetable json.RawMessage
	// SetBack is what the schedule stores about a clock that was set back, as JSON.
	SetBack json.RawMessage
	// Delivery is the event of that time; nil only records the schedule's progress.
	Delivery *Delivery
}

// maxDifferences is the largest number of stored differences between two deliveries.
const maxDifferences = 50

// Differences collects the paths at which two values differ, with both values.
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
