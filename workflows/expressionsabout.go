package workflows

import "regexp"

// ExpressionsAbout returns the expressions of a workflow's rule, steps and output whose text
// matches what, without duplicates.
func (w *Workflow) ExpressionsAbout(what *regexp.Regexp) (out []string) {
	seen := map[string]bool{}
	add := func(e *Expr) {
		if e != nil && !seen[e.Text] && what.MatchString(e.Text) {
			seen[e.Text] = true
			out = append(out, e.Text)
		}
	}
	for _, e := range w.When {
		add(e)
	}
	w.EachStep(func(s *Step) {
		add(s.If)
		add(s.ForEach)
		add(s.Switch)
	})
	w.eachExpr(add)
	return out
}
