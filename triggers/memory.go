package triggers

import (
	"fmt"

	"github.com/hookloom/hookloom/engine"
)

// This file bounds the memory of bodies that are decoded before they are answered. It
// is a budget of its own beside that of runs, which may keep theirs for minutes: here
// it is lent while a request is verified, and no sender waits for a run.

// maxDecoding is the budget of all requests that are verified at once, in bytes.
const maxDecoding = 20 << 20

// smallDecoding is what a request may take without a share of it.
const smallDecoding = 64 << 10

// reserve takes memory for the decoded body, once, before it is decoded. It waits for
// it, at most as long as the sender does.
func (in *inbound) reserve(raw []byte) error {
	if in.memory == nil || in.reserved > 0 {
		return in.gone
	}
	n := engine.DecodedSize(raw)
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

// letGo gives the memory back after the request is verified. What is asked of the body
// after that, for an answer, decodes it again.
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
