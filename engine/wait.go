package engine

// Response is a person's answer to a waiting run.
type Response struct {
	// Path is the step; it may be empty if only one step asks.
	Path string
	// Verdict is approve or reject for an approval; resend, done or fail for an attempt whose
	// outcome is unknown.
	Verdict, By, Comment string
	// Proof is what proves By: token for a token of that name, link for a signed link, ProofEvent;
	// empty for an unproved name.
	Proof string
	// Result is the result of an attempt answered with done.
	Result any
}

// ProofEvent proves the name given by a step: it is in an event whose body is signed.
const ProofEvent = "event"

// NotAnswered means that a run does not accept an answer: it does not wait for one, or not for one
// of this person.
type NotAnswered struct{ Reason string }

// Error implements error.
func (e *NotAnswered) Error() string { return e.Reason }
