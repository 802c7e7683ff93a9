package engine

// Response is what a person says to a run that waits for one.
type Response struct {
	// Path is the step; it may be empty when only one asks.
	Path string
	// Verdict is approve or reject for an approval; resend, done or fail for an
	// attempt in doubt.
	Verdict, By, Comment string
	// Proof is what proves By: token for a token of that name, link for a signed link;
	// empty for a name that was typed.
	Proof string
	// Result is what an attempt that is done gave.
	Result any
}
