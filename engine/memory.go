package engine

import (
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/workflows/value"
)

// MemorySize is what an event takes in memory; 0 when it needs no share.
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

// WithoutBody is what an event is while it waits for a share: all that is needed to
// load it again. A small event stays as it is.
func (e *Event) WithoutBody() *Event {
	n := e.MemorySize()
	if n == 0 || e.Share != nil {
		return e
	}
	return &Event{ID: e.ID, Delivery: Delivery{Trigger: e.Trigger, Inlet: e.Inlet}, Absent: n}
}
