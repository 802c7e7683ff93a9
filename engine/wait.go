package engine

// Response is a person's answer to a waiting run.
type Response struct {
	// Path is the step; it may be empty if only one step asks.
	Path string
	// Verdict is approve or reject for an approval; resend, done or fail for an
	// attempt in doubt.
	Verdict, By, Comment string
	// Proof is what proves By: token for a token of that name, link for a signed link,
	// ProofEvent; empty for a name that was typed.
	Proof string
	// Result is what an attempt that is done gave.
	Result any
}

// ProofEvent proves the name of who answers by a step: it stands in an event whose body is
// signed.
const ProofEvent = "event"

// NotAnswered is an answer that a run does not take: it does not wait for one, or not for one
// of this person.
type NotAnswered struct{ Reason string }

// Error implements error.
func (e *NotAnswered) Error() string { return e.Reason }
