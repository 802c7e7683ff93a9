package workflows_test

import (
	"testing"

	"github.com/hookloom/hookloom/workflows"
	"golang.org/x/tools/txtar"
)

// TestStepParallelToOneThatEndsTheRunIsReachable loads a parallel: whose first step ends the run: the
// other branches start at the same time, so none of them is unreachable.
func TestStepParallelToOneThatEndsTheRunIsReachable(t *testing.T) {
	const file = `-- workflows/beside.yaml --
on: manual
steps:
  - parallel:
      - stop: enough
      - {uses: log, with: {message: beside it}}
      - fail: it failed
      - steps:
          - {uses: log, with: {message: in a group}}
`
	_, mistakes := workflows.Load(project(t, txtar.Parse([]byte(file))), catalog(t), func(string) bool { return true })
	if len(mistakes) > 0 {
		t.Errorf("got\n%v", mistakes)
	}
}
