package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// This file is what becomes of a delivery that is genuine and cannot be read: it is an
// event like others, with its bytes in event.raw and nothing in event.data. Who needs
// the data hears why there is none.

// UnreadableFlag begins the flag of an event whose body cannot be read.
const UnreadableFlag = "body not readable"

// Unreadable is the status by which lists find these events.
const Unreadable = "unreadable"

// Unreadable tells that the body of the event cannot be read.
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
	d.Flag, d.Body, d.Decoded = flag, nil, false
}

// needsData tells why a rule cannot be asked about an event: it reads the data of one
// whose body cannot be read. nil could pass for an answer.
func (e *Event) needsData(rule *workflows.Expr) error {
	if e.unreadable == nil || !rule.ReadsKey("event", "data", "body") {
		return nil
	}
	return fmt.Errorf("it needs event.data: %w", e.notReadable())
}

func (e *Event) notReadable() error {
	return errors.New(UnreadableFlag + ": " + e.unreadable.Error())
}
