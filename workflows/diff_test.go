package workflows_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

func TestDiffShowsOnlyTheChanges(t *testing.T) {
	t.Parallel()
	base := "on: manual\nsteps:\n  - {id: a, uses: log, with: {message: x}}\n  - {id: b, sleep: 5s}\n  - uses: log\n    with: {message: y}\n"
	for name, c := range map[string]struct {
		after string
		want  []string
	}{
		"comments and order of keys": {
			"# hi\nsteps:\n  - with: {message: x}\n    uses: log\n    id: a\n  - {sleep: 5s, id: b}\n" +
				"  - {uses: log, with: {message: y}}\non: manual\n", nil,
		},
		"a field of a step": {
			"on: manual\nsteps:\n  - {id: a, uses: log, with: {message: z}}\n  - {id: b, sleep: 5s}\n  - uses: log\n    with: {message: y}\n",
			[]string{"changed steps.a.with.message x z"},
		},
		"a step between": {
			"on: manual\nsteps:\n  - {id: a, uses: log, with: {message: x}}\n  - {id: n, stop: ok}\n  - {id: b, sleep: 5s}\n" +
				"  - uses: log\n    with: {message: y}\n",
			[]string{"added steps.n <nil> map[id:n stop:ok]"},
		},
		"a step that moved": {
			"on: manual\nsteps:\n  - {id: b, sleep: 5s}\n  - {id: a, uses: log, with: {message: x}}\n  - uses: log\n    with: {message: y}\n",
			[]string{"moved steps.b <nil> <nil>"},
		},
		"a step without an id": {
			"on: manual\nsteps:\n  - {id: a, uses: log, with: {message: x}}\n  - {id: b, sleep: 5s}\n  - uses: log\n    with: {message: Y}\n",
			[]string{"changed steps.2.with.message y Y"},
		},
		"a step less and a rule": {
			"on: manual\nwhen: inputs.x > 1\nsteps:\n  - {id: a, uses: log, with: {message: x}}\n  - uses: log\n    with: {message: y}\n",
			[]string{"removed steps.b map[id:b sleep:5s] <nil>", "added when <nil> inputs.x > 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := workflows.Diff([]byte(base), []byte(c.after))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range list {
				got = append(got, fmt.Sprint(d.Kind, " ", d.Path, " ", d.Before, " ", d.After))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
