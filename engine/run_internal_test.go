package engine

import (
	"testing"
)

// A call in doubt is repeated by whichever build comes after the crash.
func TestAnIdempotencyKeyIsTheSameInEveryBuild(t *testing.T) {
	if got := IdempotencyKey("0123456789abcdef0123456789abcdef", RunID(0x1234).String(),
		"steps/send"); got != "hl_oynhofijkrurpk6fhot24a6ylpjgdzuh" {
		t.Errorf("%s: targets know this step by another key", got)
	}
}
