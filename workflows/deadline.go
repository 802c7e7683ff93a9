package workflows

import (
	"fmt"
	"time"

	"gopkg.in/yaml.v3"
)

// This file checks deadline: as far as its effect is known at load time.

// deadline reads the key; 0 for none.
func (b *builder) deadline(o *objectNode) time.Duration {
	d := o.duration("deadline", 0)
	if o.has("deadline") && d == 0 {
		// A value of the wrong type counts as absent; its mistake is reported elsewhere.
		if v := o.vals["deadline"]; v != nil && v.Kind == yaml.ScalarNode {
			if _, err := parseDuration(v.Value); err == nil {
				b.add(o.at("deadline"), "out-of-range", "deadline must be longer than 0", "leave it out for none, or write deadline: 10m")
			}
		}
	}
	return d
}

// deadlineFits warns about attempts and pauses that do not fit into the step's deadline.
func (b *builder) deadlineFits(o *objectNode, s *Step) {
	if s.Deadline == 0 {
		return
	}
	if o.has("timeout") && s.Timeout > s.Deadline {
		b.warn(o.at("timeout"), "deadline", fmt.Sprintf("timeout %s never applies: the step's deadline is %s",
			DurationText(s.Timeout), DurationText(s.Deadline)),
			"deadline limits the whole step, timeout limits one attempt: make the deadline longer")
	}
	if o.has("timeout") && s.Body != "uses" && s.Body != "wait" && s.Body != "call" && s.ForEach == nil && s.Timeout <= s.Deadline {
		b.warn(o.at("deadline"), "deadline",
			fmt.Sprintf("deadline has no effect: the group's timeout of %s already limits its total time", DurationText(s.Timeout)),
			"drop one of them")
	}
	if d, ok := s.sleepsFor(); ok && d >= s.Deadline {
		b.warn(o.at("deadline"), "deadline", fmt.Sprintf("deadline %s ends before sleep: %s does, so the step always fails",
			DurationText(s.Deadline), DurationText(d)), "drop the deadline, or sleep less")
	}
}

// sleepsFor returns how long a step sleeps, if that is constant.
func (s *Step) sleepsFor() (time.Duration, bool) {
	if s.Body != "sleep" || s.SleepUntil || s.Sleep == nil {
		return 0, false
	}
	text, constant := s.Sleep.constantText()
	if !constant {
		return 0, false
	}
	d, err := parseDuration(text)
	return d, err == nil
}

// checkDeadline warns about a run deadline that is shorter than its steps take.
func (b *builder) checkDeadline(o *objectNode) {
	if b.w.Deadline == 0 {
		return
	}
	var slept time.Duration
	for _, s := range b.w.Steps {
		if d, ok := s.sleepsFor(); ok && s.If == nil {
			slept += d
		}
		if s.If == nil && (s.Body == "stop" || s.Body == "fail") {
			break
		}
	}
	if slept >= b.w.Deadline {
		b.warn(o.at("deadline"), "deadline",
			fmt.Sprintf("deadline %s is not longer than the sleeps of the workflow, %s: every run would time out",
				DurationText(b.w.Deadline), DurationText(slept)),
			"make the deadline longer; timeout: limits only the working time")
	}
}

// deadlineHint returns how to write a deadline that was given as a map, such as {for: 2h}.
func deadlineHint(n *yaml.Node) string {
	if len(n.Content) == 2 {
		if _, err := parseDuration(n.Content[1].Value); err == nil {
			return "write deadline: " + n.Content[1].Value
		}
	}
	return "write a duration, such as deadline: 2h"
}
