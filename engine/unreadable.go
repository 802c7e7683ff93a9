package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// This file handles a delivery that is genuine and cannot be decoded: it is an event like others,
// with its bytes in event.raw and nothing in event.data. Expressions that need the data get an
// error with the reason.

// UnreadableFlag is the prefix of the flag of an event whose body cannot be read.
const UnreadableFlag = "body not readable"

// Unreadable is the status by which lists filter these events.
const Unreadable = "unreadable"

// Unreadable reports whether the body of the event cannot be read.
func (i *EventItem) Unreadable() bool { return strings.HasPrefix(i.Flag, UnreadableFlag) }

// NotReadable flags a delivery whose body cannot be read; nil flags nothing.
func (d *Delivery) NotReadable(why error) {
	if why == nil {
		return
	}
	flag := UnreadableFlag + ": " + why.Error()
	if d.Flag != "" {
		flag += "; " + d.Flag
	}
	if len(flag) > 500 {
		flag = strings.ToValidUTF8(flag[:500], "")
	}
	d.Flag, d.Body, d.Decoded, d.Text = flag, nil, false, ""
}

// needsData returns an error for a rule that reads the data of an event whose body cannot be read:
// evaluating it with nil could give a wrong result.
func (e *Event) needsData(rule *workflows.Expr) error {
	if e.unreadable == nil || !rule.ReadsKey("event", "data", "body") {
		return nil
	}
	return fmt.Errorf("it needs event.data: %w", e.notReadable())
}

func (e *Event) notReadable() error {
	return errors.New(UnreadableFlag + ": " + e.unreadable.Error())
}
