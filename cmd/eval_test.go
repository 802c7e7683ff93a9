package cmd

import (
	"io"
	"strings"
	"testing"
)

// spaces is an endless input.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestEvalLimitsItsDataToTheSizeOfAnEvent checks that --data is limited, and that data up to the
// limit is read.
func TestEvalLimitsItsDataToTheSizeOfAnEvent(t *testing.T) {
	o := &evalOptions{data: "-"}
	if _, err := o.file(spaces{}); err == nil || !strings.Contains(err.Error(), "--data - is larger than 32.0 MiB") {
		t.Errorf("got %v", err)
	}
	most := io.MultiReader(io.LimitReader(spaces{}, maxEvalData-1), strings.NewReader("7"))
	if v, err := o.file(most); err != nil || v != 7 {
		t.Errorf("got %v, %v", v, err)
	}
}
