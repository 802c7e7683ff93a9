package triggers

import (
	"fmt"

	"github.com/hookloom/hookloom/engine/memory"
)

// This file limits the memory of bodies that are decoded before they are answered. Its
// budget is separate from that of runs, which may hold memory for minutes; here it is held
// only while a request is verified.

// maxDecoding is the memory for all requests that are verified at once, in bytes.
const maxDecoding = 20 << 20

// smallDecoding is the size up to which a request needs no share of the budget.
const smallDecoding = 64 << 10

// reserve takes memory before the body is decoded, once. It waits at most as long as the
// sender does.
func (in *inbound) reserve(raw []byte) error {
	if in.memory == nil || in.reserved > 0 {
		return in.gone
	}
	n := memory.DecodedSize(raw)
	if n <= smallDecoding {
		return nil
	}
	if err := in.memory.Take(in.request.Context, n); err != nil {
		in.gone = fmt.Errorf("the sender closed the connection: %w", err)
		return in.gone
	}
	in.reserved = n
	return nil
}

// letGo releases the memory after verification. If the body is needed later, for an answer, it is
// decoded again.
func (in *inbound) letGo() {
	if in.memory == nil {
		return
	}
	if in.reserved > 0 {
		in.memory.Give(in.reserved)
		in.reserved = 0
		in.decoded, in.decodeErr, in.isDecoded = nil, nil, false
		in.literal, in.isLiteral = nil, false
		in.form, in.formErr, in.isFormRead = nil, nil, false
	}
	in.memory = nil
}
