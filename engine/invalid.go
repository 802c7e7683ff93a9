package engine

import (
	"strings"

	"github.com/hookloom/hookloom/workflows/value"
)

// This file is what becomes of a genuine delivery whose data does not fit its trigger's
// schema:, where that does not refuse it: an event that is marked, and either runs all the
// same (on_invalid: mark) or is a dead letter of each workflow (on_invalid: dead_letter).

// InvalidFlag begins the flag of an event whose data does not fit, and the reason of a refused
// delivery.
const InvalidFlag = "schema not met"

// deadFlag begins the flag of an event that is a dead letter for it.
const deadFlag = InvalidFlag + ", dead letter"

// Invalid is the status by which lists find these events.
const Invalid = "invalid"

// Invalid reports whether the data of the event does not fit its trigger's schema.
func (i *EventItem) Invalid() bool { return strings.HasPrefix(i.Flag, InvalidFlag) }

// NotFitting flags a delivery whose data does not fit; dead makes it a dead letter. nil flags
// nothing. What is said holds no values of the data.
func (d *Delivery) NotFitting(why error, dead bool) {
	if why == nil {
		return
	}
	flag := InvalidFlag
	if dead {
		flag = deadFlag
	}
	flag += ": " + value.Clip(why.Error(), 400)
	if d.Flag != "" {
		flag += "; " + d.Flag
	}
	d.Flag = flag
}

// deadLetter says why an event is a dead letter before any rule is asked; empty for one that
// is not.
func (e *Event) deadLetter() string {
	flag := e.Flag
	if strings.HasPrefix(flag, UnreadableFlag) {
		_, flag, _ = strings.Cut(flag, "; ") // see NotReadable
	}
	why, is := strings.CutPrefix(flag, deadFlag)
	if !is {
		return ""
	}
	return InvalidFlag + why
}
