package workflows

import "fmt"

// answerSize refuses to keep more of an answer than can be kept.
func (s *stepChecker) answerSize(st *Step) {
	size := st.With.Field("max_response")
	if size == nil || st.Spec.Input("max_response") == nil {
		return
	}
	text, ok := size.constantText()
	if !ok {
		return
	}
	if n, err := parseSize(text); err == nil && n > MaxValueSize {
		s.w.src.add(size.pos, "out-of-range", fmt.Sprintf("max_response %s: at most %dMiB of an answer can be kept", text, MaxValueSize>>20), "ask for less at a time")
	}
}
