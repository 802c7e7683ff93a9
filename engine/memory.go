package engine

import (
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/workflows/value"
)

// MemorySize is the size of an event in memory, in bytes; 0 if it needs no share.
func (e *Event) MemorySize() int64 {
	if e.Absent > 0 {
		return e.Absent
	}
	n := memory.DecodedSize(e.Raw)
	if e.Inputs != nil {
		_, _, memory := value.Size(e.Inputs)
		n += int64(memory)
	}
	if n > memory.Small {
		return n
	}
	return 0
}

// WithoutBody returns the event to hold while it waits for a memory share: only what is needed to
// load it again. A small event is returned unchanged.
func (e *Event) WithoutBody() *Event {
	n := e.MemorySize()
	if n == 0 || e.Share != nil {
		return e
	}
	return &Event{ID: e.ID, Delivery: Delivery{Trigger: e.Trigger, Inlet: e.Inlet}, Absent: n}
}
