//go:build unix

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestEventEndsAWaitWithAHiddenKey uses a key that contains a secret input of the run: its row
// is masked, while the event's is not. One run waits across a kill -9.
func TestEventEndsAWaitWithAHiddenKey(t *testing.T) {
	realProcess(t)
	const secretInput = "on: {manual: true}\ninputs: {k: {type: string, secret: true}}\n"
	p := newProject(t, map[string]string{"hookloom.yaml": "triggers: {bank: {}}\n",
		"workflows/one.yaml": secretInput + "steps: [{id: e, wait: {event: bank, key: \"one-${{ inputs.k }}\"}}]\n" +
			"output: ${{ steps.e.output.data }}\n",
		"workflows/any.yaml": secretInput + "steps:\n" +
			"  - {id: e, wait: {any: [{event: bank, key: never}, {event: bank, key: \"any-${{ inputs.k }}\"}]}}\n" +
			"output: ${{ steps.e.output.data }}\n",
		"workflows/pay.yaml": "on: {manual: true}\ninputs: {k: {type: string}}\nsteps:\n" +
			"  - {uses: hookloom/emit, with: {trigger: bank, key: \"${{ inputs.k }}\", data: paid}}\n"})
	s := p.start(t)
	send := func(args ...string) {
		t.Helper()
		if _, err := p.run(append([]string{"send"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		for _, name := range []string{"one", "any"} {
			send(name, "--input", fmt.Sprintf("k=hidden-%d", i))
		}
		if i == 0 {
			s.kill()
			s = p.start(t)
		}
		for _, name := range []string{"one", "any"} {
			send("pay", "--input", fmt.Sprintf("k=%s-hidden-%d", name, i))
		}
		p.idle(t)
	}
	s.stop(t)
	out, err := p.run("runs")
	if n := strings.Count(out, "succeeded"); n != 8 || err != nil {
		t.Errorf("%d runs succeeded, %v\n%s", n, err, out)
	}
	if out, err := p.run("check"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
