package machine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// TestApprovalLinkWorksOnceForItsQuestion: no bit of it can be changed, it is bound to
// one run and step and to the name it was made for, and it serves once.
func TestApprovalLinkWorksOnceForItsQuestion(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: one, wait: {approval: first, by: [ada]}}\n  - {id: two, wait: " +
		"{approval: second}}\noutput: ${{ steps.one.output.by }} ${{ steps.two.output.by }}"})
	ctx := context.Background()
	e, s, stop := w.start(nil)
	if _, err := e.Accept(ctx, delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	id := stands(t, s, engine.Waiting)
	if _, _, err := e.Link(ctx, id, "", "eve"); err == nil || !strings.Contains(err.Error(), "ada only") {
		t.Errorf("a link for who may not answer: %v", err)
	}
	token, q, err := e.Link(ctx, id, "", "ada")
	if err != nil || q.Text != "first" {
		t.Fatal(q, err)
	}
	for i := range len(token) {
		changed := []byte(token)
		changed[i] ^= 1
		if _, err := e.LinkQuestion(ctx, string(changed)); !errors.Is(err, engine.ErrLink) {
			t.Errorf("changed at %d: %v", i, err)
		}
	}
	if _, err := e.AnswerLink(ctx, token, "approve", ""); err != nil {
		t.Fatal(err)
	}
	// The second question is open, and the first link does not fit it.
	var second string
	for second == "" {
		if second, _, err = e.Link(ctx, id, "two", "bob"); err != nil && !strings.Contains(err.Error(), "does not wait") &&
			!strings.Contains(err.Error(), "step two") {
			t.Fatal(err)
		}
	}
	if _, err := e.AnswerLink(ctx, token, "approve", ""); !errors.Is(err, engine.ErrLink) {
		t.Errorf("the first link again: %v", err)
	}
	if _, err := e.AnswerLink(ctx, second, "approve", ""); err != nil {
		t.Error(err)
	}
	stands(t, s, engine.Succeeded)
	if got := output(t, s, id); got != `succeeded "ada bob" ` {
		t.Error(got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
