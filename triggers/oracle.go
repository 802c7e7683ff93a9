package triggers

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// A handshake that computes signs what a stranger sends, with the secret that proves
// deliveries. So a challenge has a strict form, and no delivery is genuine whose
// signed text has that form: the handshake could have made its signature.

// defaultChallenge is the form of a challenge where a scheme of one's own names none.
const defaultChallenge = `[A-Za-z0-9_-]{8,256}`

// challengeForm is the pattern that a challenge must match; the empty one where what
// is computed proves nothing to this trigger.
func challengeForm(c *workflows.Compute) string {
	if c.Matches == "" && strings.HasPrefix(c.Algorithm, "hmac-") {
		return defaultChallenge
	}
	return c.Matches
}

// answerable says that a handshake of the trigger could have signed what a delivery
// brings; empty when none could.
func (r *route) answerable(p *proof, in *inbound) string {
	for _, h := range r.handshakes {
		if h.Compute == nil || h.matches == nil || h.Compute.Algorithm != p.verifier.Algorithm {
			continue
		}
		for _, text := range p.verifier.SignedTexts(&in.request, longestChallenge) {
			if h.matches.Match(text) {
				return fmt.Sprintf("the signed text has the form of a handshake challenge (%.80s), which this trigger answers for anybody",
					h.Compute.Message)
			}
		}
	}
	return ""
}
