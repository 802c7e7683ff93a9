package registry

import (
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// TestUsesAreTheSameIfAllTheirFilesAre: a change of one file is another version of what a run uses.
func TestUsesAreTheSameIfAllTheirFilesAre(t *testing.T) {
	uses := func(workflow, connector string, keys int64) workflows.Uses {
		return workflows.Uses{Workflows: map[string]string{"w": workflow}, Connectors: map[string]string{"c": connector},
			Triggers: map[string]int64{"t": keys}}
	}
	of := uses("1", "1", 1)
	for _, c := range []struct {
		x    workflows.Uses
		want bool
	}{{uses("1", "1", 1), true}, {uses("2", "1", 1), false}, {uses("1", "2", 1), false}, {uses("1", "1", 2), false},
		{uses("2", "2", 1), false}, {workflows.Uses{}, false}} {
		if got := same(of, c.x); got != c.want {
			t.Errorf("%+v: %t", c.x, got)
		}
	}
}
